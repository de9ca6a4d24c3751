use larder::cached;

use std::pin::Pin;

struct S;

trait T {
    fn f<'life0, 'async_trait>(&'life0 self, id: u64) -> Pin<Box<dyn Future<Output = u64> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        Self: 'async_trait;
}

// What `#[async_trait]` makes of an `async fn`.
impl T for S {
    #[cached(skip(self), helpers = none)]
    fn f<'life0, 'async_trait>(&'life0 self, id: u64) -> Pin<Box<dyn Future<Output = u64> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(async move { id })
    }
}

fn main() {}

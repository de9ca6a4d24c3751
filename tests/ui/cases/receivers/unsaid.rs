use larder::cached;

struct S { id: u64 }

impl S {
    #[cached]
    fn f(&self, x: u64) -> u64 { self.id + x }

    #[cached(ttl = "5m", skip(y))]
    async fn g(self: std::sync::Arc<Self>, x: u64, y: &str) -> u64 { self.id + x + y.len() as u64 }

    #[cached]
    fn h(self) -> u64 { self.id }
}

fn main() {}

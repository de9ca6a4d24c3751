use larder::cached;

use std::pin::Pin;

#[cached]
fn f(id: u64) -> Pin<Box<dyn Future<Output = u64> + Send>> { Box::pin(async move { id }) }

#[cached]
fn g(id: u64) -> impl Future<Output = u64> { async move { id } }

fn main() {}

use larder::cached;

#[cached]
fn f(id: u64, of: impl Fn(u64) -> u64) -> u64 { of(id) }

#[cached]
async fn g(id: u64, of: &impl AsyncFn(u64) -> u64) -> u64 { of(id).await }

#[cached]
fn h<F: Fn(u64) -> u64>(id: u64, of: F) -> u64 { of(id) }

#[cached(skip(of))]
fn fine<F: Fn(u64) -> u64>(id: u64, of: F) -> u64 { of(id) }

fn main() {}

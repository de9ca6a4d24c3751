use larder::cached;

#[cached(cache_err)]
fn f(id: u64) -> Result<u64, String> { Ok(id) }

#[cached(local, ttl =)]
fn g(id: u64) -> u64 { id }

#[cached(skip)]
fn h(id: u64) -> u64 { id }

fn main() {}

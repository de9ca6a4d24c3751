use larder::cached;

#[cached(none_ttl = "5s")]
fn f(id: u64) -> u64 { id }

#[cached(cache_none = false)]
fn g(id: u64) -> u64 { id }

fn main() {}

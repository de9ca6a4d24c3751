use larder::cached;

#[cached(none_ttl = "5s", cache_none = false)]
fn f(id: u64) -> Option<u64> { Some(id) }

fn main() {}

use larder::cached;

#[cached(ttl = "0s", memory_ttl = "0ms", none_ttl = "0h0m")]
fn f(id: u64) -> Option<u64> { Some(id) }

fn main() {}

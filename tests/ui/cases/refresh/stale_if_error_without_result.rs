use larder::cached;

#[cached(ttl = "5m", stale_if_error = "1h")]
fn f(id: u64) -> u64 { id }

fn main() {}

use larder::cached;

#[cached(ttl = "5m", stale_if_error = "1h", cache_err = true)]
fn f(id: u64) -> Result<u64, String> { Ok(id) }

#[cached(local, lease = "10s")]
fn g(id: u64) -> u64 { id }

fn main() {}

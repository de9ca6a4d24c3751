use larder::cached;

#[cached(ttl = "5m", timeout = "200ms")]
fn f(id: u64) -> Result<u64, String> { Ok(id) }

fn main() {}

use larder::cached;

#[cached(jitter = 0.1, refresh_ahead = 0.8, stale_while_revalidate = "1m", stale_if_error = "1h")]
fn f(id: u64) -> Result<u64, String> { Ok(id) }

fn main() {}

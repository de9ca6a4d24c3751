use larder::cached;

#[cached(ttl = "5m", stale_while_revalidate = "1m")]
fn f(name: Option<&str>) -> usize { name.map_or(0, str::len) }

#[cached(ttl = "5m", refresh_ahead = 0.8, skip(log))]
fn g(id: u64, log: &mut Vec<u64>) -> u64 { log.push(id); id }

#[cached(ttl = "5m", stale_while_revalidate = "1m")]
fn h(id: u64, log: &mut Vec<u64>) -> u64 { log.push(id); id }

#[cached(ttl = "5m", stale_if_error = "1h", timeout = "1s")]
async fn i(id: u64, log: Option<&mut Vec<u64>>) -> Result<u64, String> { log.unwrap().push(id); Ok(id) }

fn main() {}

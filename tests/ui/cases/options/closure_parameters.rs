use larder::cached;

#[cached(cache_if = || true)]
fn f(id: u64) -> u64 { id }

#[cached(ttl = |id, value| TTL)]
fn g(id: u64) -> u64 { id }

#[cached(cache_if = async |value| true)]
fn h(id: u64) -> u64 { id }

const TTL: std::time::Duration = std::time::Duration::from_secs(1);

fn main() {}

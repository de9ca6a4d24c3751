use larder::cached;

#[cached(memory_ttl = |v| TTL, none_ttl = |v| TTL)]
fn f(id: u64) -> Option<u64> { Some(id) }

const TTL: std::time::Duration = std::time::Duration::from_secs(1);

fn main() {}

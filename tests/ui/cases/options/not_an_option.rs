use larder::cached;

#[cached("5m", 60, ttl = "5m")]
fn f(id: u64) -> u64 { id }

fn main() {}

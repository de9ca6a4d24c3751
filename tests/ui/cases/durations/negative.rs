use larder::cached;

#[cached(ttl = "-5m")]
fn f(id: u64) -> u64 { id }

fn main() {}

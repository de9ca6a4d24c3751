use larder::cached;

#[cached(ttl = "0.5ns")]
fn f(id: u64) -> u64 { id }

fn main() {}

use larder::cached;

#[cached(ttl = "5")]
fn f(id: u64) -> u64 { id }

#[cached(ttl = "1h30")]
fn g(id: u64) -> u64 { id }

fn main() {}

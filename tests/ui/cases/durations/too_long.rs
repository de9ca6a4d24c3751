use larder::cached;

#[cached(ttl = "999999999999999999999999d")]
fn f(id: u64) -> u64 { id }

fn main() {}

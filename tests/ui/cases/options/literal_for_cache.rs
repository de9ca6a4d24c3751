use larder::cached;

#[cached(cache = "redis")]
fn f(id: u64) -> u64 { id }

fn main() {}

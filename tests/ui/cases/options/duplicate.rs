use larder::cached;

#[cached(ttl = "5m", local, skip(a), tags = ["a"], ttl = "6m", local, skip(b), tags = ["b"])]
fn f(a: u64, b: u64) -> u64 { a + b }

fn main() {}

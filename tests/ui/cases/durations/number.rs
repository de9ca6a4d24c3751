use larder::cached;

#[cached(ttl = 60)]
fn f(id: u64) -> u64 { id }

#[cached(memory_ttl = 1.5)]
fn g(id: u64) -> u64 { id }

fn main() {}

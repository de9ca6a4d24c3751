use larder::cached;

#[cached(ttl = SECONDS)]
fn f(id: u64) -> u64 { id }

#[cached(ttl = true)]
fn g(id: u64) -> u64 { id }

const SECONDS: u64 = 60;

fn main() {}

use larder::cached;

#[cached(ttl = "5y")]
fn f(id: u64) -> u64 { id }

#[cached(ttl = "5 min")]
fn g(id: u64) -> u64 { id }

#[cached(ttl = "2w")]
fn h(id: u64) -> u64 { id }

fn main() {}

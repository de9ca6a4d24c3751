use larder::cached;

#[cached(ttl = "5m" local)]
fn f(id: u64) -> u64 { id }

#[cached(local ttl = "5m", tll = "5m")]
fn g(id: u64) -> u64 { id }

fn main() {}

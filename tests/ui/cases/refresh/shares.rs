use larder::cached;

#[cached(ttl = "5m", jitter = 1.5)]
fn f(id: u64) -> u64 { id }

#[cached(ttl = "5m", refresh_ahead = 0)]
fn g(id: u64) -> u64 { id }

#[cached(ttl = "5m", refresh_ahead = "80%")]
fn h(id: u64) -> u64 { id }

#[cached(ttl = "5m", jitter = -0.1)]
fn i(id: u64) -> u64 { id }

fn main() {}

use larder::cached;

#[cached = "5m"]
fn f(id: u64) -> u64 { id }

#[cached(ttl: "5m")]
fn g(id: u64) -> u64 { id }

#[cached(ttl = 5m)]
fn h(id: u64) -> u64 { id }

#[cached(tags("users"))]
fn i(id: u64) -> u64 { id }

fn main() {}

use larder::cached;

#[cached(ttl, tags = , skip, key(id), crate = "larder")]
fn f(id: u64) -> u64 { id }

fn main() {}

use larder::cached;

#[cached(ttl = "5m")]
#[cached(tags = ["users"])]
fn f(id: u64) -> u64 { id }

fn main() {}

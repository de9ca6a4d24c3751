use larder::cached;

static REDIS: &str = "redis";

#[cached(cache = REDIS)]
fn f(id: u64) -> u64 { id }

fn main() {}

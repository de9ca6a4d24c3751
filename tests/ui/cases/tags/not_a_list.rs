use larder::cached;

#[cached(tags = "users")]
fn f(id: u64) -> u64 { id }

#[cached(tags = |v| ["users"])]
fn g(id: u64) -> u64 { id }

fn main() {}

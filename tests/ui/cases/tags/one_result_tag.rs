use larder::cached;

#[cached(result_tags = |value| "users")]
fn f(id: u64) -> u64 { id }

#[cached(result_tags = |value| ("user", value))]
fn g(id: u64) -> u64 { id }

fn main() {}

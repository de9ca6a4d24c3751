use larder::cached;

struct Org;

#[cached(result_tags = |value| [("org", Org)])]
fn f(id: u64) -> u64 { id }

#[cached(result_tags = |value| value.org)]
fn g(id: u64) -> u64 { id }

fn main() {}

use larder::cached;

#[cached(cache_if = |value| value.len())]
fn f(id: u64) -> String { id.to_string() }

fn main() {}

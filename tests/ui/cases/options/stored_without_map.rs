use larder::cached;

#[cached(stored = String)]
fn f(id: u64) -> u64 { id }

fn main() {}

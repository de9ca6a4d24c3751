use larder::cached;

#[cached(skip = id)]
fn f(id: u64) -> u64 { id }

fn main() {}

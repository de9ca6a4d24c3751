use larder::cached;

#[cached(cache_err = true)]
fn f(id: u64) -> u64 { id }

fn main() {}

use larder::cached;

#[cached(local = true)]
fn f(id: u64) -> u64 { id }

#[cached(local(true))]
fn g(id: u64) -> u64 { id }

fn main() {}

use larder::cached;

#[cached(key = (id, tenant))]
fn f(id: u64) -> u64 { id }

fn main() {}

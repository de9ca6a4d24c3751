use larder::cached;

#[cached(skip(id), key = (id, name))]
fn f(id: u64, name: &str) -> u64 { id + name.len() as u64 }

fn main() {}

use larder::cached;

struct Id(u64);

#[cached(local)]
fn f(id: Id) -> u64 { id.0 }

fn main() {}

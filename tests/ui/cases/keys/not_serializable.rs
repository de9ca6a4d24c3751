use larder::cached;

struct Id(u64);

#[cached]
fn f(id: Id, other: &Id) -> u64 { id.0 + other.0 }

fn main() {}

use larder::cached;

struct Id(u64);

#[cached(key = id.0, tags = [("user", id)])]
fn f(id: Id) -> u64 { id.0 }

#[cached(key = id.0, tags = ["user:{id}"])]
fn g(id: Id) -> u64 { id.0 }

fn main() {}

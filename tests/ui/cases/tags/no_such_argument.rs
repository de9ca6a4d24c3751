use larder::cached;

#[cached(tags = ["user:{user}", ("team", "{team}-{id}")])]
fn f(id: u64) -> u64 { id }

#[cached(tags = ["{x}"])]
fn g() -> u64 { 1 }

fn main() {}

use larder::cached;

#[cached(tags = ["", (), ("user", "")])]
fn f(id: u64) -> u64 { id }

fn main() {}

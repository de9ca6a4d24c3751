use larder::cached;

#[cached(tags = ["{}", "{0}", "{", "}", "{id", "{user.id}", "{:?}"])]
fn f(id: u64) -> u64 { id }

fn main() {}

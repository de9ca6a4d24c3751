use larder::cached;

struct User { id: u64, name: String }

#[cached(skip(user.name))]
fn f(user: &User) -> u64 { user.id + user.name.len() as u64 }

#[cached(skip(&user))]
fn g(user: &User) -> u64 { user.id }

fn main() {}

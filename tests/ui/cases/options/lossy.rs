use larder::cached;

#[cached(lossy = "yes")]
fn f(id: u64) -> u64 { id }

#[cached(lossy)]
fn g(id: u64) -> u64 { id }

#[cached(local, lossy = true)]
fn h(id: u64) -> u64 { id }

#[cached(lossy = |user| user.is_public())]
fn i(id: u64) -> u64 { id }

fn main() {}

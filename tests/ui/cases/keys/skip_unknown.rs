use larder::cached;

#[cached(skip(db))]
fn f(id: u64) -> u64 { id }

#[cached(skip(self))]
fn g(id: u64) -> u64 { id }

#[cached(skip(id, 5))]
fn h(id: u64) -> u64 { id }

fn main() {}

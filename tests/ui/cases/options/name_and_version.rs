use larder::cached;

#[cached(name = "", version = "2")]
fn f(id: u64) -> u64 { id }

#[cached(name = users::get, version = -1)]
fn g(id: u64) -> u64 { id }

#[cached(version = 99999999999999999999)]
fn h(id: u64) -> u64 { id }

fn main() {}

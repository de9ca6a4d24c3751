use larder::cached;

#[cached(cache_if = |length| *length > name.len())]
fn f(name: String) -> usize { name.into_bytes().len() }

#[cached(cache_if = |length| *length > name.len())]
fn g((name, id): (String, u64)) -> usize { name.into_bytes().len() + id as usize }

#[cached(map = |length| length + name.len())]
async fn h(name: String) -> usize { name.into_bytes().len() }

#[cached(cache_if = |length| *length > name.len())]
fn fine(name: &str) -> usize { name.len() }

fn main() {}

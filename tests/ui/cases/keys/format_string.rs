use larder::cached;

#[cached(key = "{id}")]
fn f(id: u64) -> u64 { id }

#[cached(key = (id, "{tenant}:{id}"), scope = "{tenant}")]
fn g(id: u64, tenant: &str) -> u64 { id + tenant.len() as u64 }

fn main() {}

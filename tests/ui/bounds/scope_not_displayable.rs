use larder::cached;

struct Tenant;

#[cached(key = id, scope = tenant)]
fn f(id: u64, tenant: Tenant) -> u64 { let _ = tenant; id }

fn main() {}

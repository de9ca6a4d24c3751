use larder::cached;

struct Tenant;

#[cached(key = id, scope = tenant)]
fn f(id: u64, tenant: Tenant) -> u64 { let _ = tenant; id }

#[cached(scope = Tenant)]
async fn g(id: u64) -> u64 { id }

fn main() {}

use larder::cached;

const TENANT: &str = "a";

struct Shop;

#[cached(key = (TENANT, 1))]
fn f(id: u64) -> u64 { id }

#[cached(key = { let id = 1; id })]
fn g(id: u64) -> u64 { id }

impl Shop {
    #[cached(key = TENANT)]
    fn name(&self) -> String { TENANT.to_owned() }
}

fn main() {}

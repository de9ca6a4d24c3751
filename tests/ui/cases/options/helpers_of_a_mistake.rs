use larder::cached;

// One mistake each: the helpers are there all the same.
#[cached(ttl = 5)]
fn f(id: u64) -> u64 { id }

#[cached(tll = "5m", skip(name), helpers = [refresh, prime, peek])]
async fn g<T: ToString>(id: T, name: &str) -> String { id.to_string() + name }

struct Shop;

impl Shop {
    #[cached(tags = [""], skip(self))]
    pub fn h(&self, id: u64) -> u64 { id }
}

trait Find {
    fn find(&self, id: u64) -> u64;
}

// Nothing is added to what may be the impl of a trait.
impl Find for Shop {
    #[cached(version = "2", skip(self))]
    fn find(&self, id: u64) -> u64 { id }
}

// Nor to what can't be cached, or is cached by another attribute.
#[cached]
#[cached]
fn i(id: u64) -> u64 { id }

async fn calls() {
    let _ = (invalidate_f(1), invalidate_all_f());
    let _ = (invalidate_g(1).await, invalidate_all_g().await);
    let _ = (refresh_g(1, "a").await, prime_g(1, "a".to_owned()).await, peek_g(1).await);
    let _ = (Shop::invalidate_h(1), Shop::invalidate_all_h());
    let _ = (invalidate_i(1), invalidate_all_i());
}

fn main() {}

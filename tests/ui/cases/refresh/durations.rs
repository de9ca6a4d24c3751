use larder::cached;

#[cached(ttl = "5m", stale_while_revalidate = 10, lease = "0s")]
fn f(id: u64) -> u64 { id }

#[cached(ttl = "5m", stale_while_revalidate = |value| value.age)]
fn g(id: u64) -> u64 { id }

fn main() {}

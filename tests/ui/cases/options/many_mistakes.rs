use larder::cached;

#[cached(ttl = 60, tll = "5m", tags = ["{nobody}", ""], skip(missing), cache_if = true)]
fn f(id: &mut u64) -> &u64 { id }

fn main() {}

use larder::cached;

#[cached(cache_none = "no", cache_err = |e| true)]
fn f(id: u64) -> Option<u64> { Some(id) }

fn main() {}

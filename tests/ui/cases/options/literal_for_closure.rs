use larder::cached;

#[cached(cache_if = false, result_tags = ["a"], map = "x", max_bytes = 10, weigh = 1)]
fn f(id: u64) -> String { id.to_string() }

fn main() {}

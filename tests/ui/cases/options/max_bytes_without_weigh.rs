use larder::cached;

#[cached(max_bytes = "1MiB")]
fn f(id: u64) -> String { id.to_string() }

#[cached(weigh = |v| v.len())]
fn g(id: u64) -> String { id.to_string() }

fn main() {}

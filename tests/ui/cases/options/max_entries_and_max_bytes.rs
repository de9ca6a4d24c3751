use larder::cached;

#[cached(max_entries = 10, max_bytes = "1MiB", weigh = |v| v.len())]
fn f(id: u64) -> String { id.to_string() }

fn main() {}

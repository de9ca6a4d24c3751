use larder::cached;

#[cached(max_entries = 0)]
fn f(id: u64) -> u64 { id }

#[cached(max_bytes = "0MiB", weigh = |v| v.len())]
fn g(id: u64) -> String { id.to_string() }

#[cached(max_entries = -1)]
fn h(id: u64) -> u64 { id }

fn main() {}

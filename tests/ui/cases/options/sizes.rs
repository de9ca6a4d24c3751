use larder::cached;

#[cached(max_bytes = "64", weigh = |v| v.len())]
fn f(id: u64) -> String { id.to_string() }

#[cached(max_bytes = "64M", weigh = |v| v.len())]
fn g(id: u64) -> String { id.to_string() }

#[cached(max_bytes = "1 KB", weigh = |v| v.len())]
fn i(id: u64) -> String { id.to_string() }

#[cached(max_bytes = "1.5kB", weigh = |v| v.len())]
fn j(id: u64) -> String { id.to_string() }

#[cached(max_entries = "many")]
fn h(id: u64) -> u64 { id }

fn main() {}

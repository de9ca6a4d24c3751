use larder::cached;

#[cached(map = |list| list.len(), stored = Vec<u64>)]
fn f(id: u64) -> String { vec![id] }

#[cached(map = |list| format!("{list:?}"), stored = Vec<u64>)]
fn g(id: u64) -> String { id.to_string() }

fn main() {}

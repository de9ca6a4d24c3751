use larder::cached;

#[cached]
fn f(id: u64, out: &mut Vec<u64>) { out.push(id); }

#[cached]
fn g(id: u64, out: Option<&mut Vec<u64>>) { out.unwrap().push(id); }

fn main() {}

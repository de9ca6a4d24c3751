use larder::cached;

#[cached]
fn f(n: u64) -> impl Iterator<Item = u64> { 0..n }

#[cached]
fn g(n: u64) -> Vec<impl std::fmt::Display> { vec![n] }

fn main() {}

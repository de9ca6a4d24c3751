use larder::cached;

#[cached]
fn f(id: u64, #[cfg(test)] more: u64) -> u64 { id }

fn main() {}

use larder::cached;

#[cached]
unsafe fn f(id: u64) -> u64 { id }

fn main() {}

use larder::cached;

#[cached]
extern "C" fn f(id: u64) -> u64 { id }

fn main() {}

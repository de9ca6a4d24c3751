use larder::cached;

#[cached]
fn f(id: u64) -> ! { panic!("{id}") }

fn main() {}

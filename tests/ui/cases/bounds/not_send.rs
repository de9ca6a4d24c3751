use larder::cached;

use std::rc::Rc;

#[cached(local)]
fn f(id: u64) -> Rc<u64> { Rc::new(id) }

fn main() {}

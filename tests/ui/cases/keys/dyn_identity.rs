//! Of two types behind one trait, nothing would say which a value is of.

use larder::cached;
use larder::key::Identity;

trait Shape: Identity {
    fn area(&self) -> u64;
}

#[cached]
fn area(shape: &dyn Shape) -> u64 {
    shape.area()
}

fn main() {}

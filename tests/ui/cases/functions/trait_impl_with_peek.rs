use larder::cached;

struct S;

trait T {
    fn f(&self, id: u64) -> u64;
}

impl T for S {
    #[cached(skip(self), helpers = [peek])]
    fn f(&self, id: u64) -> u64 { id }
}

fn main() {}

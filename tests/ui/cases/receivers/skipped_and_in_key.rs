use larder::cached;

struct S { id: u64 }

impl S {
    #[cached(skip(self), key = (self.id, x))]
    fn f(&self, x: u64) -> u64 { self.id + x }
}

fn main() {}

use larder::cached;

struct S { id: u64 }

impl S {
    #[cached(skip(self))]
    fn f(&mut self, x: u64) -> u64 { self.id += x; self.id }

    #[cached]
    fn g(self: std::pin::Pin<&mut Self>, x: u64) -> u64 { x }
}

fn main() {}

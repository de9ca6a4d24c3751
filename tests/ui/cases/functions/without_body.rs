use larder::cached;

trait T {
    #[cached(skip(self))]
    fn f(&self, id: u64) -> u64;
}

fn main() {}

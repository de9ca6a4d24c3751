use larder::cached;

struct S;

impl S {
    #[cached(helpers = [peek])]
    fn f(id: u64) -> u64 { id }

    #[cached(helpers = [refresh])]
    fn g(id: u64) -> u64 { id }

    #[cached(helpers = [Self::refresh, Self::prime, Self::peek])]
    fn fine(id: u64) -> u64 { id }
}

fn main() {}

use larder::cached;

struct Shop;

impl Shop {
    const MAX: u64 = 10;

    #[cached(max_entries = Self::MAX)]
    fn f(id: u64) -> u64 { id }

    #[cached(max_entries = Shop::MAX)]
    fn fine(id: u64) -> u64 { id }
}

#[cached(max_entries = N)]
fn g<const N: u64>(id: u64) -> u64 { id + N }

#[cached(max_bytes = id, weigh = |_| 1)]
fn h(id: u64) -> u64 { id }

fn main() {}

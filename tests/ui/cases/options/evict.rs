use larder::cached;

#[cached(max_entries = 10, evict = lfu)]
fn f(id: u64) -> u64 { id }

#[cached(max_entries = 10, evict = "lru")]
fn g(id: u64) -> u64 { id }

#[cached(max_entries = unlimited, evict = lru)]
fn h(id: u64) -> u64 { id }

#[cached(evict = lru)]
fn i(id: u64) -> u64 { id }

#[cached(max_entries = 10, evict)]
fn j(id: u64) -> u64 { id }

#[cached(max_entries = 10, lru)]
fn k(id: u64) -> u64 { id }

#[cached(max_entries = 10, evict = lru)]
fn l(id: u64) -> u64 { id }

fn main() {}

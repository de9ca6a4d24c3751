use larder::cached;

#[cached(max_wait = 2)]
fn f(id: u64) -> u64 { id }

#[cached(max_wait = "2 seconds")]
fn g(id: u64) -> u64 { id }

#[cached(max_wait = |value| value.age)]
fn h(id: u64) -> u64 { id }

#[cached(max_wait = "2s", max_wait = "3s")]
fn i(id: u64) -> u64 { id }

#[cached(max_wait = 1 + 1)]
fn j(id: u64) -> u64 { id }

#[cached(max_wait)]
fn k(id: u64) -> u64 { id }

// Zero says that no call waits.
#[cached(max_wait = "0s", local)]
fn l(id: u64) -> u64 { id }

fn main() {}

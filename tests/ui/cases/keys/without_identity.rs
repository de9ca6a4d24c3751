use larder::cached;

#[cached]
fn f(since: std::time::Instant) -> u64 { since.elapsed().as_secs() }

#[cached]
fn g<T>(value: T) -> usize { let _ = value; size_of::<T>() }

#[cached]
fn h(file: &std::fs::File, of: fn(u64) -> u64) -> u64 { let _ = file; of(1) }

fn main() {}

use larder::cached;

#[cached(skip(log, log))]
fn f(id: u64, log: &str) -> u64 { id + log.len() as u64 }

fn main() {}

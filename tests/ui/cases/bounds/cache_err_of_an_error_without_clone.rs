use larder::cached;

#[derive(Debug)]
struct Failed;

#[cached(cache_err = true, local)]
fn f(id: u64) -> Result<u64, Failed> { Ok(id) }

fn main() {}

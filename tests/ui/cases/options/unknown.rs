use larder::cached;

#[cached(tll = "5m", colour = "red", max_entires = 5, size(10), convert = id, local)]
fn f(id: u64) -> u64 { id }

fn main() {}

use larder::cached;

#[cached]
fn f(id: u64) -> &'static str { if id > 1 { "many" } else { "one" } }

#[cached]
async fn g(id: u64) -> Option<Vec<&'static [u8]>> { let _ = id; None }

#[cached(cache_err = true)]
fn h(id: u64) -> Result<u64, &'static str> { Ok(id) }

#[cached]
fn fine(id: u64) -> Result<u64, &'static str> { Ok(id) }

#[cached(local)]
fn local(id: u64) -> &'static str { let _ = id; "" }

fn main() {}

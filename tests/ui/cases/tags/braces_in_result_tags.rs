use larder::cached;

#[cached(result_tags = |org| ["org:{org}", "all"])]
fn f(id: u64) -> u64 { id }

#[cached(result_tags = |org| [("org", "{org}")])]
fn g(id: u64) -> u64 { id }

fn main() {}

use larder::cached;

#[derive(Clone)]
struct Report(u64);

#[cached]
fn f(id: u64) -> Report { Report(id) }

#[cached(cache_if = |r| r.0 > 1)]
async fn g(id: u64) -> std::io::Result<Report> { Ok(Report(id)) }

fn main() {}

use larder::cached;

#[derive(serde::Serialize, serde::Deserialize)]
struct Report(u64);

#[cached]
fn f(id: u64) -> Report { Report(id) }

#[cached(local)]
async fn g(id: u64) -> Result<Report, String> { Ok(Report(id)) }

#[cached(cache_if = |r| r.0 > 1, ttl = |r| std::time::Duration::from_secs(r.0), tags = ["a"])]
fn h(id: u64) -> Report { Report(id) }

fn main() {}

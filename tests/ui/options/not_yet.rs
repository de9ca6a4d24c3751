use larder::cached;

#[cached(
    lease = "10s",
    stale_while_revalidate = "10m",
    stale_if_error = "1h",
    refresh_ahead = 0.8,
    jitter = 0.1,
    timeout = "200ms",
    helpers = [refresh, prime, peek]
)]
fn f(id: u64) -> u64 { id }

fn main() {}

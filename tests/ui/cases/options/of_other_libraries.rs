use larder::cached;

#[cached(ttl_secs = 60, sync_writes = true, in_impl = true, force_refresh = { id == 0 }, convert = "{ id }", result_fallback = true)]
fn f(id: u64) -> u64 { id }

#[cached(refresh, prime, redis = true, map_error = |e| e, ty = "Store", with_cached_flag = true)]
fn g(id: u64) -> u64 { id }

#[cached(stale = "10m", type = "LruCache", sync_writes_buckets = 64, option = true, result = true)]
fn h(id: u64) -> Option<u64> { Some(id) }

#[cached(once, companions = true, limit = 100, policy = "lru", TimeToLive: Duration::from_secs(2))]
fn i(id: u64) -> u64 { id }

fn main() {}

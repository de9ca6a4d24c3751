use larder::cached;

#[cached(ttl_secs = 60, sync_writes = true, in_impl = true, force_refresh = { id == 0 }, convert = "{ id }", result_fallback = true)]
fn f(id: u64) -> u64 { id }

#[cached(refresh, prime, redis = true, map_error = |e| e, ty = "Store", with_cached_flag = true)]
fn g(id: u64) -> u64 { id }

fn main() {}

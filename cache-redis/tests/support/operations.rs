//! Every operation of a backend, while something is wrong and afterwards.

use std::time::{Duration, Instant};

use cache_core::ErrorKind;
use cache_core::backend::{Backend, LeaseRequest};
use cache_redis::Redis;

use super::{NOTHING_SEEN, Shortcuts, key, tag, within};

pub const TIMEOUT: Duration = Duration::from_millis(200);
/// For a slow machine with much to do.
pub const SLACK: Duration = Duration::from_millis(800);

/// All operations end in time; how they ended.
pub async fn all_operations(redis: &Redis) -> [Result<(), ErrorKind>; 3] {
    let k = key("outage");
    let request = LeaseRequest { duration: None, seen: NOTHING_SEEN, tags: &[tag(1)], take_over: false };
    let limit = TIMEOUT + SLACK;
    let kind = |error: cache_core::Error| error.kind();
    [
        within(limit, "read", redis.read(&k)).await.map(drop).map_err(kind),
        within(limit, "lease", redis.lease(&k, request)).await.map(drop).map_err(kind),
        within(limit, "invalidate", redis.invalidate(&[tag(1)])).await.map(drop).map_err(kind),
    ]
}

pub const UNAVAILABLE: [Result<(), ErrorKind>; 3] = [Err(ErrorKind::Unavailable); 3];

/// Until all operations succeed.
pub async fn recovers(redis: &Redis) {
    within(Duration::from_secs(20), "recovery", async {
        while all_operations(redis).await != [Ok(()); 3] {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    redis.put(&key("after"), b"v", &[tag(7)]).await;
    assert!(redis.payload(&key("after")).await.is_some());
    redis.invalidate(&[tag(7)]).await.unwrap();
}

/// Calls cost nothing while the breaker is open.
pub async fn is_quick(redis: &Redis) {
    let began = Instant::now();
    for _ in 0..100 {
        assert_eq!(all_operations(redis).await, UNAVAILABLE);
    }
    assert!(began.elapsed() < SLACK, "{:?}", began.elapsed());
}

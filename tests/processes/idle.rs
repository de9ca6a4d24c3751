//! `idle_ttl` with a real Redis: a result that one process uses is there for the others.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use larder::{Cache, Redis, cached};
use larder_testbed::Server;

const IDLE: Duration = Duration::from_secs(4);

async fn cache(server: &Server) -> Cache {
    let redis = Redis::builder(server.url()).prefix("app").timeout(Duration::from_secs(30)).connect().await.unwrap();
    Cache::builder().backend(redis).build().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_process_uses_is_there_for_the_others() {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    #[cached(ttl = "1h", idle_ttl = "4s")]
    async fn used(key: u64) -> u64 {
        RUNS.fetch_add(1, Ordering::SeqCst);
        key
    }
    #[cached(ttl = "1h", idle_ttl = "4s")]
    async fn unused(key: u64) -> u64 {
        RUNS.fetch_add(1, Ordering::SeqCst);
        key
    }
    let server = Server::start();
    let (one, other) = (cache(&server).await, cache(&server).await);
    one.with(unused(1)).await;
    let begun = Instant::now();
    // Half of its time for a machine that is busy.
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    while begun.elapsed() < 2 * IDLE {
        ticks.tick().await;
        assert_eq!(one.with(used(1)).await, 1);
    }
    assert_eq!(RUNS.load(Ordering::SeqCst), 2);
    let backend_hits = |cache: &Cache| cache.stats().function("used").map(|stats| stats.backend_hits);
    assert_eq!(other.with(used(1)).await, 1);
    assert_eq!((RUNS.load(Ordering::SeqCst), backend_hits(&other)), (2, Some(1)));
    assert!(backend_hits(&one) < Some(5), "its memory has answered nearly all: {:?}", backend_hits(&one));
    assert_eq!(other.with(unused(1)).await, 1);
    assert_eq!(RUNS.load(Ordering::SeqCst), 3, "nobody has used the other one");
    tokio::time::sleep(IDLE).await;
    assert_eq!((other.with(used(1)).await, RUNS.load(Ordering::SeqCst)), (1, 4));
}

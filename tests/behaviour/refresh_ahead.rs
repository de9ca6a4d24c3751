//! `refresh_ahead`: renewed in the background before it is too old.

use larder::cached;

use crate::support::{Gate, Runs, seconds, stats_of, timed, until};

#[tokio::test]
async fn after_its_share_of_the_ttl() {
    static RUNS: Runs = Runs::new();
    static GATE: Gate = Gate::new();
    #[cached(ttl = "100s", refresh_ahead = 0.8)]
    async fn f(id: u64) -> usize {
        let _ = id;
        let run = RUNS.add();
        if run > 1 {
            GATE.pass().await;
        }
        run
    }
    let (cache, clock) = timed();
    assert_eq!(cache.with(f(1)).await, 1);
    clock.advance(seconds(79));
    assert_eq!(cache.with(f(1)).await, 1);
    assert_eq!(stats_of(&cache, "f").background, 0);
    clock.advance(seconds(1));
    assert_eq!((cache.with(f(1)).await, cache.with(f(1)).await), (1, 1));
    GATE.arrival().await;
    assert_eq!(RUNS.get(), 2);
    GATE.open(1);
    until(|| cache.stats().flights == 0).await;
    clock.advance(seconds(60));
    assert_eq!((cache.with(f(1)).await, RUNS.get()), (2, 2), "it lives from when it was renewed");
    let stats = stats_of(&cache, "f");
    assert_eq!((stats.background, stats.served_stale), (1, 0));
}

#[tokio::test]
async fn past_the_ttl_nothing_is_served() {
    static RUNS: Runs = Runs::new();
    #[cached(ttl = "100s", refresh_ahead = 0.8)]
    async fn f() -> usize {
        RUNS.add()
    }
    let (cache, clock) = timed();
    assert_eq!(cache.with(f()).await, 1);
    clock.advance(seconds(100));
    assert_eq!(cache.with(f()).await, 2);
}

/// What a backend has is as fresh as where it comes from.
#[cfg(feature = "msgpack")]
#[tokio::test]
async fn a_fresh_answer_of_a_backend_starts_no_run() {
    use larder::Cache;
    use larder::reference::SharedMemory;

    static RUNS: Runs = Runs::new();
    #[cached(ttl = "100s", refresh_ahead = 0.8)]
    async fn f() -> usize {
        RUNS.add()
    }
    let shared = SharedMemory::new();
    let cache = || Cache::builder().backend(shared.another_process());
    assert_eq!(cache().build().unwrap().with(f()).await, 1);
    // Where there is no memory, nothing else keeps a run from being started.
    for other in [cache(), cache().without_memory()] {
        let other = other.build().unwrap();
        assert_eq!(other.with(f()).await, 1);
        let stats = stats_of(&other, "f");
        assert_eq!((stats.backend_hits, stats.background, other.stats().flights), (1, 0, 0));
    }
    assert_eq!(RUNS.get(), 1);
}

//! Promise 5: after churn, memory and bookkeeping are back where they started.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use larder::reference::SharedMemory;
use larder::{Memory, cached, invalidate_tag};

use crate::support::{cache, with_memory, without_memory};

/// Counts how many of it there are.
static ALIVE: AtomicUsize = AtomicUsize::new(0);

struct Counted;

impl Counted {
    fn new() -> Arc<Self> {
        ALIVE.fetch_add(1, Ordering::SeqCst);
        Arc::new(Self)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        ALIVE.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cached(local, tags = [("item", key), ("group", key % 10)])]
fn make(key: u64) -> Arc<Counted> {
    Counted::new()
}

#[cached]
fn unrelated(key: u64) -> u64 {
    key
}

#[test]
fn the_memory_layer_keeps_its_bound_and_frees_tags_with_entries() {
    let cache = with_memory(Memory::builder().max_entries(100));
    cache.with_sync(|| {
        for key in 0..20_000 {
            make(key);
        }
        let stats = larder::stats();
        assert!(stats.memory_entries <= 100, "{stats}");
        assert_eq!(stats.flights, 0);
        // What is evicted is freed a little later, in batches: of 20,000 entries all but a few hundred are gone, and
        // with each its key's tag and one of its own.
        assert!(ALIVE.load(Ordering::SeqCst) <= 600);
        assert!(stats.tags <= 600 * 2 + 30, "{stats}");
        // Not that of the library, which clears the caches of the tests beside this one too.
        crate::support::block_on(cache.reset()).unwrap();
        let stats = larder::stats();
        assert_eq!(stats.memory_entries, 0, "{stats}");
    });
    drop(cache);
    // Other caches' work frees what is left over.
    for _ in 0..1_000 {
        if ALIVE.load(Ordering::SeqCst) == 0 {
            return;
        }
        crate::support::cache().with_sync(|| unrelated(1));
    }
    assert_eq!(ALIVE.load(Ordering::SeqCst), 0, "a cache that is dropped frees everything");
}

#[tokio::test]
async fn invalidations_of_tags_nobody_holds_leave_nothing() {
    let cache = cache();
    cache
        .with(async {
            for number in 0..50_000 {
                invalidate_tag(("nobody", number)).await.unwrap();
            }
        })
        .await;
    assert_eq!(cache.stats().tags, 0);
}

#[tokio::test]
async fn invalidations_during_a_long_run_are_forgotten_when_it_ends() {
    #[cached]
    async fn long() -> u32 {
        for number in 0..100_000 {
            invalidate_tag(("meanwhile", number)).await.unwrap();
        }
        1
    }
    let cache = cache();
    cache.with(long()).await;
    assert!(cache.stats().tags < 10);
}

#[tokio::test]
async fn entries_that_are_invalidated_are_freed_when_they_are_asked_for() {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    #[cached(tags = ["all"], cache_if = |_| RUNS.load(Ordering::SeqCst) <= 100)]
    async fn read(key: u64) -> u64 {
        RUNS.fetch_add(1, Ordering::SeqCst);
        key
    }
    let cache = cache();
    cache
        .with(async {
            for key in 0..100 {
                read(key).await;
            }
            assert_eq!(larder::stats().memory_entries, 100);
            invalidate_tag("all").await.unwrap();
            for key in 0..100 {
                read(key).await; // not stored any more
            }
            assert_eq!(larder::stats().memory_entries, 0);
        })
        .await;
}

#[tokio::test]
async fn a_backend_is_back_where_it_started() {
    #[cached(ttl = "1s", tags = [("item", key)])]
    async fn read(key: u64) -> u64 {
        key
    }
    let clock = larder::Clock::manual();
    let shared = SharedMemory::with_clock(&clock);
    let cache = without_memory(&shared);
    cache
        .with(async {
            for round in 0..20_u64 {
                for key in 0..500 {
                    read(round * 500 + key).await;
                    if key % 5 == 0 {
                        invalidate_tag(("item", round * 500 + key)).await.unwrap();
                    }
                }
                clock.advance(std::time::Duration::from_secs(2));
            }
        })
        .await;
    let usage = shared.usage();
    assert!(usage.entries <= 1_100, "{usage:?}");
    assert_eq!(usage.leases, 0, "{usage:?}");
}

#[test]
fn thousands_of_functions_and_keys_leave_no_flights() {
    #[cached]
    fn read(key: u64) -> u64 {
        key
    }
    let cache = cache();
    std::thread::scope(|threads| {
        for thread in 0..4_u64 {
            let cache = &cache;
            threads.spawn(move || {
                for key in 0..5_000 {
                    cache.with_sync(|| read(key * (thread % 2 + 1)));
                }
            });
        }
    });
    assert_eq!(cache.stats().flights, 0);
}

/// Each is called from the one before, which is over by then: none must keep those before it.
#[tokio::test]
async fn a_chain_of_runs_that_are_carried_on_keeps_none_of_them() {
    const LINKS: u64 = 200_000;
    static ENDED: tokio::sync::Notify = tokio::sync::Notify::const_new();
    #[cached(local, max_entries = 10)]
    fn link(number: u64) -> u64 {
        if number == LINKS {
            ENDED.notify_one();
        } else {
            tokio::spawn(larder::carry(async move { link(number + 1) }));
        }
        number
    }
    cache().with_sync(|| link(0));
    ENDED.notified().await;
}

//! Several backends behind one another: each answers for those behind it, and nothing becomes newer on the way.

use std::sync::atomic::{AtomicU64, Ordering};

use larder::reference::SharedMemory;
use larder::{Cache, cached};

use crate::support::{Runs, without_memory};

struct Chain {
    near: SharedMemory,
    far: SharedMemory,
}

impl Chain {
    fn new() -> Self {
        Self { near: SharedMemory::new(), far: SharedMemory::new() }
    }

    fn process(&self) -> Cache {
        let builder = Cache::builder().without_memory();
        builder.backend(self.near.another_process()).backend(self.far.another_process()).build().unwrap()
    }
}

#[tokio::test]
async fn what_a_far_layer_knows_is_copied_to_the_near_one() {
    static RUNS: Runs = Runs::new();
    #[cached(tags = ["data"])]
    async fn read() -> usize {
        RUNS.begin().number
    }
    let chain = Chain::new();
    assert_eq!(chain.process().with(read()).await, 1);
    assert_eq!(without_memory(&chain.near).with(read()).await, 1, "stored near");
    assert_eq!(without_memory(&chain.far).with(read()).await, 1, "and far");
    chain.near.flush();
    assert_eq!(chain.process().with(read()).await, 1, "answered from far");
    assert_eq!(without_memory(&chain.near).with(read()).await, 1, "and copied");
    assert_eq!(RUNS.count(), 1);
}

#[tokio::test]
async fn an_invalidation_reaches_every_layer_and_what_was_copied() {
    static DATA: AtomicU64 = AtomicU64::new(1);
    #[cached(tags = ["leaf"])]
    async fn leaf() -> u64 {
        DATA.load(Ordering::SeqCst)
    }
    #[cached]
    async fn top() -> u64 {
        leaf().await
    }
    let chain = Chain::new();
    assert_eq!(chain.process().with(top()).await, 1);
    chain.near.flush();
    assert_eq!(chain.process().with(top()).await, 1); // copied back to the near layer
    DATA.store(2, Ordering::SeqCst);
    chain.process().invalidate_tag("leaf").await.unwrap();
    for cache in [without_memory(&chain.near), without_memory(&chain.far), chain.process()] {
        assert_eq!(cache.with(top()).await, 2);
    }
}

#[tokio::test]
async fn a_layer_that_fails_is_passed_over() {
    static RUNS: Runs = Runs::new();
    #[cached]
    async fn read() -> usize {
        RUNS.begin().number
    }
    let chain = Chain::new();
    let near = chain.near.another_process();
    let cache =
        Cache::builder().without_memory().backend(near.clone()).backend(chain.far.another_process()).build().unwrap();
    near.fail_with(Some(larder::ErrorKind::Unavailable));
    assert_eq!((cache.with(read()).await, cache.with(read()).await), (1, 1), "the far one answers");
    assert!(cache.invalidate_tag("any").await.is_err(), "but an invalidation has to reach all");
}

/// The far layer records first, so what is copied from it while an invalidation is under way is never taken for new.
#[tokio::test]
async fn invalidations_racing_with_copies() {
    static DATA: AtomicU64 = AtomicU64::new(0);
    #[cached(tags = ["data"])]
    async fn read() -> u64 {
        DATA.load(Ordering::SeqCst)
    }
    let chain = Chain::new();
    std::thread::scope(|threads| {
        for seed in 0..3_u64 {
            let process = chain.process();
            let near = chain.near.clone();
            threads.spawn(move || {
                for round in 0..300 {
                    if (round + seed) % 7 == 0 {
                        near.lose_entries();
                    }
                    if round % 5 == seed {
                        let due = DATA.fetch_add(1, Ordering::SeqCst) + 1;
                        crate::support::block_on(process.invalidate_tag("data")).unwrap();
                        assert!(crate::support::block_on(process.with(read())) >= due);
                    } else {
                        crate::support::block_on(process.with(read()));
                    }
                }
            });
        }
    });
}

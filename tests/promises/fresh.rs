//! Promise 1: after an invalidation has returned, no call that starts later gets a value whose run began before it.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use larder::reference::SharedMemory;
use larder::{Cache, Clock, ManualClock, cached, invalidate_tag};

use crate::support::{Deaf, Gate, Runs, STALENESS, block_on, cache, poll_once, two_processes, without_memory};

/// Data that changes, with runs that read it and then are held back.
macro_rules! slow_reader {
    ($data:ident, $runs:ident, $gate:ident, $read:ident $(, $option:meta)*) => {
        static $data: AtomicU64 = AtomicU64::new(0);
        static $runs: Runs = Runs::new();
        static $gate: LazyLock<Gate> = LazyLock::new(Gate::new);

        #[cached(tags = ["data"] $(, $option)*)]
        async fn $read(key: u32) -> u64 {
            let _run = $runs.begin();
            let _ = key;
            let value = $data.load(Ordering::SeqCst);
            $gate.pass().await;
            value
        }
    };
}

#[tokio::test]
async fn a_value_computed_before_an_invalidation_is_not_stored_after_it() {
    slow_reader!(DATA, RUNS, GATE, read);
    cache()
        .with(async {
            let mut old = Box::pin(read(1));
            assert!(poll_once(&mut old).await.is_none());
            DATA.store(1, Ordering::SeqCst);
            invalidate_tag("data").await.unwrap();
            GATE.open(10);
            assert_eq!(old.await, 0, "the caller from before gets what its run read");
            assert_eq!(read(1).await, 1, "the next call doesn't");
            assert_eq!(read(1).await, 1);
            assert_eq!(RUNS.count(), 2, "and the new value is stored");
        })
        .await;
}

#[tokio::test]
async fn a_call_after_an_invalidation_does_not_wait_for_a_run_from_before() {
    slow_reader!(DATA, RUNS, GATE, read);
    cache()
        .with(async {
            let mut old = Box::pin(read(1));
            assert!(poll_once(&mut old).await.is_none());
            DATA.store(1, Ordering::SeqCst);
            invalidate_tag("data").await.unwrap();
            let mut new = Box::pin(read(1));
            assert!(poll_once(&mut new).await.is_none());
            assert_eq!(RUNS.count(), 2, "it has a run of its own while the old one is still at it");
            GATE.open(2);
            assert_eq!((new.await, old.await), (1, 0));
            assert_eq!(read(1).await, 1, "and the old run's end changes nothing");
            assert_eq!(RUNS.count(), 2);
        })
        .await;
}

#[tokio::test]
async fn one_who_waited_since_before_takes_the_old_value_and_one_from_after_does_not() {
    // Whatever else is invalidated in the process between the run's beginning and the first call is a reason not to take its
    // value.
    if !larder_testbed::alone("fresh::one_who_waited_since_before_takes_the_old_value_and_one_from_after_does_not") {
        return;
    }
    slow_reader!(DATA, RUNS, GATE, read);
    cache()
        .with(async {
            let (mut leader, mut before) = (Box::pin(read(1)), Box::pin(read(1)));
            assert!(poll_once(&mut leader).await.is_none());
            assert!(poll_once(&mut before).await.is_none());
            DATA.store(1, Ordering::SeqCst);
            invalidate_tag("data").await.unwrap();
            let mut after = Box::pin(read(1));
            assert!(poll_once(&mut after).await.is_none());
            GATE.open(2);
            assert_eq!((leader.await, before.await, after.await), (0, 0, 1));
            assert_eq!(RUNS.count(), 2);
        })
        .await;
}

#[tokio::test]
async fn runs_of_one_key_don_t_pile_up_however_fast_invalidations_come() {
    slow_reader!(DATA, RUNS, GATE, read);
    cache()
        .with(async {
            let mut calls = Vec::new();
            for _ in 0..50 {
                let mut call = Box::pin(read(1));
                assert!(poll_once(&mut call).await.is_none());
                calls.push(call);
                DATA.fetch_add(1, Ordering::SeqCst);
                invalidate_tag("data").await.unwrap();
            }
            assert_eq!(RUNS.most_at_once(), 2);
            GATE.open(1000);
            for call in &mut calls {
                call.await;
            }
            assert_eq!(read(1).await, 50);
            assert_eq!(RUNS.most_at_once(), 2);
        })
        .await;
}

#[tokio::test]
async fn a_tag_that_the_run_adds_at_its_end_counts_from_its_beginning() {
    static DATA: AtomicU64 = AtomicU64::new(0);
    static RUNS: Runs = Runs::new();
    static GATE: LazyLock<Gate> = LazyLock::new(Gate::new);

    #[cached(result_tags = |_| ["by result"])]
    async fn read(tag: &'static str) -> u64 {
        let _run = RUNS.begin();
        let value = DATA.load(Ordering::SeqCst);
        GATE.pass().await;
        larder::add_tag(tag);
        value
    }

    for tag in ["added at the end", "by result"] {
        DATA.store(0, Ordering::SeqCst);
        let before = RUNS.count();
        cache()
            .with(async {
                let mut old = Box::pin(read(tag));
                assert!(poll_once(&mut old).await.is_none());
                DATA.store(1, Ordering::SeqCst);
                invalidate_tag(tag).await.unwrap(); // nobody holds that tag yet
                GATE.open(2);
                assert_eq!(old.await, 0);
                assert_eq!(read(tag).await, 1, "{tag}");
                assert_eq!(RUNS.count() - before, 2);
            })
            .await;
    }
}

/// Nobody can know yet that the run under way is stale, so a call from after the invalidation waits for it; but it
/// doesn't take its value.
#[tokio::test]
async fn one_from_after_who_waited_for_a_run_that_turns_out_stale_goes_round() {
    static DATA: AtomicU64 = AtomicU64::new(0);
    static RUNS: Runs = Runs::new();
    static GATE: LazyLock<Gate> = LazyLock::new(Gate::new);

    #[cached]
    async fn read() -> u64 {
        let _run = RUNS.begin();
        let value = DATA.load(Ordering::SeqCst);
        GATE.pass().await;
        larder::add_tag("known at the end");
        value
    }

    cache()
        .with(async {
            let mut before = Box::pin(read());
            assert!(poll_once(&mut before).await.is_none());
            DATA.store(1, Ordering::SeqCst);
            invalidate_tag("known at the end").await.unwrap();
            let mut after = Box::pin(read());
            assert!(poll_once(&mut after).await.is_none());
            assert_eq!(RUNS.count(), 1, "it waits");
            GATE.open(2);
            assert_eq!((before.await, after.await), (0, 1));
            assert_eq!((RUNS.count(), RUNS.most_at_once()), (2, 1));
        })
        .await;
}

#[tokio::test]
async fn a_foreign_invalidation_costs_no_run() {
    slow_reader!(DATA, RUNS, GATE, read);
    cache()
        .with(async {
            let mut call = Box::pin(read(1));
            assert!(poll_once(&mut call).await.is_none());
            for number in 0..1000 {
                invalidate_tag(("foreign", number)).await.unwrap();
            }
            GATE.open(1);
            call.await;
            read(1).await;
            assert_eq!(RUNS.count(), 1, "its result was stored all the same");
        })
        .await;
}

#[tokio::test]
async fn invalidating_the_key_or_the_function_during_a_run_counts_too() {
    slow_reader!(DATA, RUNS, GATE, read);
    async fn check<F: Future<Output = ()>>(invalidate: impl FnOnce() -> F) {
        let before = RUNS.count();
        DATA.store(0, Ordering::SeqCst);
        cache()
            .with(async {
                let mut old = Box::pin(read(1));
                assert!(poll_once(&mut old).await.is_none());
                DATA.store(1, Ordering::SeqCst);
                invalidate().await;
                GATE.open(2);
                assert_eq!((old.await, read(1).await), (0, 1));
                assert_eq!(RUNS.count() - before, 2);
            })
            .await;
    }
    check(async || drop(invalidate_read(1).await.unwrap())).await;
    check(async || drop(invalidate_all_read().await.unwrap())).await;
    check(async || drop(Cache::ambient().reset().await.unwrap())).await;
    check(async || drop(larder::Scope::global().clear().await.unwrap())).await;
}

#[tokio::test]
async fn a_refresh_that_an_invalidation_overtakes_is_not_stored() {
    slow_reader!(DATA, RUNS, GATE, read);
    cache()
        .with(async {
            GATE.open(1);
            assert_eq!(read(1).await, 0);
            let mut refresh = Box::pin(larder::refreshing(read(1)));
            assert!(poll_once(&mut refresh).await.is_none());
            DATA.store(1, Ordering::SeqCst);
            invalidate_tag("data").await.unwrap();
            GATE.open(10);
            assert_eq!(refresh.await, 0);
            assert_eq!(read(1).await, 1);
        })
        .await;
}

#[tokio::test]
async fn another_process_stops_serving_from_memory_and_from_the_backend() {
    slow_reader!(DATA, RUNS, GATE, read);
    GATE.open(100);
    let (here, there, shared) = two_processes();
    assert_eq!(here.with(read(1)).await, 0);
    assert_eq!(there.with(read(1)).await, 0, "from the backend");
    assert_eq!(RUNS.count(), 1);
    DATA.store(1, Ordering::SeqCst);
    there.invalidate_tag("data").await.unwrap();
    assert_eq!(here.with(read(1)).await, 1);
    assert_eq!(there.with(read(1)).await, 1);
    assert_eq!(without_memory(&shared).with(read(1)).await, 1);
    assert_eq!(RUNS.count(), 2);
}

#[tokio::test]
async fn a_run_that_another_process_invalidates_is_stored_nowhere() {
    slow_reader!(DATA, RUNS, GATE, read);
    let (here, there, shared) = two_processes();
    let mut old = Box::pin(here.with(read(1)));
    assert!(poll_once(&mut old).await.is_none());
    DATA.store(1, Ordering::SeqCst);
    there.invalidate_tag("data").await.unwrap();
    GATE.open(100);
    assert_eq!(old.await, 0);
    assert_eq!(without_memory(&shared).with(read(1)).await, 1, "not in the backend");
    assert_eq!(here.with(read(1)).await, 1, "not in memory");
}

#[tokio::test]
async fn an_invalidation_by_another_cache_reaches_what_was_computed_from_its_entries() {
    static DATA: AtomicU64 = AtomicU64::new(0);
    static INNER: LazyLock<Cache> = LazyLock::new(cache);

    #[cached(cache = INNER, tags = ["inner"])]
    async fn inner() -> u64 {
        DATA.load(Ordering::SeqCst)
    }

    #[cached]
    async fn outer() -> u64 {
        inner().await
    }

    let cache = cache();
    assert_eq!(cache.with(outer()).await, 0);
    DATA.store(1, Ordering::SeqCst);
    INNER.invalidate_tag("inner").await.unwrap();
    assert_eq!(cache.with(outer()).await, 1);
}

/// Without a word from the others, memory is trusted for `max_staleness` and no longer; the backend is never behind.
#[tokio::test]
async fn a_process_that_hears_nothing_is_behind_for_max_staleness_at_most() {
    static DATA: AtomicU64 = AtomicU64::new(0);
    #[cached(tags = ["data"])]
    async fn read() -> u64 {
        DATA.load(Ordering::SeqCst)
    }
    let shared = SharedMemory::new();
    let clock = Clock::manual();
    let deaf = Cache::builder().clock(&clock).backend(Deaf(shared.another_process())).build().unwrap();
    let other = without_memory(&shared);
    assert_eq!(deaf.with(read()).await, 0);
    DATA.store(1, Ordering::SeqCst);
    other.invalidate_tag("data").await.unwrap();
    assert_eq!(deaf.with(read()).await, 0, "as announced");
    clock.advance(STALENESS);
    assert_eq!(deaf.with(read()).await, 1);
    assert_eq!(deaf.stats().function("read").unwrap().memory_hits, 1);
}

/// Else every level of nesting would be behind for as long again.
#[tokio::test]
async fn what_is_built_on_memory_may_be_used_no_longer_than_what_it_is_built_on() {
    static DATA: AtomicU64 = AtomicU64::new(0);
    #[cached(tags = ["data"])]
    async fn child() -> u64 {
        DATA.load(Ordering::SeqCst)
    }
    #[cached]
    async fn parent() -> u64 {
        child().await
    }
    let shared = SharedMemory::new();
    let clock = Clock::manual();
    let deaf = Cache::builder().clock(&clock).backend(Deaf(shared.another_process())).build().unwrap();
    assert_eq!(deaf.with(child()).await, 0);
    DATA.store(1, Ordering::SeqCst);
    without_memory(&shared).invalidate_tag("data").await.unwrap();
    clock.advance(STALENESS - Duration::from_secs(1));
    assert_eq!(deaf.with(parent()).await, 0, "as announced");
    clock.advance(Duration::from_secs(1));
    assert_eq!(deaf.with(parent()).await, 1);
}

/// A cache that nobody has to vouch for doesn't make what it got from another one last longer.
#[tokio::test]
async fn what_is_built_on_another_caches_memory_may_be_used_no_longer_either() {
    static DATA: AtomicU64 = AtomicU64::new(0);
    static SHARED: LazyLock<SharedMemory> = LazyLock::new(SharedMemory::new);
    static CLOCK: LazyLock<ManualClock> = LazyLock::new(Clock::manual);
    static DEAF: LazyLock<Cache> =
        LazyLock::new(|| Cache::builder().clock(&*CLOCK).backend(Deaf(SHARED.another_process())).build().unwrap());
    #[cached(tags = ["data"], cache = DEAF)]
    async fn child() -> u64 {
        DATA.load(Ordering::SeqCst)
    }
    #[cached]
    async fn parent() -> u64 {
        child().await
    }
    #[cached]
    async fn grandparent() -> u64 {
        parent().await
    }
    let alone = Cache::builder().clock(&*CLOCK).build().unwrap();
    assert_eq!(alone.with(grandparent()).await, 0);
    DATA.store(1, Ordering::SeqCst);
    without_memory(&SHARED).invalidate_tag("data").await.unwrap();
    CLOCK.advance(STALENESS - Duration::from_secs(1));
    assert_eq!(alone.with(grandparent()).await, 0, "as announced");
    CLOCK.advance(Duration::from_secs(1));
    assert_eq!(alone.with(grandparent()).await, 1);
}

/// A parent that such a process builds on a child from before is dead for everybody else, though its own run began
/// after the invalidation.
#[tokio::test]
async fn what_is_built_on_a_child_that_is_behind_is_as_old_as_the_child() {
    static DATA: AtomicU64 = AtomicU64::new(0);
    #[cached(tags = ["child"])]
    async fn child() -> u64 {
        DATA.load(Ordering::SeqCst)
    }
    #[cached]
    async fn parent() -> u64 {
        child().await
    }
    let shared = SharedMemory::new();
    let deaf = Cache::builder().backend(Deaf(shared.another_process())).build().unwrap();
    let other = without_memory(&shared);
    assert_eq!(deaf.with(child()).await, 0);
    DATA.store(1, Ordering::SeqCst);
    other.invalidate_tag("child").await.unwrap();
    assert_eq!(deaf.with(parent()).await, 0);
    assert_eq!(other.with(parent()).await, 1);
}

/// A run that takes longer than `max_staleness` answers only those who asked before that was over.
#[tokio::test]
async fn a_process_that_hears_nothing_joins_no_run_that_began_long_ago() {
    slow_reader!(DATA, RUNS, GATE, read);
    let shared = SharedMemory::new();
    let clock = Clock::manual();
    let deaf = Cache::builder().clock(&clock).backend(Deaf(shared.another_process())).build().unwrap();
    let mut before = Box::pin(deaf.with(read(1)));
    assert!(poll_once(&mut before).await.is_none());
    GATE.arrival().await;
    DATA.store(1, Ordering::SeqCst);
    without_memory(&shared).invalidate_tag("data").await.unwrap();
    let mut soon_after = Box::pin(deaf.with(read(1)));
    assert!(poll_once(&mut soon_after).await.is_none());
    clock.advance(STALENESS);
    let mut after = Box::pin(deaf.with(read(1)));
    assert!(poll_once(&mut after).await.is_none());
    GATE.open(2);
    assert_eq!((before.await, soon_after.await, after.await), (0, 0, 1));
    assert_eq!(RUNS.count(), 2);
}

/// A value that is primed has waited for a run, and is invalidated meanwhile: it is no answer to who refreshes after that.
#[tokio::test]
async fn a_primed_value_is_as_old_as_its_call() {
    static DATA: AtomicU64 = AtomicU64::new(0);
    static GATE: LazyLock<Gate> = LazyLock::new(Gate::new);
    static PRIMED: LazyLock<Gate> = LazyLock::new(Gate::new);

    #[cached(helpers = [refresh, prime], cache_if = |value| { hold_back(*value); true })]
    async fn read() -> u64 {
        let value = DATA.load(Ordering::SeqCst);
        if value == 0 {
            GATE.pass().await;
        }
        value
    }
    /// Holds up who primes, once it leads.
    fn hold_back(value: u64) {
        if value == 1 {
            block_on(PRIMED.pass());
        }
    }

    for refreshes in [false, true] {
        let cache = cache();
        DATA.store(0, Ordering::SeqCst);
        let mut run = Box::pin(cache.with(read()));
        assert!(poll_once(&mut run).await.is_none());
        std::thread::scope(|threads| {
            let prime = threads.spawn(|| block_on(cache.with(prime_read(1))));
            block_on(PRIMED.arrival());
            DATA.store(2, Ordering::SeqCst);
            block_on(cache.with(invalidate_read())).unwrap();
            if refreshes {
                assert_eq!(block_on(cache.with(refresh_read())), 2, "it waits for nobody");
            }
            PRIMED.open(1);
            prime.join().unwrap().unwrap();
        });
        GATE.open(1);
        assert_eq!(run.await, 0);
        assert_eq!(cache.with(read()).await, 2);
    }
}

#[test]
fn it_holds_for_sync_functions_on_threads() {
    static DATA: AtomicU64 = AtomicU64::new(0);

    #[cached(tags = ["threads"])]
    fn read(key: u64) -> u64 {
        let _ = key;
        let value = DATA.load(Ordering::SeqCst);
        std::thread::yield_now();
        value
    }

    let cache = cache();
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                for round in 0..2_000_u64 {
                    let due = DATA.load(Ordering::SeqCst);
                    cache.with_sync(|| {
                        if round % 17 == 0 {
                            let written = DATA.fetch_add(1, Ordering::SeqCst) + 1;
                            larder::blocking::invalidate_tag("threads").unwrap();
                            assert!(read(round % 3) >= written);
                        } else {
                            // What was written but not yet invalidated isn't due; so only what this thread wrote is
                            // certain. A value never goes beyond what was written, either.
                            assert!(read(round % 3) <= DATA.load(Ordering::SeqCst));
                        }
                        let _ = due;
                    });
                }
            });
        }
    });
}

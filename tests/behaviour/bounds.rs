//! `max_entries`, `max_bytes` and `weigh`: bounds of one function; `Memory::max_entries`: of a cache.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use larder::{Cache, Memory, blocking, cached};

use crate::support::{Runs, block_on, cache, millis, timed};

/// Counts how many of it are alive.
struct Counted(&'static AtomicUsize);

impl Counted {
    fn new(alive: &'static AtomicUsize) -> Arc<Self> {
        alive.fetch_add(1, Ordering::SeqCst);
        Arc::new(Self(alive))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Threads may hold what was evicted for a few calls more.
fn eventually(what: impl Fn() -> bool) -> bool {
    (0..2_000).any(|_| what() || (std::thread::sleep(millis(1)), false).1)
}

#[test]
fn max_entries() {
    static ALIVE: AtomicUsize = AtomicUsize::new(0);
    static RUNS: Runs = Runs::new();
    #[cached(max_entries = 10, local)]
    fn f(id: u64) -> Arc<Counted> {
        let _ = (id, RUNS.add());
        Counted::new(&ALIVE)
    }
    let cache = cache();
    cache.with_sync(|| {
        for id in 0..10 {
            f(id);
        }
        for id in 0..10 {
            f(id);
        }
        assert_eq!(RUNS.get(), 10, "ten fit");
        for id in 0..1_000 {
            f(id);
        }
    });
    assert_eq!(cache.stats().memory_entries, 10);
    assert!(eventually(|| (cache.stats(), ALIVE.load(Ordering::SeqCst)).1 == 10), "the others are freed");
}

/// Most hits don't reach the store, which still has to learn what is asked for all the time.
#[test]
fn what_is_popular_stays_beside_what_is_so_for_a_while() {
    static RUNS: Runs = Runs::new();
    #[cached(max_entries = 100)]
    fn f(id: u64, name: &str) -> u64 {
        if id == 0 {
            RUNS.add();
        }
        id + name.len() as u64
    }
    // A short key and a long one go different ways to a hit.
    for name in ["", "a name of more than a few letters"] {
        let before = RUNS.get();
        cache().with_sync(|| {
            for id in 1..3_000 {
                (0..200).for_each(|_| _ = f(0, name));
                // The second time it counts as popular, for a while.
                (0..2).for_each(|_| _ = f(id, name));
            }
        });
        let runs = RUNS.get() - before;
        assert!(runs <= 5, "it ran {runs} times {name}");
    }
}

/// However small the bound is. Another thread asks, as this one remembers what it has asked for.
#[test]
fn what_came_in_last_is_kept() {
    static RUNS: Runs = Runs::new();
    macro_rules! of_bound {
        ($($bound:literal)*) => {$({
            #[cached(max_entries = $bound)]
            fn f(id: u64) -> u64 {
                RUNS.add();
                id
            }
            let cache = cache();
            cache.with_sync(|| (0..3 * $bound).for_each(|id| _ = f(id)));
            assert_eq!(cache.stats().memory_entries, $bound);
            let before = RUNS.get();
            let again = || cache.with_sync(|| (2 * $bound..3 * $bound).for_each(|id| _ = f(id)));
            std::thread::scope(|threads| threads.spawn(again).join().unwrap());
            assert_eq!(RUNS.get(), before, "of a bound of {}, the last ones are not kept", $bound);
        })*};
    }
    of_bound!(1 2 10 100 1_000);
}

#[test]
fn unlimited() {
    static RUNS: Runs = Runs::new();
    #[cached(max_entries = unlimited)]
    fn f(id: u64) -> u64 {
        RUNS.add();
        id
    }
    #[cached]
    fn unbounded(id: u64) -> u64 {
        id
    }
    let cache = Cache::builder().memory(Memory::builder().max_entries(10).unlimited()).build().unwrap();
    cache.with_sync(|| (0..150_000).for_each(|id| _ = (f(id), unbounded(id))));
    assert_eq!((cache.stats().memory_entries, RUNS.get()), (300_000, 150_000));
    cache.with_sync(|| (0..150_000).for_each(|id| _ = f(id)));
    assert_eq!(RUNS.get(), 150_000, "all are kept");
}

/// Each state is computed once, and what an invalidation reaches once more.
#[test]
fn deep_recursion_is_linear_and_exact() {
    static RUNS: Runs = Runs::new();
    const STATES: u64 = 3_000;
    #[cached(max_entries = unlimited, helpers = [peek])]
    fn fib(n: u64) -> u64 {
        RUNS.add();
        if n < 2 { n } else { fib(n - 1).wrapping_add(fib(n - 2)) }
    }
    let recursion = || {
        let cache = cache();
        cache.with_sync(|| {
            let result = fib(STATES);
            assert_eq!(RUNS.get() as u64, STATES + 1);
            invalidate_fib(STATES / 2).unwrap();
            assert!(peek_fib(STATES / 2 - 1).is_some());
            assert_eq!(fib(STATES), result);
            assert_eq!(RUNS.get() as u64, STATES + 1 + STATES / 2 + 1, "what is not above it was computed again");
        });
    };
    std::thread::Builder::new().stack_size(256 << 20).spawn(recursion).unwrap().join().unwrap();
}

/// Tests have stacks of 2 MB, on which a few hundred levels would fit.
#[cfg(feature = "deep-recursion")]
#[test]
fn recursion_is_as_deep_as_it_has_to_be() {
    #[cached(max_entries = unlimited, helpers = [peek])]
    fn depth(n: u64) -> u64 {
        if n == 0 { 0 } else { depth(n - 1) + 1 }
    }
    let cache = cache();
    assert_eq!(cache.with_sync(|| depth(30_000)), 30_000);
    // Its entries, each made of the next, are looked at and dropped.
    cache.with_sync(|| {
        invalidate_depth(0).unwrap();
        assert_eq!(depth(30_000), 30_000);
    });
}

/// Beyond what the threads are about to store, and what has just come out.
#[test]
fn many_threads_at_once_stay_near_the_bound() {
    static ALIVE: AtomicUsize = AtomicUsize::new(0);
    static MOST: AtomicUsize = AtomicUsize::new(0);
    const THREADS: usize = 16;
    #[cached(max_bytes = "64MiB", weigh = |_| 1 << 20, local)]
    fn f(id: usize) -> Arc<Counted> {
        let _ = id;
        let new = Counted::new(&ALIVE);
        MOST.fetch_max(ALIVE.load(Ordering::SeqCst), Ordering::SeqCst);
        new
    }
    let cache = cache();
    std::thread::scope(|threads| {
        for thread in 0..THREADS {
            let cache = &cache;
            threads.spawn(move || cache.with_sync(|| (0..500).for_each(|id| _ = f(thread * 1_000_000 + id))));
        }
    });
    let most = MOST.load(Ordering::SeqCst);
    assert!(most <= 64 + 3 * THREADS, "{most} MiB were kept of 64");
    assert_eq!(ALIVE.load(Ordering::SeqCst), 64);
}

#[test]
fn max_entries_can_be_a_constant() {
    const MOST: usize = 3;
    static RUNS: Runs = Runs::new();
    #[cached(max_entries = MOST)]
    fn f(id: u64) -> u64 {
        RUNS.add();
        id
    }
    let cache = cache();
    cache.with_sync(|| (0..100).for_each(|id| _ = f(id)));
    assert_eq!((cache.stats().memory_entries, RUNS.get()), (3, 100));
}

#[test]
fn a_bound_is_of_one_function() {
    static KEPT: Runs = Runs::new();
    #[cached]
    fn kept(id: u64) -> u64 {
        KEPT.add();
        id
    }
    #[cached(max_entries = 1)]
    fn bounded(id: u64) -> u64 {
        id
    }
    let cache = cache();
    cache.with_sync(|| {
        (0..50).for_each(|id| _ = kept(id));
        (0..1_000).for_each(|id| _ = bounded(id));
        assert_eq!(cache.stats().memory_entries, 51);
        (0..50).for_each(|id| _ = kept(id));
    });
    assert_eq!(KEPT.get(), 50);
}

#[test]
fn max_bytes() {
    static RUNS: Runs = Runs::new();
    #[cached(max_bytes = "1kB", weigh = Vec::len)]
    fn f(id: usize, len: usize) -> Vec<u8> {
        let _ = (id, RUNS.add());
        vec![0; len]
    }
    let cache = cache();
    cache.with_sync(|| {
        (0..10).for_each(|id| _ = f(id, 100));
        (0..10).for_each(|id| _ = f(id, 100));
        assert_eq!((RUNS.get(), cache.stats().memory_entries), (10, 10), "ten of a hundred fit");
        (10..100).for_each(|id| _ = f(id, 100));
        assert_eq!((RUNS.get(), cache.stats().memory_entries), (100, 10));
        assert_eq!((f(0, 2_000).len(), cache.stats().memory_entries), (2_000, 10));
        assert_eq!((f(0, 2_000).len(), RUNS.get()), (2_000, 102), "what is heavier than the bound isn't kept");
    });
}

#[test]
fn heavy_values_go_at_once() {
    static ALIVE: AtomicUsize = AtomicUsize::new(0);
    static RUNS: Runs = Runs::new();
    #[cached(max_bytes = "4MiB", weigh = |_| 1 << 20, local)]
    fn f(id: u64) -> Arc<Counted> {
        let _ = (id, RUNS.add());
        Counted::new(&ALIVE)
    }
    #[cached(max_bytes = "4MiB", weigh = |_| 16 << 20, local)]
    fn too_heavy(id: u64) -> Arc<Counted> {
        let _ = id;
        Counted::new(&ALIVE)
    }
    let cache = cache();
    cache.with_sync(|| {
        for id in 0..200 {
            f(id);
            f(id);
            let alive = ALIVE.load(Ordering::SeqCst);
            assert!(alive <= 16, "{alive} MiB are kept of 4");
        }
        assert_eq!(RUNS.get(), 200, "what came last answers the next call");
        let before = ALIVE.load(Ordering::SeqCst);
        (0..200).for_each(|id| _ = too_heavy(id));
        assert!(ALIVE.load(Ordering::SeqCst) <= before, "what is heavier than the bound isn't kept for a moment");
    });
}

#[test]
fn what_weighs_nothing_is_bounded_too() {
    #[cached(max_bytes = 100, weigh = |_| 0)]
    fn f(id: u64) -> u64 {
        id
    }
    let cache = cache();
    cache.with_sync(|| (0..10_000).for_each(|id| _ = f(id)));
    assert_eq!(cache.stats().memory_entries, 100);
}

#[test]
fn what_is_over_is_freed_while_other_functions_are_used() {
    static ALIVE: AtomicUsize = AtomicUsize::new(0);
    #[cached(max_entries = 1_000, ttl = "10ms", local)]
    fn for_a_moment(id: u64) -> Arc<Counted> {
        let _ = id;
        Counted::new(&ALIVE)
    }
    #[cached]
    fn used(id: u64) -> u64 {
        id
    }
    cache().with_sync(|| {
        (0..500).for_each(|id| _ = for_a_moment(id));
        let freed = (0..1_000_000).find(|id| (used(*id), ALIVE.load(Ordering::SeqCst)).1 == 0);
        assert!(freed.is_some(), "{} are left", ALIVE.load(Ordering::SeqCst));
    });
}

/// Each that comes in takes away some of those that are over: so they never become many.
#[test]
fn what_is_over_is_freed_as_others_come_in() {
    static ALIVE: AtomicUsize = AtomicUsize::new(0);
    #[cached(max_bytes = 1_000_000, weigh = |_| 1, ttl = "10s", local)]
    fn f(id: u64) -> Arc<Counted> {
        let _ = id;
        Counted::new(&ALIVE)
    }
    let (cache, clock) = timed();
    cache.with_sync(|| {
        for round in 0..20 {
            (0..300).for_each(|id| _ = f(round * 1_000 + id));
            let alive = ALIVE.load(Ordering::SeqCst);
            assert!(alive <= 300, "{alive} are alive in round {round}");
            clock.advance(std::time::Duration::from_secs(20));
        }
    });
}

#[test]
fn what_is_over_is_not_counted() {
    #[cached(max_entries = 100, ttl = "1m")]
    fn f(id: u64) -> u64 {
        id
    }
    let (cache, clock) = timed();
    cache.with_sync(|| (0..100).for_each(|id| _ = f(id)));
    clock.advance(std::time::Duration::from_secs(1));
    cache.with_sync(|| (100..200).for_each(|id| _ = f(id)));
    assert_eq!(cache.stats().memory_entries, 100);
    clock.advance(std::time::Duration::from_secs(100));
    assert_eq!(cache.stats().memory_entries, 0);
}

/// By decades.
#[test]
fn a_clock_that_is_far_ahead_changes_nothing() {
    #[cached(ttl = "1m", local)]
    fn f(id: u64) -> u64 {
        id
    }
    let (cache, clock) = timed();
    clock.advance(std::time::Duration::from_secs(40 * 366 * 86_400));
    cache.with_sync(|| (0..1_000).for_each(|id| _ = f(id)));
    assert_eq!(cache.stats().memory_entries, 1_000);
    clock.advance(std::time::Duration::from_secs(100));
    cache.with_sync(|| f(5_000));
    assert_eq!(cache.stats().memory_entries, 1);
}

#[test]
fn weights_may_be_of_any_integer_and_bytes_a_constant() {
    const MOST: u32 = 4 * 1024;
    fn weight(list: &[u64]) -> u32 {
        u32::try_from(list.len() * 8).unwrap()
    }
    #[cached(max_bytes = MOST, weigh = |list| weight(list))]
    fn f(id: usize) -> Vec<u64> {
        vec![0; id]
    }
    let cache = cache();
    cache.with_sync(|| (0..100).for_each(|_| _ = f(100)));
    assert_eq!(cache.stats().memory_entries, 1);
    cache.with_sync(|| (100..200).for_each(|id| _ = f(id)));
    assert!((1..=5).contains(&cache.stats().memory_entries), "{}", cache.stats());
}

#[test]
fn weigh_sees_the_ok() {
    #[cached(max_bytes = 10, weigh = String::len)]
    fn f(id: u64) -> Result<String, u8> {
        Ok(format!("{id:05}"))
    }
    let cache = cache();
    cache.with_sync(|| (0..100).for_each(|id| _ = f(id)));
    assert_eq!(cache.stats().memory_entries, 2);
}

#[test]
fn of_a_cache() {
    static RUNS: Runs = Runs::new();
    #[cached]
    fn one(id: u64) -> u64 {
        RUNS.add();
        id
    }
    #[cached]
    fn two(id: u64) -> u64 {
        RUNS.add();
        id
    }
    let cache = Cache::builder().memory(Memory::builder().max_entries(20)).build().unwrap();
    cache.with_sync(|| (0..500).for_each(|id| _ = (one(id), two(id))));
    assert_eq!((cache.stats().memory_entries, RUNS.get()), (20, 1_000));
}

#[test]
fn without_a_memory_layer() {
    static RUNS: Runs = Runs::new();
    #[cached(max_entries = 10)]
    fn f() -> usize {
        RUNS.add()
    }
    let cache = Cache::builder().without_memory().build().unwrap();
    cache.with_sync(|| assert_eq!((f(), f()), (1, 2)));
    assert_eq!((cache.stats().memory_entries, RUNS.get()), (0, 2));
}

static ALIVE: AtomicUsize = AtomicUsize::new(0);
static SHARED: LazyLock<Cache> = LazyLock::new(cache);

#[test]
fn what_is_invalid_is_freed() {
    #[cached(cache = SHARED, tags = [("id", id)], local)]
    fn f(id: u64) -> Arc<Counted> {
        Counted::new(&ALIVE)
    }
    // `stats` lets the memory layer do what it put off.
    let alive = |count| eventually(|| (SHARED.stats(), ALIVE.load(Ordering::SeqCst)).1 == count);
    (0..10).for_each(|id| _ = f(id));
    assert!(alive(10));
    SHARED.with_sync(|| blocking::invalidate_tag(("id", 1)).unwrap());
    f(1);
    assert!(alive(10), "the new one in the place of the old one");
    SHARED.with_sync(|| blocking::invalidate_tag("id").unwrap());
    (0..3).for_each(|id| _ = f(id));
    assert!(alive(10));
    block_on(SHARED.reset()).unwrap();
    assert_eq!(SHARED.stats().memory_entries, 0);
    assert!(alive(0));
}

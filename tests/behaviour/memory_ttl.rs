//! `memory_ttl`: a shorter lifetime in the memory layer; and `Memory::ttl`, the same for a whole cache.

use std::time::Duration;

use larder::{Cache, Clock, Memory, cached};

use crate::support::{Runs, seconds, timed};

#[test]
fn the_shorter_counts() {
    static BOTH: Runs = Runs::new();
    #[cached(ttl = "10s", memory_ttl = "3s")]
    fn both() -> usize {
        BOTH.add()
    }
    static LONGER: Runs = Runs::new();
    #[cached(ttl = "3s", memory_ttl = "10s")]
    fn longer() -> usize {
        LONGER.add()
    }
    static ONLY: Runs = Runs::new();
    #[cached(memory_ttl = Duration::from_secs(seconds))]
    fn only(seconds: u64) -> usize {
        let _ = seconds;
        ONLY.add()
    }
    let (cache, clock) = timed();
    let runs = || {
        cache.with_sync(|| (both(), longer(), only(3)));
        (BOTH.get(), LONGER.get(), ONLY.get())
    };
    assert_eq!(runs(), (1, 1, 1));
    clock.advance(seconds(2));
    assert_eq!(runs(), (1, 1, 1));
    clock.advance(seconds(1));
    assert_eq!(runs(), (2, 2, 2));
}

#[test]
fn the_cache_has_the_last_word() {
    static LONG: Runs = Runs::new();
    #[cached(ttl = "1h")]
    fn long() -> usize {
        LONG.add()
    }
    static ENDLESS: Runs = Runs::new();
    #[cached]
    fn endless() -> usize {
        ENDLESS.add()
    }
    static SHORT: Runs = Runs::new();
    #[cached(ttl = "1s")]
    fn short() -> usize {
        SHORT.add()
    }
    let clock = Clock::manual();
    let memory = Memory::builder().ttl(seconds(60));
    let cache = Cache::builder().memory(memory).clock(&clock).build().unwrap();
    let runs = || {
        cache.with_sync(|| (long(), endless(), short()));
        (LONG.get(), ENDLESS.get(), SHORT.get())
    };
    assert_eq!(runs(), (1, 1, 1));
    clock.advance(seconds(59));
    assert_eq!(runs(), (1, 1, 2));
    clock.advance(seconds(1));
    assert_eq!(runs(), (2, 2, 3));
}

/// After `memory_ttl` a shared layer is asked, not the body.
#[cfg(feature = "msgpack")]
#[test]
fn the_entry_lives_on_in_a_shared_layer() {
    use larder::reference::SharedMemory;

    use crate::support::stats_of;

    static RUNS: Runs = Runs::new();
    #[cached(ttl = "10s", memory_ttl = "3s")]
    fn f() -> usize {
        RUNS.add()
    }
    let clock = Clock::manual();
    let shared = SharedMemory::with_clock(&clock);
    let cache = Cache::builder().backend(shared).clock(&clock).build().unwrap();
    let call = |after| {
        clock.advance(seconds(after));
        cache.with_sync(f);
        let stats = stats_of(&cache, "f");
        (RUNS.get(), stats.memory_hits, stats.backend_hits)
    };
    assert_eq!(call(0), (1, 0, 0));
    assert_eq!(call(2), (1, 1, 0));
    assert_eq!(call(1), (1, 1, 1), "after three seconds it is taken from there, for another three");
    assert_eq!(call(2), (1, 2, 1));
    assert_eq!(call(4), (1, 2, 2));
    assert_eq!(call(1), (2, 2, 2), "and after ten it is gone");
    let stats = stats_of(&cache, "f");
    assert_eq!((stats.misses, stats.runs), (2, 2), "an answer of the shared layer is no miss");
}

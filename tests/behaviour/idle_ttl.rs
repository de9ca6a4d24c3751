//! `idle_ttl`: a lifetime that hits prolong, never beyond `ttl`.

use std::time::Duration;

use larder::{Cache, cached};

use crate::support::{Runs, millis, seconds, timed};

#[test]
fn hits_prolong_it_up_to_the_ttl() {
    static RUNS: Runs = Runs::new();
    #[cached(ttl = "100s", idle_ttl = "16s")]
    fn f() -> usize {
        RUNS.add()
    }
    let (cache, clock) = timed();
    for _ in 0..100 {
        assert_eq!(cache.with_sync(f), 1);
        clock.advance(seconds(1));
    }
    assert_eq!(cache.with_sync(f), 2, "it lives no longer than its ttl, however often it is used");
}

#[test]
fn without_hits_it_ends() {
    static RUNS: Runs = Runs::new();
    #[cached(ttl = "100s", idle_ttl = "16s")]
    fn f(key: u64) -> usize {
        let _ = key;
        RUNS.add()
    }
    let (cache, clock) = timed();
    let runs = |key| {
        cache.with_sync(|| f(key));
        RUNS.get()
    };
    assert_eq!((runs(1), runs(2)), (1, 2));
    clock.advance(seconds(16) - millis(1));
    assert_eq!(runs(1), 2, "nobody has asked before, but it isn't late");
    clock.advance(millis(1));
    assert_eq!(runs(2), 3, "one that nobody has asked for");
    assert_eq!(runs(1), 3);
}

/// Whatever the pauses between the hits are: it is there for seven eighths of its time, and not for longer than all of it.
#[test]
fn the_end_is_at_most_an_eighth_early_and_never_late() {
    static RUNS: Runs = Runs::new();
    const IDLE: u64 = 16_000;
    const TTL: u64 = 300_000;
    #[cached(ttl = "300s", idle_ttl = "16s")]
    fn f() -> usize {
        RUNS.add()
    }
    let (cache, clock) = timed();
    let (mut random, mut last, mut stored, mut now) = (1_u64, 0, 0, 0);
    cache.with_sync(f);
    let (mut early, mut kept, mut ended) = (0, 0, 0);
    for _ in 0..20_000 {
        random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        // Mostly short ones, so that entries come to the end of their ttl too.
        let pause = if random >> 60 == 0 { (random >> 33) % (IDLE * 5 / 4) } else { (random >> 33) % (IDLE / 6) };
        clock.advance(millis(pause));
        now += pause;
        let before = RUNS.get();
        cache.with_sync(f);
        let ran = RUNS.get() > before;
        if pause >= IDLE || now - stored >= TTL {
            assert!(ran, "{pause} ms after a hit, {} ms after its store", now - stored);
            ended += 1;
        } else if pause <= IDLE - IDLE / 8 {
            assert!(!ran, "{pause} ms after a hit, {} ms after its store", now - stored);
            kept += 1;
        } else if ran {
            early += 1;
        }
        last = now;
        if ran {
            stored = now;
        }
    }
    assert!(early > 10 && kept > 1_000 && ended > 100, "{early} {kept} {ended} until {last}");
}

#[test]
fn it_needs_no_ttl_and_may_be_computed() {
    static RUNS: Runs = Runs::new();
    #[cached(idle_ttl = Duration::from_secs(length))]
    fn f(length: u64) -> usize {
        let _ = length;
        RUNS.add()
    }
    let (cache, clock) = timed();
    for _ in 0..1_000 {
        assert_eq!(cache.with_sync(|| f(8)), 1);
        clock.advance(seconds(5));
    }
    clock.advance(seconds(3));
    assert_eq!(cache.with_sync(|| f(8)), 2);
    // As with a `ttl` of zero.
    cache.with_sync(|| (f(0), f(0)));
    assert_eq!(RUNS.get(), 4);
}

#[test]
fn what_ends_is_freed_and_what_is_used_stays() {
    #[cached(idle_ttl = "60s")]
    fn f(key: u64) -> u64 {
        key
    }
    let (cache, clock) = timed();
    cache.with_sync(|| (0..100).for_each(|key| _ = f(key)));
    for _ in 0..3 {
        clock.advance(seconds(30));
        cache.with_sync(|| (0..10).for_each(|key| _ = f(key)));
    }
    assert_eq!(cache.stats().memory_entries, 10);
    clock.advance(seconds(61));
    assert_eq!(cache.stats().memory_entries, 0);
}

/// By the operating system's clock, which is the one that threads' tables go by.
#[test]
fn hits_that_the_threads_table_answers_prolong_too() {
    static RUNS: Runs = Runs::new();
    const IDLE: Duration = seconds(2);
    #[cached(idle_ttl = "2s")]
    fn f(key: u64) -> usize {
        let _ = key;
        RUNS.add()
    }
    let cache = Cache::builder().build().unwrap();
    cache.with_sync(|| {
        let (mut last, end) = (std::time::Instant::now(), std::time::Instant::now() + 2 * IDLE);
        let mut runs = f(1);
        while last < end {
            let now = f(1);
            // On a machine that stood still for so long it may have ended.
            assert!(now == runs || last.elapsed() > IDLE - IDLE / 8);
            (runs, last) = (now, std::time::Instant::now());
        }
        std::thread::sleep(IDLE);
        assert_eq!(f(1), runs + 1);
    });
}

#[test]
fn memory_ttl_bounds_it_too() {
    static RUNS: Runs = Runs::new();
    #[cached(ttl = "1h", memory_ttl = "20s", idle_ttl = "10s")]
    fn f() -> usize {
        RUNS.add()
    }
    let (cache, clock) = timed();
    for _ in 0..20 {
        assert_eq!(cache.with_sync(f), 1);
        clock.advance(seconds(1));
    }
    assert_eq!(cache.with_sync(f), 2);
}

/// An old value that stands in for a failed run was used, which prolongs its life; unused, it goes with its `idle_ttl`.
#[test]
fn old_values_are_kept_as_long_as_they_are_used() {
    static RUNS: Runs = Runs::new();
    #[cached(ttl = "10s", stale_if_error = "100s", idle_ttl = "16s")]
    fn f() -> Result<usize, String> {
        if RUNS.add() == 1 { Ok(1) } else { Err("down".to_owned()) }
    }
    let (cache, clock) = timed();
    for _ in 0..11 {
        assert_eq!(cache.with_sync(f), Ok(1));
        clock.advance(seconds(10));
    }
    assert!(cache.with_sync(f).is_err(), "{} s after its store it is too old", 110);
    static OTHERS: Runs = Runs::new();
    #[cached(ttl = "10s", stale_if_error = "100s", idle_ttl = "16s")]
    fn unused() -> Result<usize, String> {
        if OTHERS.add() == 1 { Ok(1) } else { Err("down".to_owned()) }
    }
    assert_eq!(cache.with_sync(unused), Ok(1));
    clock.advance(seconds(16));
    assert!(cache.with_sync(unused).is_err(), "nobody has used it for so long");
}

#[tokio::test]
async fn a_refresh_ahead_begins_a_new_life() {
    static RUNS: Runs = Runs::new();
    #[cached(ttl = "20s", refresh_ahead = 0.5, idle_ttl = "8s")]
    async fn f() -> usize {
        RUNS.add()
    }
    let (cache, clock) = timed();
    for _ in 0..100 {
        cache.with(f()).await;
        clock.advance(seconds(2));
        crate::support::until(|| cache.stats().flights == 0).await;
    }
    assert!((15..=20).contains(&RUNS.get()), "once in ten or twelve seconds: {}", RUNS.get());
    let runs = RUNS.get();
    clock.advance(seconds(8));
    assert_eq!(cache.with(f()).await, runs + 1);
}

#[cfg(feature = "msgpack")]
mod with_a_backend {
    use larder::reference::SharedMemory;
    use larder::{Clock, ManualClock};

    use super::*;
    use crate::support::{stats_of, two_processes};

    /// One process uses the result from its memory; the other finds it in what they share.
    #[test]
    fn hits_in_one_process_keep_it_for_the_others() {
        static RUNS: Runs = Runs::new();
        #[cached(ttl = "100s", idle_ttl = "16s")]
        fn f() -> usize {
            RUNS.add()
        }
        let (one, other, clock) = two_processes();
        for second in 0..90 {
            assert_eq!(one.with_sync(f), 1, "after {second} s");
            clock.advance(seconds(1));
        }
        assert_eq!(stats_of(&one, "f").backend_hits, 0, "its memory has answered all");
        assert_eq!((other.with_sync(f), stats_of(&other, "f").backend_hits), (1, 1));
        clock.advance(seconds(10));
        assert_eq!((one.with_sync(f), other.with_sync(f)), (2, 2), "both have come to its ttl");
    }

    #[test]
    fn without_hits_it_ends_for_all() {
        static RUNS: Runs = Runs::new();
        #[cached(ttl = "100s", idle_ttl = "16s")]
        fn f() -> usize {
            RUNS.add()
        }
        let (one, other, clock) = two_processes();
        assert_eq!(one.with_sync(f), 1);
        clock.advance(seconds(16));
        assert_eq!((other.with_sync(f), one.with_sync(f)), (2, 2));
        clock.advance(seconds(13));
        assert_eq!(other.with_sync(f), 2);
        clock.advance(seconds(13));
        assert_eq!(one.with_sync(f), 2, "the other process has used it");
    }

    fn without_memory(shared: &SharedMemory, clock: &ManualClock) -> Cache {
        Cache::builder().without_memory().backend(shared.another_process()).clock(clock).build().unwrap()
    }

    #[test]
    fn answers_of_a_backend_prolong_it_without_memory_too() {
        static RUNS: Runs = Runs::new();
        #[cached(ttl = "100s", idle_ttl = "16s")]
        fn f() -> usize {
            RUNS.add()
        }
        let clock = Clock::manual();
        let shared = SharedMemory::with_clock(&clock);
        let cache = without_memory(&shared, &clock);
        for second in 0..100 {
            assert_eq!(cache.with_sync(f), 1, "after {second} s");
            clock.advance(seconds(1));
        }
        assert_eq!(cache.with_sync(f), 2);
        clock.advance(seconds(16));
        assert_eq!(cache.with_sync(f), 3);
    }

    /// So memory isn't asked before it has had to let go of the result.
    #[test]
    fn what_memory_has_dropped_is_found_in_the_backend() {
        static RUNS: Runs = Runs::new();
        #[cached(idle_ttl = "16s", max_entries = 1)]
        fn f(key: u64) -> usize {
            let _ = key;
            RUNS.add()
        }
        let clock = Clock::manual();
        let shared = SharedMemory::with_clock(&clock);
        let cache = Cache::builder().memory(larder::Memory::builder()).backend(shared).clock(&clock).build().unwrap();
        for _ in 0..10 {
            cache.with_sync(|| (f(1), f(2)));
            clock.advance(seconds(10));
        }
        assert_eq!(RUNS.get(), 2);
    }
}

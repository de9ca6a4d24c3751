//! `jitter`: lifetimes that don't all end together.

use larder::cached;

use crate::support::{Runs, millis, seconds, timed};

#[test]
fn lifetimes_are_spread_up_to_the_ttl() {
    static RUNS: Runs = Runs::new();
    #[cached(ttl = "100s", jitter = 0.5)]
    fn f(id: u64) -> u64 {
        RUNS.add();
        id
    }
    let (cache, clock) = timed();
    cache.with_sync(|| {
        let all = || (0..100).map(f).for_each(|_| {});
        all();
        clock.advance(seconds(50) - millis(1));
        all();
        assert_eq!(RUNS.get(), 100, "none ends before half the ttl");
        clock.advance(seconds(25));
        let before = RUNS.get();
        all();
        let ended = RUNS.get() - before;
        assert!((20..80).contains(&ended), "{ended} of 100 ended in the first half of the spread");
    });
}

#[test]
fn none_outlives_the_ttl() {
    static RUNS: Runs = Runs::new();
    #[cached(ttl = |_| seconds(100), jitter = 0.1)]
    fn f(id: u64) -> u64 {
        RUNS.add();
        id
    }
    let (cache, clock) = timed();
    cache.with_sync(|| {
        (0..100).map(f).for_each(|_| {});
        clock.advance(seconds(100));
        (0..100).map(f).for_each(|_| {});
        assert_eq!(RUNS.get(), 200);
    });
}

//! `CacheBuilder::clock`: time that a test moves.

use std::thread;
use std::time::Duration;

use larder::{Cache, Clock, cached};

use crate::support::{Runs, millis, seconds, timed};

#[test]
fn a_manual_clock_moves_only_when_told() {
    static RUNS: Runs = Runs::new();
    #[cached(ttl = "1ms")]
    fn f() -> usize {
        RUNS.add()
    }
    let (cache, clock) = timed();
    cache.with_sync(|| {
        f();
        thread::sleep(millis(20));
        f();
        assert_eq!(RUNS.get(), 1, "no time has passed");
        clock.advance(millis(1));
        f();
        assert_eq!(RUNS.get(), 2);
    });
}

#[test]
fn clones_and_caches_share_it() {
    static RUNS: Runs = Runs::new();
    #[cached(ttl = "10s")]
    fn f() -> usize {
        RUNS.add()
    }
    let clock = Clock::manual();
    let caches = [&clock, &clock.clone()].map(|clock| Cache::builder().clock(clock).build().unwrap());
    let runs = || {
        for cache in &caches {
            cache.with_sync(f);
        }
        RUNS.get()
    };
    assert_eq!((runs(), runs()), (2, 2));
    clock.clone().advance(seconds(10));
    assert_eq!((runs(), runs()), (4, 4));
}

#[test]
fn the_system_clock_moves_by_itself() {
    static RUNS: Runs = Runs::new();
    #[cached(ttl = "30ms")]
    fn f() -> usize {
        RUNS.add()
    }
    let cache = Cache::builder().clock(Clock::system()).build().unwrap();
    cache.with_sync(|| {
        f();
        thread::sleep(millis(40));
        f();
    });
    assert_eq!(RUNS.get(), 2);
}

#[test]
fn what_it_says() {
    let manual = Clock::manual();
    let clock = manual.clock();
    assert_eq!(clock.now(), Duration::ZERO);
    manual.advance(millis(1_500));
    assert_eq!(clock.now(), millis(1_500));
    assert_eq!(format!("{clock:?}"), "Clock::manual at 1.5s");
    manual.advance(Duration::MAX);
    assert!(clock.now() > seconds(500 * 365 * 86_400), "as far as it goes, and not round");
    let system = Clock::system();
    assert!(system.now() <= system.now());
    assert_eq!(format!("{system:?}"), "Clock::system");
}

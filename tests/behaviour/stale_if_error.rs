//! `stale_if_error`: the old value in the place of an error.

use std::sync::atomic::{AtomicBool, Ordering};

use larder::cached;

use crate::support::{Runs, millis, seconds, stats_of, timed};

#[test]
fn an_old_value_takes_the_place_of_an_error() {
    static RUNS: Runs = Runs::new();
    static BROKEN: AtomicBool = AtomicBool::new(false);
    #[cached(ttl = "10s", stale_if_error = "1m")]
    fn f(id: u64) -> Result<usize, String> {
        let _ = id;
        let run = RUNS.add();
        if BROKEN.load(Ordering::SeqCst) { Err(format!("run {run}")) } else { Ok(run) }
    }
    let (cache, clock) = timed();
    cache.with_sync(|| {
        assert_eq!(f(1), Ok(1));
        BROKEN.store(true, Ordering::SeqCst);
        clock.advance(seconds(10));
        assert_eq!((f(1), RUNS.get()), (Ok(1), 2), "the run is tried");
        clock.advance(seconds(59));
        assert_eq!((f(1), RUNS.get()), (Ok(1), 3));
        assert_eq!(f(2), Err("run 4".into()), "there is no old value");
        clock.advance(seconds(1));
        assert_eq!(f(1), Err("run 5".into()), "failures don't make its life longer");
        BROKEN.store(false, Ordering::SeqCst);
        assert_eq!(f(1), Ok(6));
        BROKEN.store(true, Ordering::SeqCst);
        clock.advance(seconds(10));
        BROKEN.store(false, Ordering::SeqCst);
        assert_eq!(f(1), Ok(7), "an old value is no answer where the run succeeds");
    });
    let stats = stats_of(&cache, "f");
    assert_eq!((stats.failures, stats.served_stale), (4, 2));
}

#[test]
fn an_invalidated_value_is_never_served() {
    static RUNS: Runs = Runs::new();
    #[cached(ttl = "10s", stale_if_error = "1m", tags = ["stale_if_error"])]
    fn f(invalidate: &'static AtomicBool) -> Result<usize, String> {
        let run = RUNS.add();
        if invalidate.load(Ordering::SeqCst) {
            larder::blocking::invalidate_tag("stale_if_error").unwrap();
        }
        if run == 1 { Ok(run) } else { Err("down".into()) }
    }
    static NEVER: AtomicBool = AtomicBool::new(false);
    let (cache, clock) = timed();
    cache.with_sync(|| {
        #[cached(ttl = "10s", stale_if_error = "1m", tags = ["stale_if_error"])]
        fn g() -> Result<usize, String> {
            f(&NEVER)
        }
        assert_eq!(g(), Ok(1));
        clock.advance(seconds(10));
        NEVER.store(true, Ordering::SeqCst);
        assert_eq!(g(), Err("down".into()), "it was invalidated while the run went on");
        NEVER.store(false, Ordering::SeqCst);
        assert_eq!(g(), Err("down".into()), "and stays so");
    });
}

#[test]
fn a_panic_is_no_error() {
    static RUNS: Runs = Runs::new();
    #[cached(ttl = "10s", stale_if_error = "1m")]
    fn f() -> Result<usize, String> {
        let run = RUNS.add();
        assert_ne!(run, 2, "the second run panics");
        Ok(run)
    }
    let (cache, clock) = timed();
    cache.with_sync(|| {
        assert_eq!(f(), Ok(1));
        clock.advance(seconds(10));
        assert!(std::panic::catch_unwind(f).is_err());
        assert_eq!(f(), Ok(3));
    });
}

#[cfg(feature = "msgpack")]
#[test]
fn an_old_value_of_a_backend_counts() {
    static BROKEN: AtomicBool = AtomicBool::new(false);
    #[cached(ttl = "10s", stale_if_error = "1m")]
    fn f() -> Result<u64, String> {
        if BROKEN.load(Ordering::SeqCst) { Err("down".into()) } else { Ok(7) }
    }
    let (first, second, clock) = crate::support::two_processes();
    assert_eq!(first.with_sync(f), Ok(7));
    BROKEN.store(true, Ordering::SeqCst);
    clock.advance(seconds(20));
    assert_eq!(second.with_sync(f), Ok(7), "it never ran here");
    clock.advance(seconds(50));
    assert_eq!(second.with_sync(f), Err("down".into()));
    assert_eq!(first.with_sync(f), Err("down".into()));
}

#[test]
fn after_a_failure_the_old_value_comes_at_once_for_a_while() {
    static RUNS: Runs = Runs::new();
    static BROKEN: AtomicBool = AtomicBool::new(false);
    #[cached(ttl = "10s", stale_if_error = "1h", helpers = [prime])]
    fn f() -> Result<usize, String> {
        let run = RUNS.add();
        if BROKEN.load(Ordering::SeqCst) { Err(format!("run {run}")) } else { Ok(run) }
    }
    let (cache, clock) = timed();
    cache.with_sync(|| {
        let calls = |runs: usize| {
            assert!((0..10).all(|_| f() == Ok(1)));
            assert_eq!(RUNS.get(), runs);
        };
        calls(1);
        BROKEN.store(true, Ordering::SeqCst);
        clock.advance(seconds(10));
        // As for runs in the background: twice as long after each further failure.
        for (runs, pause) in [(2, 100), (3, 200), (4, 400), (5, 800)] {
            calls(runs);
            clock.advance(millis(pause - 1));
            calls(runs);
            clock.advance(millis(1));
        }
        for runs in 6..30 {
            calls(runs);
            clock.advance(seconds(60));
        }
        // A source that is back is noticed within a minute.
        BROKEN.store(false, Ordering::SeqCst);
        assert_eq!(f(), Ok(30));
        BROKEN.store(true, Ordering::SeqCst);
        clock.advance(seconds(10));
        assert_eq!((f(), f(), RUNS.get()), (Ok(30), Ok(30), 31));
        clock.advance(millis(100));
        assert_eq!((f(), RUNS.get()), (Ok(30), 32), "another entry begins anew");

        // It ends with the entry.
        prime_f(Ok(40)).unwrap();
        clock.advance(seconds(10));
        assert_eq!((f(), f(), RUNS.get()), (Ok(40), Ok(40), 33));
        invalidate_f().unwrap();
        assert_eq!((f(), f()), (Err("run 34".into()), Err("run 35".into())), "an invalidated value is never served");
    });
    let stats = stats_of(&cache, "f");
    assert_eq!(stats.failures, 28 + 2 + 1 + 2);
}

#[cfg(feature = "msgpack")]
#[test]
fn so_it_does_where_only_a_backend_has_the_old_value() {
    static RUNS: Runs = Runs::new();
    static BROKEN: AtomicBool = AtomicBool::new(false);
    #[cached(ttl = "10s", stale_if_error = "1h")]
    fn f() -> Result<usize, String> {
        let run = RUNS.add();
        if BROKEN.load(Ordering::SeqCst) { Err(format!("run {run}")) } else { Ok(run) }
    }
    let clock = larder::Clock::manual();
    let shared = larder::reference::SharedMemory::with_clock(&clock);
    let process = || larder::Cache::builder().clock(&clock).backend(shared.another_process());
    let (first, second) = (process().build().unwrap(), process().build().unwrap());
    let bare = process().without_memory().build().unwrap();
    assert_eq!(first.with_sync(f), Ok(1));
    for (runs, cache) in [(2, &second), (4, &bare)] {
        let calls = |runs: usize| {
            assert!((0..10).all(|_| cache.with_sync(f) == Ok(1)));
            assert_eq!(RUNS.get(), runs);
        };
        BROKEN.store(true, Ordering::SeqCst);
        clock.advance(seconds(20));
        calls(runs);
        clock.advance(millis(99));
        calls(runs);
        clock.advance(millis(1));
        calls(runs + 1);
    }
    // Another process may have replaced it.
    BROKEN.store(false, Ordering::SeqCst);
    clock.advance(seconds(1));
    assert_eq!(first.with_sync(f), Ok(6));
    assert_eq!((second.with_sync(f), bare.with_sync(f)), (Ok(6), Ok(6)));
    BROKEN.store(true, Ordering::SeqCst);
    clock.advance(seconds(10));
    assert_eq!((bare.with_sync(f), bare.with_sync(f), RUNS.get()), (Ok(6), Ok(6), 7));
    bare.with_sync(invalidate_f).unwrap();
    assert_eq!((bare.with_sync(f), bare.with_sync(f)), (Err("run 8".into()), Err("run 9".into())));
}

/// Whoever asks for a run by name gets what that comes to. The old value stays for others.
#[tokio::test]
async fn a_refresh_runs_in_any_case_and_gives_its_error() {
    static RUNS: Runs = Runs::new();
    #[cached(ttl = "10s", stale_if_error = "1h", helpers = [refresh])]
    async fn f() -> Result<usize, String> {
        let run = RUNS.add();
        if run % 4 == 1 { Ok(run) } else { Err(format!("run {run}")) }
    }
    let (cache, clock) = timed();
    cache
        .with(async {
            assert_eq!(f().await, Ok(1));
            clock.advance(seconds(10));
            assert_eq!((f().await, f().await, RUNS.get()), (Ok(1), Ok(1), 2));
            assert_eq!(refresh_f().await, Err("run 3".into()));
            assert_eq!(larder::refreshing(f()).await, Err("run 4".into()));
            assert_eq!((f().await, RUNS.get()), (Ok(1), 4));
            assert_eq!((refresh_f().await, f().await), (Ok(5), Ok(5)));
        })
        .await;
}

#[tokio::test]
async fn beside_timeout_too() {
    static RUNS: Runs = Runs::new();
    #[cached(ttl = "10s", stale_if_error = "1h", timeout = "1h")]
    async fn f() -> Result<usize, String> {
        let run = RUNS.add();
        if run == 1 { Ok(run) } else { Err(format!("run {run}")) }
    }
    let (cache, clock) = timed();
    assert_eq!(cache.with(f()).await, Ok(1));
    clock.advance(seconds(10));
    for runs in 2..5 {
        for _ in 0..10 {
            assert_eq!(cache.with(f()).await, Ok(1));
        }
        assert_eq!(RUNS.get(), runs);
        clock.advance(seconds(1));
    }
}

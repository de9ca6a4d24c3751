//! `stale_if_error`: the old value in the place of an error.

use std::sync::atomic::{AtomicBool, Ordering};

use larder::cached;

use crate::support::{Runs, seconds, stats_of, timed};

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
        assert_eq!((f(1), RUNS.get()), (Ok(1), 2), "each call tries");
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
        #[cached(ttl = "10s", stale_if_error = "1m", tags = ["stale_if_error"], key = 1)]
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

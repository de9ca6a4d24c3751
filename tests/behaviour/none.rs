//! `none_ttl` and `cache_none`: what becomes of `None`.

use std::time::Duration;

use larder::cached;

use crate::support::{Runs, seconds, timed};

type Maybe<T> = Option<T>;

#[test]
fn none_is_a_value() {
    static RUNS: Runs = Runs::new();
    #[cached]
    fn f(id: u64) -> Option<u64> {
        RUNS.add();
        (id > 10).then_some(id)
    }
    assert_eq!((f(1), f(1), f(1)), (None, None, None));
    assert_eq!((f(11), f(11)), (Some(11), Some(11)));
    assert_eq!(RUNS.get(), 2);
}

#[test]
fn none_can_be_left_out() {
    static RUNS: Runs = Runs::new();
    #[cached(cache_none = false)]
    fn f(id: u64) -> Maybe<u64> {
        RUNS.add();
        (id > 10).then_some(id)
    }
    f(1);
    f(1);
    assert_eq!(RUNS.get(), 2, "None is not stored");
    f(11);
    f(11);
    assert_eq!(RUNS.get(), 3, "Some is");

    static KEPT: Runs = Runs::new();
    #[cached(cache_none = true)]
    fn kept() -> Option<u64> {
        KEPT.add();
        None
    }
    assert_eq!((kept(), kept()), (None, None));
    assert_eq!(KEPT.get(), 1);
}

#[test]
fn none_can_live_shorter() {
    static RUNS: Runs = Runs::new();
    #[cached(ttl = "10s", none_ttl = "2s")]
    fn f(id: u64) -> Option<u64> {
        RUNS.add();
        (id > 10).then_some(id)
    }
    let (cache, clock) = timed();
    let runs = |id| {
        cache.with_sync(|| f(id));
        RUNS.get()
    };
    assert_eq!((runs(1), runs(11)), (1, 2));
    clock.advance(seconds(1));
    assert_eq!((runs(1), runs(11)), (2, 2));
    clock.advance(seconds(1));
    assert_eq!((runs(1), runs(11)), (3, 3), "None is gone");
    clock.advance(seconds(1));
    assert_eq!(runs(11), 3);
    clock.advance(seconds(7));
    assert_eq!(runs(11), 4, "Some after its own time");
}

#[test]
fn none_can_live_longer_and_alone() {
    static LONGER: Runs = Runs::new();
    #[cached(ttl = "2s", none_ttl = Duration::from_secs(seconds))]
    fn longer(seconds: u64) -> Option<u64> {
        let _ = seconds;
        LONGER.add();
        None
    }
    static ALONE: Runs = Runs::new();
    #[cached(none_ttl = "2s")]
    fn alone(some: bool) -> Option<u64> {
        ALONE.add();
        some.then_some(1)
    }
    let (cache, clock) = timed();
    cache.with_sync(|| {
        (longer(10), alone(false), alone(true));
        clock.advance(seconds(9));
        (longer(10), alone(true));
        assert_eq!((LONGER.get(), ALONE.get()), (1, 2));
        alone(false);
        clock.advance(seconds(1));
        longer(10);
        assert_eq!((LONGER.get(), ALONE.get()), (2, 3));
    });
}

#[tokio::test]
async fn a_result_of_an_option() {
    static RUNS: Runs = Runs::new();
    #[cached(none_ttl = "2s")]
    async fn f(id: i32) -> Result<Option<i32>, String> {
        RUNS.add();
        match id {
            ..0 => Err("negative".to_owned()),
            0 => Ok(None),
            id => Ok(Some(id)),
        }
    }
    static LEFT_OUT: Runs = Runs::new();
    #[cached(cache_none = false)]
    async fn left_out(id: i32) -> Result<Option<i32>, String> {
        LEFT_OUT.add();
        Ok((id > 0).then_some(id))
    }
    let (cache, clock) = timed();
    cache
        .with(async {
            for id in [-1, 0, 1, -1, 0, 1] {
                let _ = f(id).await;
            }
            assert_eq!(RUNS.get(), 4, "only the Err ran twice");
            clock.advance(seconds(2));
            assert_eq!(f(0).await, Ok(None));
            assert_eq!(f(1).await, Ok(Some(1)));
            assert_eq!(RUNS.get(), 5, "None is gone");

            for id in [0, 1, 0, 1] {
                let _ = left_out(id).await;
            }
            assert_eq!(LEFT_OUT.get(), 3);
        })
        .await;
}

#[test]
fn a_whole_result_of_an_option() {
    static RUNS: Runs = Runs::new();
    #[cached(cache_err = true, cache_none = false)]
    fn f(id: i32) -> Result<Option<i32>, String> {
        RUNS.add();
        match id {
            ..0 => Err("negative".to_owned()),
            0 => Ok(None),
            id => Ok(Some(id)),
        }
    }
    for id in [-1, 0, 1, -1, 0, 1] {
        let _ = f(id);
    }
    assert_eq!(RUNS.get(), 4, "only Ok(None) ran twice");
}

#[test]
fn set_ttl_counts_instead() {
    static RUNS: Runs = Runs::new();
    #[cached(none_ttl = "2s")]
    fn f() -> Option<u64> {
        larder::set_ttl(seconds(5));
        RUNS.add();
        None
    }
    let (cache, clock) = timed();
    cache.with_sync(|| {
        f();
        clock.advance(seconds(4));
        f();
        assert_eq!(RUNS.get(), 1);
        clock.advance(seconds(1));
        f();
        assert_eq!(RUNS.get(), 2);
    });
}

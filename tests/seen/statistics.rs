//! The statistics: each kind in its place.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};

use larder::statistics::{BackendOperation, BackendOutcome, InvalidationBy, InvalidationOrigin};
use larder::{Cache, ErrorKind, Memory, blocking, cached, without_cache_sync};

use crate::support::{
    does, invalidate_all_does, invalidate_does, panics, poll_once, seconds, shared, stats_of, timed, waits,
};

#[test]
fn calls_by_how_they_end() {
    let (cache, _) = timed();
    cache.with_sync(|| {
        let _ = (does("a"), does("a"), does("a"), does("err"));
        let _ = without_cache_sync(|| does("a"));
        panics(|| drop(does("panic")));
    });
    {
        let mut call = pin!(cache.with(waits(1)));
        assert!(!poll_once(call.as_mut()));
    }
    let calls = stats_of(&cache, "seen.does").calls;
    assert_eq!((calls.memory, calls.ran, calls.failed, calls.uncached, calls.panicked), (2, 1, 1, 1, 1));
    assert_eq!(calls.total(), 6);
    let calls = stats_of(&cache, "seen.waits").calls;
    assert_eq!((calls.cancelled, calls.total()), (1, 1));
    assert_eq!(cache.stats().total().calls.total(), 7);
}

/// Nor is a write's tag, or a value that is looked at.
#[test]
fn to_explain_is_no_call() {
    #[cached(helpers = [explain, peek, tag])]
    fn f(id: u64) -> u64 {
        id
    }
    let (cache, _) = timed();
    cache.with_sync(|| {
        f(1);
        let _ = (explain_f(1), explain_f(2), peek_f(2), tag_f(2).unwrap());
    });
    let stats = stats_of(&cache, "f");
    assert_eq!((stats.calls.total(), stats.calls.ran, stats.misses), (1, 1, 1));
}

#[tokio::test]
async fn who_waits_waited_and_how_long() {
    #[cached]
    async fn f() -> u64 {
        tokio::task::yield_now().await;
        1
    }
    let (cache, _) = timed();
    cache.with(async { tokio::join!(f(), f(), f()) }).await;
    let stats = stats_of(&cache, "f");
    assert_eq!((stats.calls.ran, stats.calls.waited, stats.calls.total()), (1, 2, 3));
    assert_eq!((stats.run_waits.count, stats.lease_waits.count, stats.run_times.count), (2, 0, 1));
    assert!(stats.run_times.p50 <= stats.run_times.p99 && stats.run_times.p99 <= stats.run_times.max);
}

#[test]
fn old_values_are_told_apart_from_hits() {
    #[cached(ttl = "1s", stale_if_error = "10s", skip(fails))]
    fn f(fails: &AtomicBool) -> Result<u64, String> {
        if fails.load(Ordering::SeqCst) { Err("no".into()) } else { Ok(1) }
    }
    let (cache, clock) = timed();
    let fails = AtomicBool::new(false);
    cache.with_sync(|| {
        f(&fails).unwrap();
        clock.advance(seconds(2));
        fails.store(true, Ordering::SeqCst);
        f(&fails).unwrap();
    });
    let stats = stats_of(&cache, "f");
    assert_eq!((stats.calls.ran, stats.calls.stale, stats.calls.total()), (1, 1, 2));
    assert_eq!((stats.run_ends.call.returned, stats.run_ends.call.failed), (1, 1));
}

#[test]
fn misses_by_reason() {
    let clock = larder::Clock::manual();
    let memory = Memory::builder().max_entries(100);
    let cache = Cache::builder().clock(&clock).memory(memory).build().unwrap();
    let missed = || stats_of(&cache, "seen.does").missed;
    cache.with_sync(|| {
        does("a").unwrap();
        assert_eq!((missed().absent, missed().total()), (1, 1));
        clock.advance(seconds(10));
        does("a").unwrap();
        assert_eq!((missed().expired, missed().total()), (1, 2));
        blocking::invalidate_tag("does").unwrap();
        does("a").unwrap();
        assert_eq!((missed().invalidated, missed().total()), (1, 3));
        for other in 0..200 {
            does(&other.to_string()).unwrap();
        }
        assert_eq!((missed().evicted, missed().absent, missed().total()), (0, 201, 203));
        // Which of them are remembered depends on hashes.
        for other in 0..50 {
            does(&other.to_string()).unwrap();
        }
        assert!(missed().evicted > 10, "{:?}", missed());
        assert_eq!(missed().evicted + missed().absent, missed().total() - 2);
    });
    let stats = stats_of(&cache, "seen.does");
    assert_eq!((stats.misses, stats.memory_entries, stats.memory_bytes), (missed().total(), 100, None));
    // Each new key beyond the hundredth; "a" was stored three times.
    assert_eq!(stats.evictions.capacity, stats.stores.stored - 2 - 100, "{:?}", stats.evictions);
}

#[test]
fn misses_for_the_backend_s_sake() {
    static IS_BROKEN: AtomicBool = AtomicBool::new(false);
    #[derive(Clone, serde::Serialize)]
    struct Breaks;
    impl<'de> serde::Deserialize<'de> for Breaks {
        fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            if IS_BROKEN.load(Ordering::SeqCst) {
                return Err(serde::de::Error::custom("no"));
            }
            serde::de::IgnoredAny::deserialize(from).map(|_| Self)
        }
    }
    #[cached]
    fn breaks() -> Breaks {
        Breaks
    }
    let (cache, backend) = shared();
    let again = || Cache::builder().backend(backend.clone()).build().unwrap();
    cache.with_sync(|| (breaks(), does("a").unwrap()));
    IS_BROKEN.store(true, Ordering::SeqCst);
    let other = again();
    other.with_sync(breaks);
    assert_eq!((stats_of(&other, "breaks").missed.damaged, stats_of(&other, "breaks").missed.total()), (1, 1));
    let third = again();
    backend.fail_with(Some(ErrorKind::Unavailable));
    third.with_sync(|| does("a")).unwrap();
    assert_eq!(
        (stats_of(&third, "seen.does").missed.unavailable, stats_of(&third, "seen.does").missed.total()),
        (1, 1)
    );
    assert_eq!(third.stats().backends[0].up, Some(false));
    backend.fail_with(None);
    let fourth = again();
    fourth.with_sync(|| does("a")).unwrap();
    assert_eq!(stats_of(&fourth, "seen.does").calls.backend, 1);
    assert_eq!(fourth.stats().backends[0].up, Some(true));
    let operations = &fourth.stats().backends[0].operations;
    let read = operations.iter().find(|of| of.operation == BackendOperation::Read).unwrap();
    assert_eq!((read.outcome, read.times.count), (BackendOutcome::Ok, 1));
}

#[test]
fn values_by_what_becomes_of_them() {
    #[derive(Clone, PartialEq, serde::Serialize, serde::Deserialize)]
    struct Forgets {
        #[serde(skip)]
        left_out: u64,
    }
    #[derive(Clone, PartialEq)]
    struct Refuses;
    impl serde::Serialize for Refuses {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("no"))
        }
    }
    impl<'de> serde::Deserialize<'de> for Refuses {
        fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            Ok(Self)
        }
    }
    #[cached]
    fn forgets() -> Forgets {
        Forgets { left_out: 1 }
    }
    #[cached]
    fn refuses() -> Refuses {
        Refuses
    }
    #[cached(max_bytes = 10, weigh = |bytes| bytes.len())]
    fn weighs(bytes: usize) -> Vec<u8> {
        vec![0; bytes]
    }
    let (cache, _backend) = shared();
    cache.with_sync(|| {
        for what in ["a", "skip", "invalidate", "err"] {
            let _ = does(what);
        }
        let _ = (forgets(), refuses());
    });
    let stores = stats_of(&cache, "seen.does").stores;
    assert_eq!((stores.stored, stores.not_cacheable, stores.overtaken, stores.total()), (1, 1, 1, 3));
    assert_eq!((stats_of(&cache, "forgets").stores.lossy, stats_of(&cache, "refuses").stores.not_encodable), (1, 1));
    let alone = Cache::builder().build().unwrap();
    alone.with_sync(|| (weighs(11), weighs(7), weighs(2)));
    let stats = stats_of(&alone, "weighs");
    assert_eq!((stats.stores.no_room, stats.stores.stored), (1, 2));
    assert_eq!((stats.memory_entries, stats.memory_bytes), (2, Some(9)));
}

#[test]
fn runs_by_what_they_are_for() {
    #[cached(helpers = [refresh])]
    fn f() -> u64 {
        1
    }
    let (cache, _) = timed();
    cache.with_sync(|| {
        f();
        refresh_f();
        without_cache_sync(f);
    });
    let runs = stats_of(&cache, "f").run_ends;
    assert_eq!((runs.call.returned, runs.refresh.returned, runs.uncached.returned, runs.total()), (1, 1, 1, 3));
    assert_eq!(stats_of(&cache, "f").calls.total(), 3);
}

#[tokio::test]
async fn entries_leave_for_a_cause() {
    let (cache, clock) = timed();
    let left = || stats_of(&cache, "seen.does").evictions;
    cache.with_sync(|| {
        does("a").unwrap();
        clock.advance(seconds(11));
        assert_eq!(cache.stats().memory_entries, 0);
        assert_eq!((left().expired, left().total()), (1, 1));
        does("a").unwrap();
    });
    cache.reset().await.unwrap();
    assert_eq!((left().removed, left().total()), (1, 2));
    assert_eq!(stats_of(&cache, "seen.does").memory_entries, 0);
}

#[test]
fn invalidations_by_what_they_name_and_who_made_them() {
    let (cache, backend) = shared();
    let other = Cache::builder().backend(backend.another_process()).build().unwrap();
    cache.with_sync(|| {
        blocking::invalidate_tag("a").unwrap();
        invalidate_does("a").unwrap();
        invalidate_all_does().unwrap();
        blocking::clear("tenant").unwrap();
        backend.fail_with(Some(ErrorKind::Unavailable));
        blocking::invalidate_tag("a").unwrap_err();
    });
    let found = cache.stats().invalidations;
    let count = |by, origin| {
        let of = found.iter().find(|of| of.by == by && of.origin == origin);
        of.map_or((0, 0), |of| (of.outcomes.done, of.outcomes.failed))
    };
    use InvalidationBy::{Function, Key, Scope, Tag};
    let here = InvalidationOrigin::Here;
    assert_eq!([Tag, Key, Function, Scope].map(|by| count(by, here)), [(1, 1), (1, 0), (1, 0), (1, 0)]);
    let heard: u64 = other.stats().invalidations.iter().map(|of| of.outcomes.done).sum();
    assert!(heard >= 4, "{:?}", other.stats().invalidations);
}

#[test]
fn they_can_be_serialized() {
    let (cache, _) = timed();
    cache.with_sync(|| does("a")).unwrap();
    let stats = serde_json::to_value(cache.stats()).unwrap();
    assert_eq!(stats["functions"][0]["function"], "seen.does");
    assert_eq!(stats["functions"][0]["calls"]["ran"], 1);
}

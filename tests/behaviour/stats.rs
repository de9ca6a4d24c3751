//! `stats`: what a cache did, in numbers that are exact.

use std::thread;

use larder::{Cache, blocking, cached, without_cache_sync};

use crate::support::{Runs, cache, millis, seconds, stats_of, timed};

#[test]
fn hits_misses_and_runs() {
    static RUNS: Runs = Runs::new();
    #[cached(tags = ["tag"])]
    fn f(id: u64) -> u64 {
        RUNS.add();
        id
    }
    let cache = cache();
    assert!(cache.stats().functions.is_empty());
    cache.with_sync(|| {
        for id in [1, 2, 1, 1, 2] {
            f(id);
        }
        without_cache_sync(|| f(1));
    });
    let stats = stats_of(&cache, "f");
    assert_eq!((stats.memory_hits, stats.backend_hits, stats.hits()), (3, 0, 3));
    assert_eq!((stats.misses, stats.runs, stats.stored, stats.bypassed), (2, 3, 2, 1));
    assert_eq!((stats.stale, stats.coalesced, stats.recursions, stats.failures), (0, 0, 0, 0));
    assert_eq!((stats.backend_errors, stats.damaged, stats.key_errors, stats.encode_errors), (0, 0, 0, 0));
    assert_eq!((stats.bytes_read, stats.bytes_written), (0, 0));
    assert_eq!(cache.stats().memory_entries, 2);

    cache.with_sync(|| {
        blocking::invalidate_tag("tag").unwrap();
        (f(1), f(1));
    });
    let stats = stats_of(&cache, "f");
    assert_eq!((stats.memory_hits, stats.misses, stats.runs, stats.stored, stats.stale), (4, 3, 4, 3, 1));
    assert_eq!(RUNS.get(), 4);
}

#[test]
fn what_has_expired_is_stale() {
    #[cached(ttl = "1s")]
    fn f() -> u64 {
        1
    }
    let (cache, clock) = timed();
    cache.with_sync(|| {
        f();
        clock.advance(seconds(1));
        f();
    });
    let stats = stats_of(&cache, "f");
    assert_eq!((stats.memory_hits, stats.misses, stats.runs, stats.stale), (0, 2, 2, 1));
}

#[test]
fn failures_and_what_is_not_stored() {
    #[cached(cache_if = |id| *id > 1)]
    fn f(id: u64) -> Result<u64, String> {
        if id == 0 { Err("zero".into()) } else { Ok(id) }
    }
    let cache = cache();
    cache.with_sync(|| {
        for id in [0, 1, 2, 0, 1, 2] {
            let _ = f(id);
        }
    });
    let stats = stats_of(&cache, "f");
    assert_eq!((stats.runs, stats.failures, stats.stored, stats.memory_hits, stats.misses), (5, 2, 1, 1, 5));
}

#[tokio::test]
async fn those_who_waited() {
    #[cached]
    async fn f() -> u64 {
        tokio::task::yield_now().await;
        1
    }
    let cache = cache();
    cache.with(async { tokio::join!(f(), f(), f()) }).await;
    let stats = stats_of(&cache, "f");
    assert_eq!((stats.runs, stats.misses, stats.coalesced, stats.memory_hits), (1, 1, 2, 0));
}

#[test]
fn recursion() {
    static RUNS: Runs = Runs::new();
    #[cached]
    fn f(id: u64) -> u64 {
        if RUNS.add() == 1 { f(id) } else { id }
    }
    let cache = cache();
    cache.with_sync(|| f(1));
    let stats = stats_of(&cache, "f");
    assert_eq!((stats.runs, stats.recursions), (2, 1));
}

/// Whatever renews the value.
#[cfg(feature = "msgpack")]
#[tokio::test]
async fn each_call_counts_once() {
    #[cached(ttl = "10s", refresh_ahead = 0.5)]
    async fn ahead() -> u64 {
        1
    }
    #[cached(ttl = "10s", stale_while_revalidate = "100s")]
    async fn meanwhile() -> u64 {
        1
    }
    #[cached(ttl = "10s", stale_if_error = "100s", timeout = "1h")]
    async fn patiently() -> Result<u64, std::fmt::Error> {
        tokio::task::yield_now().await;
        Ok(1)
    }
    let (first, second, clock) = crate::support::two_processes();
    const ROUNDS: u64 = 50;
    for _ in 0..ROUNDS {
        for process in [&first, &second] {
            let all = || async { (ahead().await, meanwhile().await, patiently().await) };
            assert_eq!(process.with(async { tokio::join!(all(), all()) }).await, ((1, 1, Ok(1)), (1, 1, Ok(1))));
            crate::support::until(|| process.stats().flights == 0).await;
        }
        clock.advance(seconds(3));
    }
    for process in [first, second] {
        for function in ["ahead", "meanwhile", "patiently"] {
            let stats = stats_of(&process, function);
            assert_eq!(stats.hits() + stats.misses + stats.coalesced, 2 * ROUNDS, "{stats:?}");
            assert!(stats.background > 0, "{stats:?}");
        }
    }
}

#[test]
fn time() {
    #[cached]
    fn f() -> u64 {
        thread::sleep(millis(20));
        1
    }
    let cache = cache();
    cache.with_sync(|| (f(), f(), f(), f()));
    let stats = stats_of(&cache, "f");
    assert!(stats.run_time >= millis(20), "{:?}", stats.run_time);
    assert_eq!(stats.time_saved, stats.run_time * 3);
}

#[test]
fn per_cache_and_ambient() {
    static RUNS: Runs = Runs::new();
    #[cached]
    fn f() -> usize {
        RUNS.add()
    }
    let (one, two) = (cache(), cache());
    one.with_sync(|| (f(), f()));
    two.with_sync(f);
    assert_eq!((stats_of(&one, "f").memory_hits, stats_of(&two, "f").memory_hits), (1, 0));
    assert_eq!(one.with_sync(larder::stats).function("f"), one.stats().function("f"));
    assert_eq!(Cache::ambient().stats().function("behaviour::stats::per_cache_and_ambient::f"), None);
    assert_eq!(RUNS.get(), 2);
}

#[test]
fn names() {
    mod inner {
        #[larder::cached]
        pub(super) fn f() -> u64 {
            1
        }
    }
    #[cached(name = "f.of.all")]
    fn f() -> u64 {
        2
    }
    let cache = cache();
    cache.with_sync(|| (f(), f(), inner::f()));
    let stats = cache.stats();
    let names: Vec<_> = stats.functions.iter().map(|function| function.function.as_str()).collect();
    assert_eq!(names, ["behaviour::stats::names::inner::f", "f.of.all"], "by name");
    assert_eq!(stats.function("f").unwrap().function, "behaviour::stats::names::inner::f", "by its last part");
    assert_eq!(stats.function("f.of.all").unwrap().memory_hits, 1, "by all of it");
    assert!(stats.function("g").is_none());
}

#[test]
fn tags_and_flights() {
    #[cached(tags = [("id", id)])]
    fn f(id: u64) -> (usize, usize) {
        let stats = Cache::ambient().stats();
        (stats.flights, stats.function("f").map_or(0, |f| usize::try_from(f.runs).unwrap()))
    }
    let cache = cache();
    cache.with_sync(|| {
        let empty = cache.stats();
        assert_eq!((empty.tags, empty.flights, empty.memory_entries), (0, 0, 0));
        assert_eq!(f(1), (1, 1), "one under way, seen from inside");
        let one = cache.stats();
        (2..100).for_each(|id| _ = f(id));
        let all = cache.stats();
        assert_eq!((one.flights, all.flights), (0, 0));
        // For each its tag `("id", 1)` and its key.
        assert_eq!(all.tags - one.tags, 98 * 2);
    });
}

#[test]
fn the_table() {
    #[cached(name = "a.long.name")]
    fn f(id: u64) -> u64 {
        id
    }
    #[cached(name = "b")]
    fn g() -> u64 {
        1
    }
    #[cached(name = "c", ttl = "1s", stale_if_error = "1h")]
    fn h(fails: bool) -> Result<u64, u64> {
        if fails || RUNS.add() > 1 { Err(1) } else { Ok(1) }
    }
    static RUNS: Runs = Runs::new();
    let clock = larder::Clock::manual();
    let cache = Cache::builder().clock(&clock).build().unwrap();
    cache.with_sync(|| {
        (0..1_000).for_each(|id| _ = f(id));
        (0..12).for_each(|_| _ = g());
        assert_eq!((h(true), h(false)), (Err(1), Ok(1)));
        clock.advance(millis(2_000));
        assert_eq!(h(false), Ok(1), "the old one");
    });
    let table = cache.stats().to_string();
    let lines: Vec<_> = table.lines().collect();
    let cells = |line: usize| lines[line].split_whitespace().collect::<Vec<_>>();
    let headings = "function memory backend misses runs coalesced stale old failures errors saved";
    assert_eq!(cells(0).join(" "), headings);
    assert_eq!(cells(1)[..10].join(" "), "a.long.name 0 0 1000 1000 0 0 0 0 0");
    assert_eq!(cells(1)[10..], ["0", "ns"]);
    assert_eq!(cells(2)[..10].join(" "), "b 11 0 1 1 0 0 0 0 0");
    assert_eq!(cells(3)[..10].join(" "), "c 0 0 3 3 0 0 1 2 0");
    assert!(
        lines[4].starts_with("1002 entries in memory, ") && lines[4].ends_with(" tags, 0 runs under way"),
        "{table}"
    );
    assert_eq!(lines.len(), 5);
    let widths: Vec<_> = lines[..4].iter().map(|line| line.chars().count()).collect();
    assert!(widths.windows(2).all(|pair| pair[0] == pair[1]), "columns line up:\n{table}");
}

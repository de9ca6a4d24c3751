//! Whatever Redis loses costs misses, and brings no invalidated value back.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "this is how tests fail and talk")]

mod support;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use cache_core::backend::{Backend, LeaseAnswer, Stamp, StoreAnswer};
use support::*;

/// Losing any one key, and any two, at each step of: a run begins, an invalidation, the run's store.
#[tokio::test]
async fn any_key_may_be_lost_at_any_time() {
    let server = Server::start();
    let (one, two) =
        (server.builder().prefix("p").connect().await.unwrap(), server.builder().prefix("p").connect().await.unwrap());
    let mut raw = server.raw();
    let tags = [tag(1), tag(2)];
    for lost in ["*:clock", "*:[0-9a-f][0-9a-f]", "*:e", "*:l", "*"] {
        for step in 0..5 {
            raw.command(&["FLUSHALL"]);
            // An entry from before, and a run that read its data before the invalidation.
            one.put(&key("old"), b"stale", &tags).await;
            let held = one.granted(&key("k"), &tags).await;
            let stamp = held.stamp();
            let mut lose = |now: usize| {
                if now == step {
                    raw.delete(&format!("p:{lost}"));
                }
            };
            lose(0);
            two.invalidate(&tags[..1]).await.unwrap();
            lose(1);
            // Whatever makes things anew:
            drop(two.granted(&key("other"), &tags).await);
            lose(2);
            let _ = one.store(&key("k"), held, entry(b"stale", &tags, stamp)).await.unwrap();
            lose(3);
            let what = format!("{lost} lost at {step}");
            for redis in [&one, &two] {
                assert_eq!(redis.payload(&key("k")).await, None, "{what}");
                assert_eq!(redis.payload(&key("old")).await, None, "{what}");
            }
            lose(4);
            drop(two.granted(&key("another"), &tags).await);
            assert_eq!(one.payload(&key("k")).await, None, "{what}");
            assert_eq!(one.payload(&key("old")).await, None, "{what}");
            // And it goes on.
            one.put(&key("new"), b"fresh", &tags).await;
            assert_eq!(two.payload(&key("new")).await.unwrap(), b"fresh", "{what}");
        }
    }
}

#[tokio::test]
async fn scripts_are_sent_again_when_the_server_has_forgotten_them() {
    let server = Server::start();
    let redis = server.connect().await;
    let mut raw = server.raw();
    for _ in 0..3 {
        redis.put(&key("k"), b"v", &[tag(1)]).await;
        raw.command(&["SCRIPT", "FLUSH"]);
        redis.invalidate(&[tag(1)]).await.unwrap();
        raw.command(&["SCRIPT", "FLUSH"]);
        assert_eq!(redis.payload(&key("k")).await, None);
        let held = redis.granted(&key("l"), &[]).await;
        raw.command(&["SCRIPT", "FLUSH"]);
        drop(held);
        eventually("the release", || raw.keys("*:l").is_empty()).await;
    }
}

/// Readers and writers on a server that evicts all the time: every answer is at least as new as the last invalidation
/// that had returned before it was asked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eviction_under_load() {
    let server = Server::with(&["--maxmemory-policy", "allkeys-lru", "--maxmemory-samples", "1"]);
    let versions = std::sync::Arc::new(std::sync::Mutex::new(HashMap::<u64, u64>::new()));
    let mut processes = Vec::new();
    for worker in 0..6u64 {
        processes.push((worker, server.builder().prefix("p").connect().await.unwrap()));
    }
    // Room for half of what they will want to keep.
    let mut raw = server.raw();
    let used: u64 = raw.info("memory", "used_memory").unwrap().parse().unwrap();
    raw.command(&["CONFIG", "SET", "maxmemory", &(used + 600_000).to_string()]);
    let until = Instant::now() + Duration::from_secs(6);
    let mut tasks = Vec::new();
    for (worker, redis) in processes {
        let versions = std::sync::Arc::clone(&versions);
        tasks.push(tokio::spawn(async move {
            let mut random = worker.wrapping_mul(0x9E37_79B9_7F4A_7C15) + 1;
            let (mut hits, mut rounds) = (0u64, 0u64);
            while Instant::now() < until {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let number = random % 40;
                let (k, tags) = (key(&number.to_string()), [tag(number), tag(1000 + number % 3)]);
                rounds += 1;
                if random.is_multiple_of(11) {
                    // The data changes, and is invalidated after that.
                    let changed = {
                        let mut versions = versions.lock().unwrap();
                        let data = versions.entry(number * 2).or_default();
                        *data += 1;
                        *data
                    };
                    if redis.invalidate(&tags[..1]).await.is_ok() {
                        let mut versions = versions.lock().unwrap();
                        let known = versions.entry(number * 2 + 1).or_default();
                        *known = (*known).max(changed);
                    }
                    continue;
                }
                let required = versions.lock().unwrap().get(&(number * 2 + 1)).copied().unwrap_or(0);
                let Ok(reading) = redis.read(&k).await else { continue };
                if let Some(live) = reading.live {
                    hits += 1;
                    let found = u64::from_le_bytes(live.entry.payload[..8].try_into().unwrap());
                    assert!(found >= required, "stale: {found} instead of {required}");
                    continue;
                }
                let request = cache_core::backend::LeaseRequest {
                    duration: None,
                    seen: reading.seen,
                    tags: &tags,
                    take_over: false,
                };
                if let Ok(LeaseAnswer::Granted(held)) = redis.lease(&k, request).await {
                    let data = versions.lock().unwrap().get(&(number * 2)).copied().unwrap_or(0);
                    let stamp: Stamp = held.stamp();
                    let mut payload = data.to_le_bytes().to_vec();
                    // A lot of filler, so that there is always something to evict.
                    payload.resize(20_000 + (random % 20_000) as usize, 0);
                    let _ = redis.store(&k, held, entry(&payload, &tags, stamp)).await;
                }
            }
            (hits, rounds)
        }));
    }
    let (mut hits, mut rounds) = (0, 0);
    for task in tasks {
        let (h, r) = task.await.unwrap();
        hits += h;
        rounds += r;
    }
    let evicted: u64 = raw.info("stats", "evicted_keys").unwrap().parse().unwrap();
    assert!(hits > 100 && evicted > 100, "{hits} hits in {rounds} rounds, {evicted} evictions");
}

#[tokio::test]
async fn out_of_memory_invalidations_are_still_recorded() {
    let server = Server::with(&["--maxmemory-policy", "noeviction"]);
    let (one, two) =
        (server.builder().prefix("p").connect().await.unwrap(), server.builder().prefix("p").connect().await.unwrap());
    let mut raw = server.raw();
    let (old, other) = ([tag(1)], [tag(2)]);
    one.put(&key("old"), b"stale", &old).await;
    one.put(&key("other"), b"fine", &other).await;
    let held = one.granted(&key("k"), &old).await;
    let stamp = held.stamp();
    raw.command(&["CONFIG", "SET", "maxmemory", "1"]);
    two.invalidate(&old).await.unwrap();
    assert_eq!(one.payload(&key("old")).await, None);
    assert!(one.payload(&key("other")).await.is_some());
    // Nothing can be stored, and that is said honestly.
    let error = one.store(&key("k"), held, entry(b"stale", &old, stamp)).await.unwrap_err();
    assert_eq!(error.kind(), cache_core::ErrorKind::Refused);
    raw.command(&["CONFIG", "SET", "maxmemory", "0"]);
    for redis in [&one, &two] {
        drop(redis.granted(&key("else"), &old).await);
        assert_eq!(redis.payload(&key("old")).await, None);
    }
    eventually("the release", || raw.keys("p:*:l").is_empty()).await;
    let held = one.granted(&key("k"), &old).await;
    let stamp = held.stamp();
    assert_eq!(one.store(&key("k"), held, entry(b"fresh", &old, stamp)).await.unwrap(), StoreAnswer::Stored);
    assert_eq!(two.payload(&key("k")).await.unwrap(), b"fresh");
}

/// The first of them deletes the clock, and there is no memory for another one.
#[tokio::test]
async fn out_of_memory_and_without_a_clock_invalidations_are_still_recorded() {
    let server = Server::with(&["--maxmemory-policy", "noeviction"]);
    let (one, two) =
        (server.builder().prefix("p").connect().await.unwrap(), server.builder().prefix("p").connect().await.unwrap());
    let mut raw = server.raw();
    for number in 0..4 {
        one.put(&key(&number.to_string()), b"v", &[tag(number)]).await;
    }
    raw.command(&["CONFIG", "SET", "maxmemory", "1"]);
    for number in 0..3 {
        two.invalidate(&[tag(number)]).await.unwrap();
        assert_eq!(raw.command(&["EXISTS", "p:{t:p}:clock"]).number(), 0);
        for redis in [&one, &two] {
            assert_eq!(redis.payload(&key(&number.to_string())).await, None, "{number}");
        }
    }
    assert!(one.payload(&key("3")).await.is_some(), "nobody has invalidated it");
    assert_eq!(one.try_lease(&key("other"), &[]).await.unwrap_err().kind(), cache_core::ErrorKind::Refused);
    // A clock that went back isn't left to those who don't know.
    raw.command(&["CONFIG", "SET", "maxmemory", "0"]);
    drop(two.granted(&key("other"), &[tag(0)]).await);
    one.put(&key("3"), b"v", &[tag(3)]).await;
    let before = raw.command(&["GET", "p:{t:p}:clock"]).text();
    one.invalidate(&[tag(9)]).await.unwrap();
    raw.command(&["SET", "p:{t:p}:clock", &before]);
    raw.command(&["CONFIG", "SET", "maxmemory", "1"]);
    one.invalidate(&[tag(0)]).await.unwrap();
    assert_eq!(raw.keys("p:{t:p}:*"), Vec::<String>::new());
    raw.command(&["CONFIG", "SET", "maxmemory", "0"]);
    for redis in [&one, &two] {
        for number in 0..4 {
            assert_eq!(redis.payload(&key(&number.to_string())).await, None, "{number}");
        }
    }
    one.put(&key("3"), b"v", &[tag(3)]).await;
    assert!(two.payload(&key("3")).await.is_some());
}

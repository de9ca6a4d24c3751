//! The table of commands in the crate's docs, asserted by `INFO commandstats`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "this is how tests fail and talk")]

mod support;

use std::collections::BTreeMap;

use cache_core::backend::Backend;
use support::*;

/// Calls by command, without those of the connections themselves.
fn calls(raw: &mut Raw) -> BTreeMap<String, i64> {
    let info = raw.command(&["INFO", "commandstats"]).text();
    let mut calls = BTreeMap::new();
    for line in info.lines() {
        let Some((name, rest)) = line.strip_prefix("cmdstat_").and_then(|line| line.split_once(':')) else { continue };
        let count = rest.strip_prefix("calls=").and_then(|rest| rest.split(',').next()).unwrap();
        calls.insert(name.to_owned(), count.parse().unwrap());
    }
    for own in [
        "info",
        // Redis 6.2 doesn't tell subcommands apart.
        "config",
        "config|resetstat",
        "auth",
        "ping",
        "persist",
        "client|id",
        "subscribe",
        "psubscribe",
        "config|get",
        "config|set",
    ] {
        calls.remove(own);
    }
    calls
}

/// What the work sends; inside scripts too.
async fn counted(raw: &mut Raw, work: impl Future<Output = ()>) -> BTreeMap<String, i64> {
    raw.command(&["CONFIG", "RESETSTAT"]);
    work.await;
    calls(raw)
}

fn expect(calls: &BTreeMap<String, i64>, expected: &[(&str, i64)]) {
    let expected: BTreeMap<_, _> = expected.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
    assert_eq!(*calls, expected);
}

/// Two processes that don't send heartbeats while we count, with all scripts known to the server.
async fn quiet(server: &Server) -> [cache_redis::Redis; 2] {
    let connect = async || {
        let builder = server.builder().prefix("p").max_staleness(std::time::Duration::from_secs(10_000));
        let redis = builder.connect().await.unwrap();
        // The first heartbeats are over.
        Listening::to(&redis).trusted().await;
        redis
    };
    let both = [connect().await, connect().await];
    both[0].put(&key("warm"), b"", &[tag(0)]).await;
    drop(both[0].granted(&key("warm"), &[]).await);
    both[0].invalidate(&[tag(0)]).await.unwrap();
    let mut raw = server.raw();
    // A new prefix begins with a hold on everything, as nobody knows what was lost.
    raw.command(&["ZREM", "p:{t:p}:holds", "*"]);
    for redis in &both {
        informed(&mut raw, redis).await;
    }
    eventually("release", || raw.keys("p:*:l").is_empty()).await;
    both
}

/// A hit, whatever its tags: the earliest end of a hold, the clock, the entry, and the server's time.
const HIT: [(&str, i64); 3] = [("zrange", 1), ("get", 2), ("time", 1)];

#[tokio::test]
async fn a_hit_costs_the_same_however_many_tags_it_has() {
    let server = Server::start();
    let [one, two] = quiet(&server).await;
    let mut raw = server.raw();
    for count in [0, 2, 20] {
        let k = key(&count.to_string());
        let tags: Vec<_> = (0..count).map(tag).collect();
        one.put(&k, b"v", &tags).await;
        for redis in [&one, &two] {
            for _ in 0..2 {
                expect(&counted(&mut raw, async { assert!(redis.payload(&k).await.is_some()) }).await, &HIT);
            }
        }
        // And so does a miss because of what was invalidated.
        if let Some(tag) = tags.last() {
            one.invalidate(&[*tag]).await.unwrap();
            informed(&mut raw, &one).await;
            expect(&counted(&mut raw, async { assert!(one.payload(&k).await.is_none()) }).await, &HIT);
        }
    }
}

#[tokio::test]
async fn hits_at_the_same_moment_go_out_together() {
    const CALLS: i64 = 200;
    let server = Server::start();
    let [one, _two] = quiet(&server).await;
    let mut raw = server.raw();
    let keys: Vec<_> = (0..CALLS).map(|number| key(&number.to_string())).collect();
    for k in &keys {
        one.put(k, b"v", &[tag(1)]).await;
    }
    let calls = counted(&mut raw, async {
        let hits = futures_util::future::join_all(keys.iter().map(|k| one.payload(k))).await;
        assert!(hits.iter().all(Option::is_some));
    });
    let calls = calls.await;
    // Two may go alone before the others gather.
    assert!(calls.values().sum::<i64>() < CALLS / 2, "{calls:?}");
    assert_eq!(calls.keys().collect::<Vec<_>>(), ["get", "mget", "time", "zrange"]);
}

/// Who wasn't there when an entry was stored asks for its tags, once.
#[tokio::test]
async fn the_first_hit_of_an_entry_from_before() {
    let server = Server::start();
    let [one, _two] = quiet(&server).await;
    let tags = [tag(1), tag(2), tag(3)];
    one.put(&key("k"), b"v", &tags).await;
    // Tags of one bucket are asked for together.
    let together = [cache_core::backend::TagId(5), cache_core::backend::TagId(5 + 256)];
    one.put(&key("l"), b"v", &together).await;
    // The clock moves on: so far, what was stored can't have been invalidated.
    one.invalidate(&[tag(9)]).await.unwrap();
    let [newcomer, _] = quiet(&server).await;
    let mut raw = server.raw();
    for (name, buckets) in [("k", 3), ("l", 1)] {
        let hit = async || assert!(newcomer.payload(&key(name)).await.is_some());
        expect(&counted(&mut raw, hit()).await, &[("zrange", 1), ("get", 3), ("hmget", buckets), ("time", 1)]);
        expect(&counted(&mut raw, hit()).await, &HIT);
    }
    one.invalidate(&tags[..1]).await.unwrap();
    assert_eq!(newcomer.payload(&key("k")).await, None);
}

/// Who doesn't hear of invalidations asks for tags along with the entry.
#[tokio::test]
async fn a_hit_of_the_deaf() {
    let server = Server::start();
    let [one, _two] = quiet(&server).await;
    let mut raw = server.raw();
    let all = ["on", ">secret", "~*", "+@all", "resetchannels"];
    raw.command(&[&["ACL", "SETUSER", "deaf"][..], &all].concat());
    let builder = server.builder().prefix("p").max_staleness(std::time::Duration::from_secs(10_000));
    let before = executed(&mut raw, "evalsha");
    let deaf = builder.username("deaf").password("secret").connect_lazy().unwrap();
    // The first heartbeat is over.
    eventually("the heartbeat", || executed(&mut raw, "evalsha") > before).await;
    assert!(deaf.health().connected && !deaf.health().listening);
    one.put(&key("k"), b"v", &[tag(1), tag(2)]).await;
    let hit = async || assert!(deaf.payload(&key("k")).await.is_some());
    expect(&counted(&mut raw, hit()).await, &[("zrange", 1), ("get", 3), ("hmget", 2), ("time", 1)]);
    for _ in 0..3 {
        expect(&counted(&mut raw, hit()).await, &[("zrange", 1), ("get", 2), ("hmget", 2), ("time", 1)]);
    }
    one.invalidate(&[tag(2)]).await.unwrap();
    assert_eq!(deaf.payload(&key("k")).await, None);
}

#[tokio::test]
async fn a_miss_that_runs() {
    let server = Server::start();
    let [one, _two] = quiet(&server).await;
    let tags = [tag(1), tag(2)];
    one.put(&key("other"), b"", &tags).await;
    let mut raw = server.raw();
    let calls = counted(&mut raw, async {
        one.put(&key("k"), b"v", &tags).await;
    });
    expect(
        &calls.await,
        &[
            // read, clock; lease script, store script: the lease; stamp script: the clock
            ("get", 2 + 2 + 1),
            // read; stamp script
            ("zrange", 2),
            // read, store script
            ("time", 2),
            // lease: the entry
            ("getrange", 1),
            // stamp script: are the buckets there?
            ("hmget", 2),
            // lease and entry
            ("set", 2),
            ("del", 1),
            ("evalsha", 3),
        ],
    );
}

/// Buckets of tags that the run turned out to have are made sure of when it stores.
#[tokio::test]
async fn a_run_that_adds_a_tag() {
    let server = Server::start();
    let [one, two] = quiet(&server).await;
    let mut raw = server.raw();
    let lease = one.granted(&key("k"), &[tag(1)]).await;
    let stamp = lease.stamp();
    let calls = counted(&mut raw, async {
        one.store(&key("k"), lease, entry(b"v", &[tag(1), tag(2)], stamp)).await.unwrap();
    });
    // The clock and the lease; the bucket, which isn't there, and the lease.
    let expected = [
        ("evalsha", 2),
        ("get", 2),
        ("zrange", 1),
        ("hmget", 1),
        ("hset", 1),
        ("time", 1),
        ("set", 1),
        ("del", 1),
        ("unlink", 1),
    ];
    expect(&calls.await, &expected);
    assert!(two.payload(&key("k")).await.is_some());
}

#[tokio::test]
async fn an_invalidation_costs_the_same_however_many_entries_there_are() {
    let server = Server::start();
    let [one, _two] = quiet(&server).await;
    let mut raw = server.raw();
    let expected =
        [("evalsha", 1), ("get", 1), ("zrange", 1), ("set", 1), ("hget", 1), ("hset", 1), ("hlen", 1), ("publish", 1)];
    let invalidate = async || assert!(one.invalidate(&[tag(1)]).await.is_ok());
    one.put(&key("k"), b"v", &[tag(1)]).await;
    expect(&counted(&mut raw, invalidate()).await, &expected);
    for number in 0..1000 {
        one.put(&key(&number.to_string()), b"v", &[tag(1)]).await;
    }
    expect(&counted(&mut raw, invalidate()).await, &expected);
    assert_eq!(one.payload(&key("999")).await, None);
}

#[tokio::test]
async fn a_miss_that_waits() {
    let server = Server::start();
    let [one, two] = quiet(&server).await;
    let mut raw = server.raw();
    one.put(&key("k"), b"old", &[tag(1)]).await;
    one.invalidate(&[tag(1)]).await.unwrap();
    let lease = one.granted(&key("k"), &[tag(1)]).await;
    let stamp = lease.stamp();
    // Long enough for many looks, if anyone polled.
    let calls = counted(&mut raw, async {
        let waiting = async {
            let busy = two.busy(&key("k")).await;
            two.wait(&key("k"), busy).await.unwrap();
        };
        tokio::join!(waiting, tokio::time::sleep(std::time::Duration::from_millis(500)), async {
            tokio::time::sleep(std::time::Duration::from_millis(400)).await;
            one.store(&key("k"), lease, entry(b"new", &[tag(1)], stamp)).await.unwrap();
        });
        assert!(two.payload(&key("k")).await.is_some());
    });
    let calls = calls.await;
    expect(
        &calls,
        &[
            // read; lease and stamp script; look; store script; read
            ("get", 2 + 2 + 1 + 1 + 2),
            // read; stamp script; read
            ("zrange", 3),
            // lease script
            ("pttl", 1),
            // read, store script, read
            ("time", 3),
            ("getrange", 1),
            ("set", 1),
            ("del", 1),
            ("evalsha", 2 + 1),
        ],
    );
}

#[tokio::test]
async fn nothing_grows_but_entries_and_nothing_is_scanned() {
    let server = Server::start();
    let [one, two] = quiet(&server).await;
    let mut raw = server.raw();
    let calls = counted(&mut raw, async {
        for number in 0..2000 {
            let redis = if number % 2 == 0 { &one } else { &two };
            let lease = redis.granted(&key(&number.to_string()), &[tag(number)]).await;
            let stamp = lease.stamp();
            let lifetimes = cache_core::backend::Lifetimes {
                keep: Some(std::time::Duration::from_millis(1)),
                ..Default::default()
            };
            let short = cache_core::backend::Entry { lifetimes, ..entry(b"v", &[tag(number)], stamp) };
            redis.store(&key(&number.to_string()), lease, short).await.unwrap();
            redis.invalidate(&[tag(number)]).await.unwrap();
        }
    });
    let calls = calls.await;
    for forbidden in ["scan", "keys", "smembers", "sadd", "zadd", "hscan", "sscan", "lpush"] {
        assert!(!calls.contains_key(forbidden), "{forbidden}");
    }
    eventually("expiry", || {
        let keys = raw.keys("*");
        keys.iter().all(|key| key.starts_with("p:{t:p}:") || key.ends_with(":e"))
            && keys.iter().filter(|key| key.ends_with(":e")).count() <= 1
    })
    .await;
    // The buckets, the clock and the holds; the last entry.
    assert!(raw.keys("*").len() <= 256 + 3 + 1);
}

/// One round trip before the write, one after it, and none more for those who read meanwhile.
#[tokio::test]
async fn a_write_with_a_hold() {
    let server = Server::start();
    let [one, two] = quiet(&server).await;
    let mut raw = server.raw();
    one.put(&key("k"), b"v", &[tag(1)]).await;
    drop(one.hold(&[tag(9)]).unwrap().end().await);
    let mut hold = None;
    let place = async {
        let placed = one.hold(&[tag(1)]).unwrap();
        placed.placed().await.unwrap();
        hold = Some(placed);
    };
    let calls = counted(&mut raw, place).await;
    assert_eq!((calls["evalsha"], calls["zadd"], calls["publish"]), (1, 1, 1), "{calls:?}");
    informed(&mut raw, &two).await;
    let hit = async || assert!(two.payload(&key("k")).await.is_some());
    expect(&counted(&mut raw, hit()).await, &HIT);
    let calls = counted(&mut raw, async { hold.unwrap().end().await.unwrap() }).await;
    assert_eq!((calls["evalsha"], calls["zrem"], calls["publish"]), (1, 1, 1), "{calls:?}");
    assert_eq!(two.payload(&key("k")).await, None);
}

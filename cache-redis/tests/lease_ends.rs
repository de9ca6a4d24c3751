//! A held lease always has an end, and is always a lease: whatever anyone writes to its key, and wherever the server's clock
//! goes, nobody waits for longer than a lease that was asked for.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "this is how tests fail and talk")]

mod support;

use std::time::{Duration, Instant};

use cache_core::backend::{Backend, EntryKey, LeaseAnswer, LeaseRequest, StoreAnswer};
use cache_redis::{Redis, TroubleKind};
use support::looks::Looks;
use support::*;

const LEASE: Duration = Duration::from_millis(1200);

/// For a busy machine.
const SLACK: Duration = Duration::from_secs(4);

async fn connect(server: &Server) -> Redis {
    server.builder().prefix("p").lease(LEASE).connect().await.unwrap()
}

/// As the docs of `keys.rs` say.
fn lease_of(key: &EntryKey) -> String {
    format!("p:{{{:032x}}}:l", xxhash_rust::xxh3::xxh3_128(key.as_bytes()))
}

/// Asks and waits as the engine does, until it is granted. How long that took.
async fn until_granted(redis: &Redis) -> Duration {
    until_granted_for(redis, &key("k")).await
}

async fn until_granted_for(redis: &Redis, key: &EntryKey) -> Duration {
    let began = Instant::now();
    within(LEASE * 3 + SLACK, "the lease", async {
        loop {
            match redis.try_lease(key, &[]).await.unwrap() {
                LeaseAnswer::Granted(_) => return began.elapsed(),
                LeaseAnswer::Busy(busy) => redis.wait(key, busy).await.unwrap(),
                LeaseAnswer::Changed => {}
            }
        }
    })
    .await
}

/// The lease of a process that is no more: its key, and its value.
async fn of_the_dead(server: &Server) -> (String, String) {
    let dead = connect(server).await;
    let held = dead.granted(&key("k"), &[]).await;
    let name = lease_of(&key("k"));
    let value = server.command(&["GET", &name]).text();
    dead.close().await;
    drop(held);
    assert_eq!(server.command(&["EXISTS", &name]).number(), 0);
    (name, value)
}

#[tokio::test]
async fn a_lease_without_an_end_gets_one() {
    let server = Server::start();
    let (_, value) = of_the_dead(&server).await;
    let token = value.split(' ').next().unwrap();
    let redis = connect(&server).await;
    let huge = format!("{token} 999999999999999999999999999999 -");
    let long = format!("{token} 999999999 -");
    let not_a_duration = format!("{token} soon -");
    let binary = "\u{0}\u{1} ä!";
    let values = [&value, token, "", " ", "garbage", "-1", binary, &huge, &long, &not_a_duration, &long.repeat(500)];
    let mut blocked = Vec::new();
    for (number, value) in values.iter().enumerate() {
        for life in [&[][..], &["PX", "4000000000"]] {
            let key = key(&format!("{number} {life:?}"));
            server.command(&[&["SET", &lease_of(&key), value], life].concat());
            blocked.push((key, value));
        }
    }
    let waits = blocked.iter().map(|(key, value)| {
        let redis = &redis;
        async move { (until_granted_for(redis, key).await, value) }
    });
    let longest = futures_util::future::join_all(waits).await.into_iter().max().unwrap();
    assert!(longest.0 < LEASE + SLACK, "{longest:?}");
}

/// Somebody waits already when the lease loses its end, with and without being told.
#[tokio::test]
async fn who_waits_for_a_lease_that_loses_its_end_waits_no_longer() {
    let server = Server::start();
    for told in [true, false] {
        let (name, value) = of_the_dead(&server).await;
        let builder = server.builder().prefix("p").lease(LEASE);
        let redis = if told { builder } else { builder.without_notifications() }.connect().await.unwrap();
        server.command(&["SET", &name, &value, "PX", &LEASE.as_millis().to_string()]);
        let looks = Looks::at(&server);
        let (took, ()) = tokio::join!(until_granted(&redis), async {
            looks.seen(1).await;
            assert_eq!(server.command(&["PERSIST", &name]).number(), 1);
        });
        assert!(took < LEASE * 2 + SLACK, "{took:?}");
    }
}

/// It is still held, for as long as its holder runs.
#[tokio::test]
async fn a_holder_that_lives_keeps_the_lease_that_lost_its_end() {
    let server = Server::start();
    let (one, two) = (connect(&server).await, connect(&server).await);
    let held = one.granted(&key("k"), &[]).await;
    let name = lease_of(&key("k"));
    server.command(&["PERSIST", &name]);
    two.busy(&key("k")).await;
    tokio::time::sleep(LEASE * 2).await;
    let busy = two.busy(&key("k")).await;
    assert!(busy.remaining <= LEASE + Duration::from_millis(1), "{busy:?}");
    let stamp = held.stamp();
    assert_eq!(one.store(&key("k"), held, entry(b"v", &[], stamp)).await.unwrap(), StoreAnswer::Stored);
}

#[tokio::test]
async fn a_clock_that_is_set_back_prolongs_no_lease() {
    let server = Server::with_clock(&[]);
    let (name, value) = of_the_dead(&server).await;
    let redis = connect(&server).await;
    let life = LEASE.as_millis().to_string();
    // Before anybody asks.
    server.command(&["SET", &name, &value, "PX", &life]);
    server.set_clock(-3600);
    assert!(server.command(&["PTTL", &name]).number() > 3_000_000);
    let took = until_granted(&redis).await;
    assert!(took < LEASE + SLACK, "{took:?}");
    eventually("the release", || server.raw().keys("p:*:l").is_empty()).await;
    // While somebody waits.
    server.command(&["SET", &name, &value, "PX", &life]);
    let looks = Looks::at(&server);
    let (took, ()) = tokio::join!(until_granted(&redis), async {
        looks.seen(1).await;
        server.set_clock(-7200);
    });
    assert!(took < LEASE * 2 + SLACK, "{took:?}");
}

/// And a leader that lives keeps its own, however the clock is set back.
#[tokio::test]
async fn a_clock_that_is_set_back_takes_no_lease_from_who_lives() {
    let server = Server::with_clock(&[]);
    let (one, two) = (connect(&server).await, connect(&server).await);
    let held = one.granted(&key("k"), &[]).await;
    server.set_clock(-3600);
    for _ in 0..4 {
        two.busy(&key("k")).await;
        tokio::time::sleep(LEASE / 2).await;
    }
    two.busy(&key("k")).await;
    let stamp = held.stamp();
    assert_eq!(one.store(&key("k"), held, entry(b"v", &[], stamp)).await.unwrap(), StoreAnswer::Stored);
}

/// Neither who waits nor who holds is in the way.
#[tokio::test]
async fn closing_doesn_t_wait_for_a_lease_without_an_end() {
    let server = Server::start();
    let (one, two) = (connect(&server).await, connect(&server).await);
    let held = one.granted(&key("k"), &[]).await;
    let busy = two.busy(&key("k")).await;
    let looks = Looks::at(&server);
    let waiting = tokio::spawn({
        let two = two.clone();
        async move { two.wait(&key("k"), busy).await }
    });
    looks.seen(1).await;
    server.command(&["PERSIST", &lease_of(&key("k"))]);
    within(SLACK, "closing who waits", two.close()).await;
    within(SLACK, "the wait", waiting).await.unwrap().unwrap_err();
    within(SLACK, "closing who holds", one.close()).await;
    drop(held);
    assert_eq!(server.raw().keys("p:*:l"), [""; 0]);
}

/// Puts something of another type there.
fn replace(server: &Server, name: &str, kind: &str) {
    let mut raw = server.raw();
    raw.command(&["DEL", name]);
    let command: &[&str] = match kind {
        "list" => &["RPUSH", name, "x"],
        "hash" => &["HSET", name, "x", "y"],
        "set" => &["SADD", name, "x"],
        "sorted set" => &["ZADD", name, "1", "x"],
        _ => &["XADD", name, "*", "x", "y"],
    };
    assert!(!matches!(raw.command(command), Value::Error(_)));
}

const OTHER_TYPES: [&str; 5] = ["list", "hash", "set", "sorted set", "stream"];

#[tokio::test]
async fn a_lease_of_another_type_is_replaced() {
    let server = Server::start();
    let (name, _) = of_the_dead(&server).await;
    let troubles = Troubles::default();
    let redis = server.builder().prefix("p").lease(LEASE).on_error(troubles.hook()).connect().await.unwrap();
    for (count, kind) in (1..).zip(OTHER_TYPES) {
        replace(&server, &name, kind);
        redis.put(&key("k"), kind.as_bytes(), &[tag(1)]).await;
        assert_eq!(redis.payload(&key("k")).await.unwrap(), kind.as_bytes());
        redis.invalidate(&[tag(1)]).await.unwrap();
        assert_eq!(redis.health().count(TroubleKind::WrongType), count);
    }
    eventually("the report", || troubles.kinds().contains(&TroubleKind::WrongType)).await;
}

/// Who waits, renews, stores or gives back meets it too.
#[tokio::test]
async fn a_lease_that_becomes_another_type_is_lost() {
    let server = Server::start();
    let (one, two) = (connect(&server).await, connect(&server).await);
    let ends = ["store", "drop", "renew", "wait", "give up"];
    for (expected, (kind, then)) in (1..).zip(OTHER_TYPES.into_iter().zip(ends)) {
        let held = one.granted(&key("k"), &[]).await;
        let (stamp, busy, name) = (held.stamp(), two.busy(&key("k")).await, lease_of(&key("k")));
        replace(&server, &name, kind);
        let mut raw = server.raw();
        match then {
            "store" => {
                let answer = one.store(&key("k"), held, entry(b"lost", &[], stamp)).await.unwrap();
                assert_eq!(answer, StoreAnswer::LeaseLost);
            }
            "drop" => drop(held),
            "give up" => assert!(held.give_up()),
            "renew" => {
                eventually("the renewal", || raw.keys("p:*:l").is_empty()).await;
                drop(held);
            }
            _ => {
                within(SLACK, "the wait", two.wait(&key("k"), busy)).await.unwrap();
                let mine = two.granted(&key("k"), &[]).await;
                let answer = one.store(&key("k"), held, entry(b"lost", &[], stamp)).await.unwrap();
                assert_eq!(answer, StoreAnswer::LeaseLost);
                drop(mine);
            }
        }
        eventually("the removal", || raw.keys("p:*:l").is_empty()).await;
        assert_eq!(one.payload(&key("k")).await, None);
        let count = || [&one, &two].map(|redis| redis.health().count(TroubleKind::WrongType)).iter().sum::<u64>();
        eventually("the count", || count() == expected).await;
    }
}

/// Its entry too, as far as the lease is in question.
#[tokio::test]
async fn an_entry_of_another_type_is_no_other_entry() {
    let server = Server::start();
    let redis = connect(&server).await;
    redis.put(&key("k"), b"v", &[]).await;
    let name = server.raw().keys("p:*:e").pop().unwrap();
    for kind in OTHER_TYPES {
        replace(&server, &name, kind);
        let request = LeaseRequest { duration: None, seen: NOTHING_SEEN, ..LeaseRequest::default() };
        let LeaseAnswer::Granted(held) = redis.lease(&key("k"), request).await.unwrap() else { panic!("{kind}") };
        let stamp = held.stamp();
        assert_eq!(redis.store(&key("k"), held, entry(b"v", &[], stamp)).await.unwrap(), StoreAnswer::Stored);
        assert_eq!(redis.payload(&key("k")).await.unwrap(), b"v");
    }
}

//! Entries that live for as long as they are touched.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "this is how tests fail and talk")]

mod support;

use std::time::Duration;

use cache_core::backend::{Backend, Entry, Lifetimes, StoreAnswer};
use cache_redis::{Redis, TroubleKind};
use support::*;

const SECOND: Duration = Duration::from_secs(1);

async fn put(redis: &Redis, name: &str, keep: Option<Duration>, idle: Option<Duration>) {
    let lease = redis.granted(&key(name), &[]).await;
    let lifetimes = Lifetimes { fresh: keep, keep, idle };
    let entry = Entry { lifetimes, ..entry(name.as_bytes(), &[], lease.stamp()) };
    assert_eq!(redis.store(&key(name), lease, entry).await.unwrap(), StoreAnswer::Stored);
}

/// What is left of the only entry's life in Redis, in seconds; rounded up. -1 for ever, -2 without an entry.
fn left(raw: &mut Raw) -> i64 {
    let name = raw.keys("p:*:e").pop().unwrap_or_default();
    let millis = raw.command(&["PTTL", &name]).number();
    if millis < 0 { millis } else { (millis + 999) / 1_000 }
}

async fn fresh(server: &Server) -> (Redis, Raw) {
    let redis = server.builder().prefix("p").connect().await.unwrap();
    let mut raw = server.raw();
    raw.delete("p:*:e");
    (redis, raw)
}

#[tokio::test]
async fn it_lives_from_when_it_was_touched_last_and_not_beyond_its_lifetime() {
    let server = Server::start();
    for (keep, idle, stored, touched, then) in [
        (None, Some(100), 100, 100, 100),
        (None, Some(100), 100, 500, 500),
        (Some(1_000), Some(100), 100, 500, 500),
        (Some(1_000), Some(100), 100, 5_000, 1_000),
        (Some(50), Some(100), 50, 100, 50),
        // It never shortens a life.
        (Some(1_000), Some(100), 100, 10, 100),
        (Some(1_000), None, 1_000, 10, 1_000),
        // What has no end gets none.
        (None, None, -1, 10, -1),
    ] {
        let (redis, mut raw) = fresh(&server).await;
        put(&redis, "k", keep.map(Duration::from_secs), idle.map(Duration::from_secs)).await;
        assert!((stored - 2..=stored).contains(&left(&mut raw)), "{keep:?} {idle:?}: {}", left(&mut raw));
        redis.touch(&key("k"), SECOND * touched);
        if then != stored {
            eventually("the touch", || left(&mut raw) > stored).await;
        } else {
            // Behind it on the same connection, so it has been executed.
            redis.read(&key("k")).await.unwrap();
        }
        assert!((then - 2..=then).contains(&left(&mut raw)), "{keep:?} {idle:?} {touched}: {}", left(&mut raw));
        let live = redis.read(&key("k")).await.unwrap().live.unwrap();
        assert_eq!((live.entry.payload, live.entry.lifetimes.idle), (b"k".to_vec(), idle.map(Duration::from_secs)));
        assert!(
            live.remaining.is_none_or(|left| Some(left) <= keep.map(Duration::from_secs)),
            "its lifetime is the same"
        );
    }
}

#[tokio::test]
async fn the_builders_lifetime_is_a_limit_too() {
    let server = Server::start();
    let redis = server.builder().prefix("p").ttl(1_000 * SECOND).connect().await.unwrap();
    let mut raw = server.raw();
    put(&redis, "k", None, Some(100 * SECOND)).await;
    redis.touch(&key("k"), 5_000 * SECOND);
    eventually("the touch", || left(&mut raw) > 100).await;
    assert!((990..=1_000).contains(&left(&mut raw)), "{}", left(&mut raw));
}

/// Whatever stands there: nothing is made, nothing is changed, and nothing fails.
#[tokio::test]
async fn other_keys_are_left_alone() {
    let server = Server::start();
    let (redis, mut raw) = fresh(&server).await;
    redis.touch(&key("k"), SECOND * 100);
    redis.read(&key("k")).await.unwrap();
    assert_eq!(raw.keys("p:*:e"), Vec::<String>::new());
    put(&redis, "k", Some(SECOND * 1_000), Some(SECOND * 100)).await;
    let name = raw.keys("p:*:e").pop().unwrap();
    for garbage in [&["SET", &name, "x", "EX", "10"][..], &["SET", &name, "", "EX", "10"]] {
        raw.command(garbage);
        redis.touch(&key("k"), SECOND * 100);
        redis.read(&key("k")).await.unwrap();
        assert!(left(&mut raw) <= 10);
    }
    raw.command(&["DEL", &name]);
    raw.command(&["LPUSH", &name, "x"]);
    raw.command(&["EXPIRE", &name, "10"]);
    redis.touch(&key("k"), SECOND * 100);
    redis.read(&key("k")).await.unwrap();
    assert!(left(&mut raw) <= 10);
    assert_eq!(redis.health().count(TroubleKind::Other), 0, "{:?}", redis.health());
}

/// Nobody waits for it, however the server is.
#[tokio::test]
async fn it_does_not_wait() {
    let server = Server::start();
    let (redis, _) = fresh(&server).await;
    put(&redis, "k", None, Some(SECOND * 100)).await;
    let begun = std::time::Instant::now();
    server.stop();
    (0..10_000).for_each(|_| redis.touch(&key("k"), SECOND * 200));
    server.resume();
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    redis.close().await;
    redis.touch(&key("k"), SECOND * 200);
}

//! The server's clock is set while entries live: nothing is served for longer than it was stored for.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "this is how tests fail and talk")]

mod support;

use std::time::Duration;

use cache_core::backend::{Backend, Entry, Lifetimes, StoreAnswer};
use cache_redis::Redis;
use support::*;

const HOUR: i64 = 3600;
const TTL: Duration = Duration::from_secs(4);

async fn connect(server: &Server) -> Redis {
    server.builder().prefix("p").connect().await.unwrap()
}

async fn put(redis: &Redis, name: &str, keep: Option<Duration>) {
    let lease = redis.granted(&key(name), &[tag(1)]).await;
    let lifetimes = Lifetimes { fresh: keep, keep, idle: None };
    let stored = Entry { lifetimes, ..entry(b"v", &[tag(1)], lease.stamp()) };
    assert_eq!(redis.store(&key(name), lease, stored).await.unwrap(), StoreAnswer::Stored);
}

async fn left(redis: &Redis, name: &str) -> Option<Duration> {
    redis.read(&key(name)).await.unwrap().live.map(|live| live.remaining.unwrap())
}

#[tokio::test]
async fn an_entry_from_the_future_is_a_miss_and_is_replaced() {
    let server = Server::with_clock(&[]);
    let (one, two) = (connect(&server).await, connect(&server).await);
    let by_default = server.builder().prefix("q").ttl(TTL).connect().await.unwrap();
    for back in [10, HOUR, 20 * 365 * 24 * HOUR] {
        server.set_clock(0);
        server.command(&["FLUSHALL"]);
        put(&one, "short", Some(TTL)).await;
        put(&one, "for ever", None).await;
        put(&by_default, "short", None).await;
        assert!(left(&two, "short").await.is_some());
        server.set_clock(-back);
        assert!(server.command(&["EXISTS", &server.raw().keys("q:*:e")[0]]).number() == 1, "Redis keeps it for longer");
        for redis in [&one, &two, &connect(&server).await, &by_default] {
            assert_eq!(left(redis, "short").await, None, "{back} s");
        }
        assert!(two.payload(&key("for ever")).await.is_some(), "it has no end");
        for (stores, keep) in [(&one, Some(TTL)), (&by_default, None)] {
            put(stores, "short", keep).await;
            assert!(left(stores, "short").await.unwrap() <= TTL);
        }
        assert!(left(&two, "short").await.unwrap() <= TTL);
        one.invalidate(&[tag(1)]).await.unwrap();
        assert_eq!(two.payload(&key("for ever")).await, None, "invalidation has nothing to do with time");
    }
}

#[tokio::test]
async fn a_clock_that_is_set_forward_ends_entries_early() {
    let server = Server::with_clock(&[]);
    let (one, two) = (connect(&server).await, connect(&server).await);
    put(&one, "short", Some(TTL)).await;
    put(&one, "long", Some(Duration::from_secs(3 * HOUR as u64))).await;
    server.set_clock(HOUR);
    for redis in [&one, &two] {
        assert_eq!(left(redis, "short").await, None);
        let left = left(redis, "long").await.unwrap();
        assert!(left <= Duration::from_secs(2 * HOUR as u64), "{left:?}");
    }
    put(&one, "short", Some(TTL)).await;
    server.set_clock(0);
    assert_eq!(left(&two, "short").await, None, "stored in what is now the future");
}

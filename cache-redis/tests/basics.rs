//! An entry's life, end to end; and entries' and leases' keys.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "this is how tests fail and talk")]

mod support;

use std::time::Duration;

use cache_core::backend::{Backend, LeaseAnswer, LeaseRequest, Lifetimes, StoreAnswer};
use support::*;

#[tokio::test]
async fn store_read_invalidate() {
    let server = Server::start();
    let (one, two) = (server.connect().await, server.connect().await);
    let tags = [tag(1), tag(2)];
    let stamp = one.put(&key("k"), b"v", &tags).await;
    for redis in [&one, &two, &two] {
        let live = redis.read(&key("k")).await.unwrap().live.unwrap();
        assert_eq!(live.entry, entry(b"v", &tags, stamp));
        assert_eq!(live.remaining, None);
    }
    two.invalidate(&tags[..1]).await.unwrap();
    assert_eq!(one.payload(&key("k")).await, None);
    let later = one.put(&key("k"), b"w", &tags).await;
    assert!(later > stamp);
    assert_eq!(two.payload(&key("k")).await.unwrap(), b"w");
    assert!(two.known_stamp().unwrap() >= later);
}

#[tokio::test]
async fn lifetimes() {
    let server = Server::start();
    let redis = server.builder().ttl(Duration::from_secs(100)).connect().await.unwrap();
    let lease = redis.granted(&key("short"), &[]).await;
    let lifetimes = Lifetimes { keep: Some(Duration::from_secs(10)), ..Lifetimes::default() };
    let short = cache_core::backend::Entry { lifetimes, ..entry(b"", &[], lease.stamp()) };
    redis.store(&key("short"), lease, short).await.unwrap();
    redis.put(&key("default"), b"", &[]).await;
    let left = async |name: &str| redis.read(&key(name)).await.unwrap().live.unwrap().remaining.unwrap().as_millis();
    assert!((1..=10_000).contains(&left("short").await));
    assert!((10_001..=100_000).contains(&left("default").await));
}

#[tokio::test]
async fn a_store_in_between_is_noticed() {
    let server = Server::start();
    let (one, two) = (server.connect().await, server.connect().await);
    let seen = two.read(&key("k")).await.unwrap().seen;
    one.put(&key("k"), b"v", &[]).await;
    let request = LeaseRequest { duration: None, seen, tags: &[], take_over: false };
    assert!(matches!(two.lease(&key("k"), request).await.unwrap(), LeaseAnswer::Changed));
    let seen = two.read(&key("k")).await.unwrap().seen;
    let request = LeaseRequest { duration: None, seen, tags: &[], take_over: false };
    assert!(matches!(two.lease(&key("k"), request).await.unwrap(), LeaseAnswer::Granted(_)));
}

#[tokio::test]
async fn tags_that_change_are_asked_for_again() {
    let server = Server::start();
    let (one, two) = (server.connect().await, server.connect().await);
    one.put(&key("k"), b"v", &[tag(1)]).await;
    assert!(two.payload(&key("k")).await.is_some());
    // Now `two` remembers tag 1; the entry gets another one meanwhile.
    let lease = one.granted(&key("k"), &[]).await;
    let stamp = lease.stamp();
    assert_eq!(one.store(&key("k"), lease, entry(b"w", &[tag(2)], stamp)).await.unwrap(), StoreAnswer::Stored);
    assert_eq!(two.payload(&key("k")).await.unwrap(), b"w");
    one.invalidate(&[tag(2)]).await.unwrap();
    assert_eq!(two.payload(&key("k")).await, None);
}

#[tokio::test]
async fn foreign_bytes_under_our_key_are_a_miss_and_are_replaced() {
    let server = Server::start();
    let redis = server.builder().prefix("p").connect().await.unwrap();
    redis.put(&key("k"), b"v", &[tag(1)]).await;
    let mut raw = server.raw();
    let name = raw.keys("p:*:e").pop().unwrap();
    for garbage in [b"".as_slice(), b"x", &[0; 4], &[0; 8], &[0; 40], &[255; 40]] {
        raw.try_bytes(&[b"SET", name.as_bytes(), garbage]).unwrap();
        assert_eq!(redis.payload(&key("k")).await, None);
        redis.put(&key("k"), b"v", &[tag(1)]).await;
        assert_eq!(redis.payload(&key("k")).await.unwrap(), b"v");
    }
}

#[tokio::test]
async fn full_buckets_are_trimmed() {
    let server = Server::start();
    let redis = server.builder().prefix("p").connect().await.unwrap();
    // All of one bucket.
    let tag = |number: u64| cache_core::backend::TagId(number << 8 | 7);
    redis.put(&key("old"), b"", &[tag(0)]).await;
    for number in 1..=1200 {
        redis.invalidate(&[tag(number)]).await.unwrap();
        if number == 100 {
            assert!(redis.payload(&key("old")).await.is_some());
        }
    }
    let mut raw = server.raw();
    let fields = raw.command(&["HLEN", "p:{t:p}:07"]).number();
    assert!((200..=501).contains(&fields), "{fields}");
    assert!(redis.payload(&key("old")).await.is_some(), "who has heard all of it knows better");
    let newcomer = server.builder().prefix("p").connect().await.unwrap();
    assert_eq!(newcomer.payload(&key("old")).await, None, "forgotten tags count as invalidated");
    redis.put(&key("new"), b"", &[tag(0), tag(1), tag(1200)]).await;
    assert!(redis.payload(&key("new")).await.is_some());
    // Every tag that is remembered is newer than the floor.
    let fields = raw.command(&["HGETALL", "p:{t:p}:07"]).list();
    let floor = raw.command(&["HGET", "p:{t:p}:07", "floor"]).number();
    assert!(fields.chunks(2).all(|field| field[0] == Value::Text(b"floor".to_vec()) || field[1].number() > floor));
}

#[tokio::test]
async fn many_tags_at_once() {
    let server = Server::start();
    let (one, two) = (server.connect().await, server.connect().await);
    let tags: Vec<_> = (0..3000).map(tag).collect();
    one.put(&key("k"), b"v", &tags).await;
    assert!(two.payload(&key("k")).await.is_some());
    one.put(&key("l"), b"v", &tags[2999..]).await;
    two.invalidate(&tags).await.unwrap();
    assert_eq!(one.payload(&key("k")).await, None);
    assert_eq!(one.payload(&key("l")).await, None);
}

#[tokio::test]
async fn a_unix_socket() {
    let server = Server::with(&["--unixsocket", "{dir}/redis.sock"]);
    let url = format!("redis+unix://{}?db=2", server.directory().join("redis.sock").display());
    let redis = cache_redis::Redis::builder(url).timeout(Duration::from_secs(2)).connect().await.unwrap();
    redis.put(&key("k"), b"v", &[tag(1)]).await;
    assert_eq!(redis.payload(&key("k")).await.unwrap(), b"v");
    assert!(server.command(&["INFO", "keyspace"]).text().contains("db2:"));
}

#[cfg(feature = "compression")]
#[tokio::test]
async fn compression() {
    let server = Server::start();
    let (one, two) = (
        server.builder().prefix("p").compress_above(1000).connect().await.unwrap(),
        server.builder().prefix("p").connect().await.unwrap(),
    );
    let large = vec![b'x'; 1_000_000];
    one.put(&key("large"), &large, &[]).await;
    let mut raw = server.raw();
    let name = raw.keys("p:*:e").pop().unwrap();
    assert!(raw.command(&["STRLEN", &name]).number() < 10_000);
    assert_eq!(two.payload(&key("large")).await.unwrap(), large);
    two.put(&key("plain"), &large, &[]).await;
    assert_eq!(one.payload(&key("plain")).await.unwrap(), large);
}

#[tokio::test]
async fn durations_beyond_all_clocks() {
    let server = Server::start();
    let builder = server.builder().ttl(Duration::MAX).lease(Duration::MAX).max_staleness(Duration::MAX);
    let redis = within(Duration::from_secs(20), "connecting", builder.timeout(Duration::MAX).connect()).await.unwrap();
    redis.put(&key("k"), b"v", &[tag(1)]).await;
    assert_eq!(redis.payload(&key("k")).await.unwrap(), b"v");
    redis.invalidate(&[tag(1)]).await.unwrap();
    assert_eq!(redis.payload(&key("k")).await, None);
    let held = redis.granted(&key("k"), &[]).await;
    let busy = redis.busy(&key("k")).await;
    drop(held);
    within(Duration::from_secs(20), "the wait", redis.wait(&key("k"), busy)).await.unwrap();
}

//! Invalidations that couldn't be recorded are recorded before their process reads from Redis again.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "this is how tests fail and talk")]

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cache_core::backend::{Backend, TagId};
use cache_core::{Cache, Error};
use cache_redis::Redis;
use support::*;

/// A server that keeps what it has when it is killed.
fn lasting() -> Server {
    Server::with(&["--appendonly", "yes", "--appendfsync", "always"])
}

/// The first answer that there is, once the server is back.
async fn first_answer(redis: &Redis, name: &str) -> Option<Vec<u8>> {
    within(Duration::from_secs(20), "an answer", async {
        loop {
            if let Ok(reading) = redis.read(&key(name)).await {
                return reading.live.map(|live| live.entry.payload);
            }
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    })
    .await
}

#[tokio::test]
async fn nothing_old_is_served_after_an_outage() {
    let mut server = lasting();
    let connect = async || server.builder().prefix("p").timeout(Duration::from_millis(300)).connect().await.unwrap();
    let [one, other] = [connect().await, connect().await];
    one.put(&key("k"), b"old", &[tag(1)]).await;
    one.put(&key("l"), b"kept", &[tag(2)]).await;
    server.kill();
    let error = one.invalidate(&[tag(1)]).await.unwrap_err();
    assert!(error.is_remembered(), "{error}");
    assert_eq!((one.health().remembered_invalidations, other.health().remembered_invalidations), (1, 0));
    server.restart();
    assert_eq!(first_answer(&one, "k").await, None, "from the first read on");
    assert_eq!(first_answer(&other, "k").await, None, "it is recorded");
    assert_eq!(first_answer(&one, "l").await.unwrap(), b"kept");
    assert_eq!(one.health().remembered_invalidations, 0);
}

/// It needs no read: the heartbeat records it as soon as there is a connection.
#[tokio::test]
async fn recorded_without_a_read() {
    let mut server = lasting();
    let one = server.builder().prefix("p").max_staleness(Duration::from_millis(300)).connect().await.unwrap();
    one.put(&key("k"), b"old", &[tag(1)]).await;
    server.kill();
    assert!(one.invalidate(&[tag(1)]).await.is_err());
    server.restart();
    eventually("the record", || one.health().remembered_invalidations == 0).await;
    let other = server.builder().prefix("p").connect().await.unwrap();
    assert_eq!(other.payload(&key("k")).await, None);
}

/// What is dropped on the way, or times out, is remembered as well.
#[tokio::test]
async fn a_dropped_invalidation_is_remembered() {
    let mut server = lasting();
    let one = server.builder().prefix("p").timeout(Duration::from_millis(300)).connect().await.unwrap();
    one.put(&key("k"), b"old", &[tag(1)]).await;
    server.kill();
    {
        let tags = [tag(1)];
        let mut invalidation = Box::pin(one.invalidate(&tags));
        assert!(futures_util::poll!(&mut invalidation).is_pending());
    }
    eventually("it is remembered", || one.health().remembered_invalidations == 1).await;
    server.restart();
    assert_eq!(first_answer(&one, "k").await, None);
}

#[tokio::test]
async fn too_many_invalidate_everything() {
    let mut server = lasting();
    let one = server.builder().prefix("p").timeout(Duration::from_millis(300)).connect().await.unwrap();
    one.put(&key("k"), b"old", &[tag(1), TagId::EVERYTHING]).await;
    one.put(&key("l"), b"another", &[tag(1 << 40), TagId::EVERYTHING]).await;
    server.kill();
    let many: Vec<_> = (0..20_000).map(tag).collect();
    assert!(one.invalidate(&many).await.is_err());
    assert_eq!(one.health().remembered_invalidations, 1);
    server.restart();
    assert_eq!((first_answer(&one, "k").await, first_answer(&one, "l").await), (None, None));
}

/// On a closed handle nothing is remembered, and the error doesn't say so.
#[tokio::test]
async fn what_is_closed_remembers_nothing() {
    let server = Server::start();
    let one = server.connect().await;
    one.close().await;
    assert!(!one.invalidate(&[tag(1)]).await.unwrap_err().is_remembered());
}

/// Writes while Redis is away, as users see them.
#[tokio::test]
async fn writes_without_redis() {
    let mut server = lasting();
    let redis = server.builder().prefix("p").timeout(Duration::from_millis(300)).connect().await.unwrap();
    redis.put(&key("k"), b"old", &[cache_core::Tag::new(("row", 1)).id()]).await;
    let cache = Cache::builder().backend(redis.clone()).build().unwrap();
    server.kill();
    let begun = AtomicBool::new(false);
    let write = async {
        begun.store(true, Ordering::Relaxed);
        Ok::<_, Error>(7)
    };
    let refused = cache.writing([("row", 1)], write).strict().await;
    assert!(refused.is_err() && !begun.load(Ordering::Relaxed), "a strict write doesn't begin");
    assert!(cache.hold([("row", 1)]).await.is_err());
    let told = std::sync::Arc::new(AtomicBool::new(false));
    let tell = std::sync::Arc::clone(&told);
    let write = async { Ok::<_, Error>(7) };
    let written = cache.writing([("row", 1)], write).on_lost(move || tell.store(true, Ordering::Relaxed)).await;
    assert_eq!(written.unwrap(), 7);
    assert!(told.load(Ordering::Relaxed), "it was told that it isn't held");
    let error = cache.invalidate_tag(("row", 1)).await.unwrap_err();
    assert!(error.is_remembered() && error.to_string().contains("is remembered"), "{error}");
    assert!(redis.health().remembered_invalidations > 0);
    server.restart();
    assert_eq!(first_answer(&redis, "k").await, None);
}

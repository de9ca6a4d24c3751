//! Sentinels: the primary is found, and found again after a failover.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "this is how tests fail and talk")]

mod support;

use std::time::Duration;

use cache_core::backend::Backend;
use cache_redis::Redis;
use support::*;

async fn fails_over(hang: bool) {
    let mut sentinel = Sentinel::start();
    let connect = async || {
        let builder = Redis::builder(sentinel.url()).prefix("p").timeout(Duration::from_millis(300));
        builder.max_staleness(Duration::from_secs(1)).connect().await.unwrap()
    };
    let (one, two) = (connect().await, connect().await);
    let mut ear = Listening::to(&two);
    ear.trusted().await;
    let before = one.put(&key("k"), b"v", &[tag(1)]).await;
    assert!(two.payload(&key("k")).await.is_some());
    ear.drain();
    if hang {
        sentinel.primary.stop();
    } else {
        sentinel.primary.kill();
    }
    within(Duration::from_secs(40), "the failover", async {
        while one.invalidate(&[tag(1)]).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    ear.until("doubt", |heard| *heard == Heard::Doubt).await;
    assert!(sentinel.replica.raw().info("replication", "role").as_deref() == Some("master"));
    within(Duration::from_secs(20), "the other process", async {
        while two.read(&key("k")).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    assert_eq!(two.payload(&key("k")).await, None);
    assert!(two.put(&key("k"), b"w", &[tag(1)]).await > before);
    assert_eq!(one.payload(&key("k")).await.unwrap(), b"w");
    // The old primary comes back, and is nobody's primary any more.
    if hang {
        sentinel.primary.resume();
        tokio::time::sleep(Duration::from_millis(500)).await;
        for redis in [&one, &two] {
            assert_eq!(redis.payload(&key("k")).await.unwrap(), b"w");
        }
    }
}

#[tokio::test]
async fn a_killed_primary_is_succeeded() {
    fails_over(false).await;
}

#[tokio::test]
async fn a_hanging_primary_is_succeeded() {
    fails_over(true).await;
}

#[tokio::test]
async fn sentinels_that_are_absent_or_know_nothing() {
    let server = Server::sentinel();
    let url = |service: &str| format!("redis-sentinel://127.0.0.1:{}?service={service}", server.port());
    let error = Redis::builder(url("nobody")).connect().await.unwrap_err();
    assert!(!error.to_string().is_empty());
    let error =
        Redis::builder(format!("redis-sentinel://127.0.0.1:{}?service=x", free_port())).connect().await.unwrap_err();
    assert_eq!(error.kind(), cache_core::ErrorKind::Unavailable);
}

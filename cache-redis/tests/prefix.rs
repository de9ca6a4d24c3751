//! A prefix is any text, and no operation touches another prefix's keys.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "this is how tests fail and talk")]

mod support;

use std::time::Duration;

use cache_core::backend::Backend;
use cache_redis::Redis;
use support::*;

async fn connect(server: &Server, prefix: &str) -> Redis {
    server.builder().prefix(prefix).connect().await.unwrap()
}

const PREFIXES: [&str; 14] =
    ["app", "app2", "app:", "app:{", "", ":", "{}", "{app}", "a*p", "a\0p", "%61pp", "ä ö\r\n", "app:bus", "[a-z]pp"];

#[tokio::test]
async fn any_text_is_a_prefix_of_its_own() {
    let server = Server::start();
    let mut all = Vec::new();
    for prefix in PREFIXES {
        let redis = connect(&server, prefix).await;
        redis.put(&key("k"), prefix.as_bytes(), &[tag(1)]).await;
        all.push(redis);
    }
    for (index, redis) in all.iter().enumerate() {
        for (other, prefix) in all.iter().zip(PREFIXES).skip(index) {
            assert_eq!(other.payload(&key("k")).await.unwrap(), prefix.as_bytes());
        }
        redis.invalidate(&[tag(1)]).await.unwrap();
        assert_eq!(redis.payload(&key("k")).await, None);
    }
}

#[tokio::test]
async fn leases_clocks_and_messages_are_apart() {
    let server = Server::start();
    let (app, app2) = (connect(&server, "app").await, connect(&server, "app2").await);
    let mut raw = server.raw();
    let mut ear = Listening::to(&app2);
    ear.trusted().await;
    ear.drain();
    let (held, _held2) = (app.granted(&key("k"), &[]).await, app2.granted(&key("k"), &[]).await);
    let busy = app2.busy(&key("k")).await;
    let before: Vec<_> = raw.keys("app2:*").into_iter().map(|key| raw.command(&["DUMP", &key])).collect();
    app.invalidate(&[tag(1)]).await.unwrap();
    drop(held);
    eventually("the release", || raw.keys("app:*:l").is_empty()).await;
    // The other one's waiter isn't woken, its keys are as they were, its listeners have heard nothing.
    let waited_for = key("k");
    let wait = tokio::time::timeout(Duration::from_millis(100), app2.wait(&waited_for, busy));
    assert!(wait.await.is_err());
    let after: Vec<_> = raw.keys("app2:*").into_iter().map(|key| raw.command(&["DUMP", &key])).collect();
    assert_eq!(before, after);
    assert!(ear.drain().iter().all(|heard| matches!(heard, Heard::Trusted(_))));
    assert!(raw.keys("*").iter().all(|key| key.starts_with("app:") || key.starts_with("app2:")));
}

#[tokio::test]
async fn databases_are_apart_though_channels_know_none() {
    let server = Server::start();
    let connect = async |database| server.builder().prefix("p").database(database).connect().await.unwrap();
    let (zero, three) = (connect(0).await, connect(3).await);
    let mut ear = Listening::to(&three);
    ear.trusted().await;
    ear.drain();
    zero.put(&key("k"), b"0", &[tag(1)]).await;
    three.put(&key("k"), b"3", &[tag(1)]).await;
    let url = format!("{}/3", server.url());
    let by_url = Redis::builder(url).prefix("p").timeout(Duration::from_secs(2)).connect().await.unwrap();
    assert_eq!(by_url.payload(&key("k")).await.unwrap(), b"3");
    zero.invalidate(&[tag(1)]).await.unwrap();
    assert_eq!(zero.payload(&key("k")).await, None);
    assert_eq!(three.payload(&key("k")).await.unwrap(), b"3");
    let held = zero.granted(&key("l"), &[]).await;
    let _held3 = three.granted(&key("l"), &[]).await;
    let busy = three.busy(&key("l")).await;
    drop(held);
    let waited_for = key("l");
    let wait = tokio::time::timeout(Duration::from_millis(100), by_url.wait(&waited_for, busy));
    assert!(wait.await.is_err());
    assert!(ear.drain().iter().all(|heard| matches!(heard, Heard::Trusted(_))));
}

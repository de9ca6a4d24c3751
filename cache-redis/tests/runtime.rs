//! A backend belongs to no runtime of its users, and leaves nothing behind.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "this is how tests fail and talk")]

mod support;

use std::time::Duration;

use cache_core::ErrorKind;
use cache_core::backend::Backend;
use cache_redis::Redis;
use support::looks::Looks;
use support::*;

async fn use_it(redis: &Redis, name: &str) {
    // Others do the same at the same time.
    let tags = [tag(name.bytes().map(u64::from).sum())];
    redis.put(&key(name), b"v", &tags).await;
    assert!(redis.payload(&key(name)).await.is_some());
    redis.invalidate(&tags).await.unwrap();
    assert!(redis.payload(&key(name)).await.is_none());
    let held = redis.granted(&key(name), &[]).await;
    let busy = redis.busy(&key(name)).await;
    drop(held);
    redis.wait(&key(name), busy).await.unwrap();
}

#[test]
fn from_no_runtime_at_all() {
    let server = Server::start();
    let redis = pollster::block_on(server.connect());
    pollster::block_on(use_it(&redis, "k"));
    let threads: Vec<_> = (0..4)
        .map(|number| {
            let redis = redis.clone();
            std::thread::spawn(move || pollster::block_on(use_it(&redis, &number.to_string())))
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    pollster::block_on(redis.close());
}

#[test]
fn from_several_runtimes_one_after_the_other() {
    let server = Server::start();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let first = runtime();
    let redis = first.block_on(server.connect());
    first.block_on(use_it(&redis, "a"));
    drop(first);
    let (second, third) = (runtime(), tokio::runtime::Runtime::new().unwrap());
    second.block_on(use_it(&redis, "b"));
    third.block_on(use_it(&redis, "c"));
    drop(second);
    third.block_on(use_it(&redis, "d"));
}

/// Threads of this process by the name of the backends' own, and connections of the server.
fn left_over(raw: &mut Raw) -> (usize, i64) {
    let mut threads = 0;
    for task in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
        let name = std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        threads += usize::from(name.trim() == "larder-redis");
    }
    (threads, raw.info("clients", "connected_clients").unwrap().parse().unwrap())
}

#[tokio::test]
async fn closing_and_dropping_leave_nothing_behind() {
    let server = Server::start();
    let mut raw = server.raw();
    let connections = |raw: &mut Raw| left_over(raw).1;
    assert_eq!(connections(&mut raw), 1);
    for round in 0..3 {
        let redis = server.builder().pool_size(3).connect().await.unwrap();
        let clone = redis.clone();
        use_it(&redis, "k").await;
        assert_eq!(connections(&mut raw), 1 + 3 + 1);
        if round == 0 {
            within(Duration::from_secs(5), "close", redis.close()).await;
            within(Duration::from_secs(5), "a second close", clone.close()).await;
            // It has ended when `close` returns.
            eventually("the connections", || connections(&mut raw) == 1).await;
            assert_eq!(clone.read(&key("k")).await.unwrap_err().kind(), ErrorKind::Closed);
            assert_eq!(clone.invalidate(&[]).await.unwrap_err().kind(), ErrorKind::Closed);
            assert!(!clone.health().connected);
        }
        drop(redis);
        if round == 1 {
            use_it(&clone, "k").await;
        }
        drop(clone);
        eventually("the connections", || connections(&mut raw) == 1).await;
        assert_eq!(raw.command(&["PUBSUB", "CHANNELS"]), Value::List(vec![]));
        assert_eq!(raw.command(&["PUBSUB", "NUMPAT"]), Value::Number(0));
    }
}

#[tokio::test]
async fn closing_ends_waits() {
    let server = Server::start();
    let (one, two) = (server.connect().await, server.connect().await);
    let _held = one.granted(&key("k"), &[]).await;
    let busy = two.busy(&key("k")).await;
    let looks = Looks::at(&server);
    let (waited, ()) =
        tokio::join!(async { within(Duration::from_secs(5), "the wait", two.wait(&key("k"), busy)).await }, async {
            looks.seen(1).await;
            two.close().await;
        });
    assert_eq!(waited.unwrap_err().kind(), ErrorKind::Closed);
}

#[tokio::test]
async fn closing_while_redis_hangs() {
    let server = Server::start();
    let redis = server.builder().timeout(Duration::from_millis(200)).connect().await.unwrap();
    let held = redis.granted(&key("k"), &[]).await;
    server.stop();
    within(Duration::from_secs(3), "close", redis.close()).await;
    drop(held);
}

#[tokio::test]
async fn futures_may_be_dropped_anywhere() {
    let server = Server::start();
    let redis = server.builder().prefix("p").connect().await.unwrap();
    for polls in 1..30 {
        let work = async {
            // A key of its own: what the last round took is given back at once, but not before this one begins.
            let k = key(&polls.to_string());
            redis.put(&k, b"v", &[tag(1)]).await;
            let _ = redis.payload(&k).await;
            redis.invalidate(&[tag(1)]).await.unwrap();
        };
        let mut work = std::pin::pin!(work);
        let mut left = polls;
        std::future::poll_fn(|context| {
            left -= 1;
            let done = work.as_mut().poll(context).is_ready();
            if done || left == 0 { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
    }
    let mut raw = server.raw();
    eventually("the leases", || raw.keys("p:*:l").is_empty()).await;
}

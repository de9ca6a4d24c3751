//! Leases that a run which replaces what is there takes over, and those given back by runs that have left nothing.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "this is how tests fail and talk")]

mod support;

use std::time::Duration;

use cache_core::backend::{Backend, Lease, LeaseAnswer, LeaseRequest, StoreAnswer};
use cache_redis::{Redis, RedisBuilder};
use support::*;

/// Longer than any test is patient.
const LONG: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_secs(5);

async fn connect(server: &Server, notified: bool) -> Redis {
    let builder: RedisBuilder = server.builder().prefix("p").lease(LONG);
    let builder = if notified { builder } else { builder.without_notifications() };
    builder.connect().await.unwrap()
}

async fn taken_over(redis: &Redis) -> Box<dyn Lease> {
    let request = LeaseRequest { tags: &[tag(1)], take_over: true, ..LeaseRequest::default() };
    match redis.lease(&key("k"), request).await.unwrap() {
        LeaseAnswer::Granted(lease) => lease,
        other => panic!("a run that replaces what is there was answered with {other:?}"),
    }
}

#[tokio::test]
async fn whoever_waits_for_a_lease_that_is_taken_over_is_woken() {
    let server = Server::start();
    for notified in [true, false] {
        let (one, two, three) =
            (connect(&server, notified).await, connect(&server, notified).await, connect(&server, notified).await);
        let older = one.granted(&key("k"), &[tag(1)]).await;
        let busy = three.busy(&key("k")).await;
        let first = busy.holder.clone();
        let k = key("k");
        let (waited, later) = tokio::join!(within(SOON, "the wait", three.wait(&k, busy)), async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            taken_over(&two).await
        });
        waited.unwrap();
        let busy = three.busy(&key("k")).await;
        assert!(later.holder() == Some(&*busy.holder) && busy.holder != first && !busy.follows_unstored);
        let stamp = older.stamp();
        let refused = one.store(&key("k"), older, entry(b"older", &[tag(1)], stamp)).await.unwrap();
        assert_eq!(refused, StoreAnswer::LeaseLost);
        let stamp = later.stamp();
        assert_eq!(two.store(&key("k"), later, entry(b"newer", &[tag(1)], stamp)).await.unwrap(), StoreAnswer::Stored);
        assert_eq!(one.payload(&key("k")).await.unwrap(), b"newer");
        assert_eq!(server.raw().keys("p:*:l"), [""; 0]);
        // With something there that it hasn't seen.
        drop(taken_over(&two).await);
        two.read(&key("k")).await.unwrap();
        one.invalidate(&[tag(1)]).await.unwrap();
    }
}

/// What the lease says, until it is so.
async fn says(server: &Server, what: &str, is_so: impl Fn(&str) -> bool) {
    let lease = server.raw().keys("p:*:l").pop().unwrap();
    eventually(what, || is_so(&server.raw().command(&["GET", &lease]).text())).await;
}

/// A run that has given its lease up goes on beside; nothing of that is forgotten.
#[tokio::test]
async fn a_dead_run_stays_known() {
    let server = Server::start();
    let (one, two) = (connect(&server, true).await, connect(&server, true).await);
    let dead = one.granted(&key("k"), &[]).await;
    assert!(dead.give_up());
    says(&server, "it is given up", |lease| lease.starts_with("- ")).await;
    let later = taken_over(&two).await;
    assert!(later.give_up());
    says(&server, "it is to be given up", |lease| lease.ends_with('?')).await;
    // So no third one begins before the first has ended.
    one.busy(&key("k")).await;
    drop(dead);
    says(&server, "it is given up", |lease| lease.starts_with("- ")).await;
    drop(one.granted(&key("k"), &[]).await);
    drop(later);
    eventually("the releases", || server.raw().keys("p:*:l").is_empty()).await;
}

#[tokio::test]
async fn a_run_that_has_left_nothing_is_told_of_until_the_next_has_ended() {
    let server = Server::start();
    for notified in [true, false] {
        let (one, two) = (connect(&server, notified).await, connect(&server, notified).await);
        let first = one.granted(&key("k"), &[]).await;
        let busy = two.busy(&key("k")).await;
        assert!(!first.follows_unstored() && !busy.follows_unstored);
        let k = key("k");
        let (waited, ()) = tokio::join!(within(SOON, "the wait", two.wait(&k, busy)), async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            first.ended_unstored();
        });
        waited.unwrap();
        // One that comes between, and what it gives up, are told of it too.
        let second = two.granted(&key("k"), &[]).await;
        assert!(second.follows_unstored() && one.busy(&key("k")).await.follows_unstored);
        drop(second);
        two.read(&key("k")).await.unwrap();
        let third = one.granted(&key("k"), &[]).await;
        assert!(!third.follows_unstored() && !two.busy(&key("k")).await.follows_unstored);
        third.ended_unstored();
        one.read(&key("k")).await.unwrap();
        let fourth = two.granted(&key("k"), &[]).await;
        assert!(fourth.follows_unstored());
        let stamp = fourth.stamp();
        assert_eq!(two.store(&key("k"), fourth, entry(b"", &[tag(1)], stamp)).await.unwrap(), StoreAnswer::Stored);
        assert_eq!(server.raw().keys("p:*:l"), [""; 0]);
        one.invalidate(&[tag(1)]).await.unwrap();
    }
}

/// The mark ends by itself.
#[tokio::test]
async fn nothing_is_left_behind() {
    let server = Server::start();
    let redis = server.builder().prefix("p").lease(Duration::from_millis(300)).connect().await.unwrap();
    for number in 0..50 {
        redis.granted(&key(&format!("key {number}")), &[]).await.ended_unstored();
    }
    redis.read(&key("k")).await.unwrap();
    for lease in server.raw().keys("p:*:l") {
        let left = server.raw().command(&["PTTL", &lease]).number();
        assert!((-2..=300).contains(&left) && left != -1, "{left}");
    }
    eventually("the marks end", || server.raw().keys("p:*:l").is_empty()).await;
}

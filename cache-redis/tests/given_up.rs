//! A lease that is given up while its run goes on: another run begins at once, a third one doesn't.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "this is how tests fail and talk")]

mod support;

use std::time::Duration;

use cache_core::backend::{Backend, Lease, LeaseAnswer, StoreAnswer};
use cache_redis::{Redis, RedisBuilder};
use support::*;

/// Longer than any test is patient: who comes to it earlier was let in.
const LONG: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_secs(5);

async fn connect(server: &Server, options: impl Fn(RedisBuilder) -> RedisBuilder) -> Redis {
    options(server.builder().prefix("p").lease(LONG)).connect().await.unwrap()
}

/// Asks and waits as the engine does, until it is granted.
async fn waited(redis: &Redis) -> Box<dyn Lease> {
    within(SOON, "the lease", async {
        loop {
            match redis.try_lease(&key("k"), &[]).await.unwrap() {
                LeaseAnswer::Granted(lease) => return lease,
                LeaseAnswer::Busy(busy) => redis.wait(&key("k"), busy).await.unwrap(),
                LeaseAnswer::Changed => {}
            }
        }
    })
    .await
}

/// Whoever waits is woken, by a notification or by a message.
#[tokio::test]
async fn another_run_begins_beside_one_that_gave_its_lease_up() {
    let server = Server::start();
    for notified in [true, false] {
        let options = |builder: RedisBuilder| if notified { builder } else { builder.without_notifications() };
        let (one, two) = (connect(&server, options).await, connect(&server, options).await);
        let dead = one.granted(&key("k"), &[tag(1)]).await;
        let (next, ()) = tokio::join!(waited(&two), async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            assert!(dead.give_up());
        });
        // It stores nothing, neither while the other one runs nor over what that has stored.
        let (stamp, other) = (dead.stamp(), two.busy(&key("k")).await.holder);
        assert_eq!(next.holder(), Some(&*other));
        assert_eq!(one.store(&key("k"), dead, entry(b"dead", &[tag(1)], stamp)).await.unwrap(), StoreAnswer::LeaseLost);
        let stamp = next.stamp();
        assert_eq!(two.store(&key("k"), next, entry(b"new", &[tag(1)], stamp)).await.unwrap(), StoreAnswer::Stored);
        assert_eq!(one.payload(&key("k")).await.unwrap(), b"new");
        two.invalidate(&[tag(1)]).await.unwrap();
        assert_eq!(server.raw().keys("p:*:l"), [""; 0]);
    }
}

/// Until one of the two has ended: then it begins at once.
#[tokio::test]
async fn a_third_run_waits_for_one_of_two() {
    let server = Server::start();
    for notified in [true, false] {
        let options = |builder: RedisBuilder| if notified { builder } else { builder.without_notifications() };
        let (one, two, three) =
            (connect(&server, options).await, connect(&server, options).await, connect(&server, options).await);
        for first_ends in [true, false] {
            let first = one.granted(&key("k"), &[]).await;
            assert!(first.give_up());
            let second = waited(&two).await;
            assert!(second.give_up());
            // What it sent is executed by now.
            two.read(&key("k")).await.unwrap();
            let busy = three.busy(&key("k")).await;
            assert_eq!(second.holder(), Some(&*busy.holder));
            assert!(tokio::time::timeout(Duration::from_millis(300), three.wait(&key("k"), busy)).await.is_err());
            let (left, third) = if first_ends {
                drop(first);
                (second, waited(&three).await)
            } else {
                drop(second);
                (first, waited(&three).await)
            };
            // And the next one again.
            assert!(third.give_up());
            three.read(&key("k")).await.unwrap();
            one.busy(&key("k")).await;
            drop(left);
            drop(waited(&one).await);
            drop(third);
            eventually("the releases", || server.raw().keys("p:*:l").is_empty()).await;
        }
    }
}

/// The one that gave its lease up is over before anybody has taken it.
#[tokio::test]
async fn nothing_is_left_of_a_lease_that_was_given_up() {
    let server = Server::start();
    let (one, two) = (connect(&server, |builder| builder).await, connect(&server, |builder| builder).await);
    let dead = one.granted(&key("k"), &[]).await;
    assert!(dead.give_up());
    drop(dead);
    eventually("the releases", || server.raw().keys("p:*:l").is_empty()).await;
    let first = two.granted(&key("k"), &[]).await;
    assert!(first.give_up());
    let second = waited(&one).await;
    drop(first);
    let mut raw = server.raw();
    let name = raw.keys("p:*:l").pop().unwrap();
    eventually("the first one's end", || raw.command(&["GET", &name]).text().ends_with(" -")).await;
    two.busy(&key("k")).await;
    // It can be given up as if there had never been another one.
    assert!(second.give_up());
    drop(waited(&two).await);
    drop(second);
    eventually("the releases", || raw.keys("p:*:l").is_empty()).await;
}

/// Both are renewed: the mark of the run that goes on, and the lease of the one beside it.
#[tokio::test]
async fn a_lease_that_was_given_up_is_remembered_for_as_long_as_its_run_goes_on() {
    let server = Server::start();
    let lease = Duration::from_millis(600);
    let one = server.builder().prefix("p").lease(lease).connect().await.unwrap();
    let two = server.builder().prefix("p").lease(lease).connect().await.unwrap();
    let dead = one.granted(&key("k"), &[]).await;
    assert!(dead.give_up());
    tokio::time::sleep(lease * 3).await;
    let mut raw = server.raw();
    let name = raw.keys("p:*:l").pop().unwrap();
    assert!(raw.command(&["GET", &name]).text().starts_with("- "));
    let next = two.granted(&key("k"), &[]).await;
    tokio::time::sleep(lease * 3).await;
    let busy = one.busy(&key("k")).await;
    assert_eq!(next.holder(), Some(&*busy.holder));
    drop(dead);
    let stamp = next.stamp();
    assert_eq!(two.store(&key("k"), next, entry(b"v", &[], stamp)).await.unwrap(), StoreAnswer::Stored);
    // A process that dies leaves nothing for longer than its lease.
    let dead = one.granted(&key("l"), &[]).await;
    assert!(dead.give_up());
    one.read(&key("l")).await.unwrap();
    let name = raw.keys("p:*:l").pop().unwrap();
    let left = raw.command(&["PTTL", &name]).number();
    assert!((1..=600).contains(&left), "{left}");
}

/// The connection is gone when the run turns out to be of no use.
#[tokio::test(flavor = "multi_thread")]
async fn a_lease_is_given_up_after_reconnecting() {
    let server = Server::start();
    let proxy = Proxy::to(server.port());
    let one = Redis::builder(proxy.url()).prefix("p").lease(LONG).connect().await.unwrap();
    let two = connect(&server, |builder| builder).await;
    let dead = one.granted(&key("k"), &[]).await;
    proxy.refuse();
    proxy.cut(Kind::Commands);
    assert!(dead.give_up());
    tokio::time::sleep(Duration::from_millis(300)).await;
    proxy.accept();
    drop(waited(&two).await);
    drop(dead);
    eventually("the releases", || server.raw().keys("p:*:l").is_empty()).await;
}

/// What is sent once more after a lost reply finds nothing to do.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_up_twice_is_given_up_once() {
    let server = Server::start();
    let (one, two) = (connect(&server, |builder| builder).await, connect(&server, |builder| builder).await);
    let dead = one.granted(&key("k"), &[]).await;
    assert!(dead.give_up() && dead.give_up());
    let next = waited(&two).await;
    assert!(dead.give_up());
    one.read(&key("k")).await.unwrap();
    let busy = one.busy(&key("k")).await;
    assert_eq!(next.holder(), Some(&*busy.holder));
    drop(dead);
    one.read(&key("k")).await.unwrap();
    one.busy(&key("k")).await;
    drop(next);
    eventually("the releases", || server.raw().keys("p:*:l").is_empty()).await;
}

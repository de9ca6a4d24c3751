//! A run that ends while the connection is gone: its lease is given back as soon as there is one again, and blocks nobody for
//! the rest of its life.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "this is how tests fail and talk")]

mod support;

use std::time::{Duration, Instant};

use cache_core::ErrorKind;
use cache_core::backend::{Backend, Busy, Lease, LeaseAnswer, LeaseRequest, TagId};
use cache_redis::{Redis, RedisBuilder};
use support::shards::node_of;
use support::*;

/// Longer than any test is patient: what comes back earlier was given back.
const LONG: Duration = Duration::from_secs(60);
const TIMEOUT: Duration = Duration::from_millis(200);
/// From the reconnection to the one who waits, on a busy machine.
const SOON: Duration = Duration::from_secs(10);

fn options(builder: RedisBuilder) -> RedisBuilder {
    builder.prefix("p").lease(LONG).timeout(TIMEOUT)
}

/// A server, a process behind a proxy, and one that isn't.
async fn scene() -> (Server, Proxy, Redis, Redis) {
    let server = Server::start();
    let proxy = Proxy::to(server.port());
    let one = options(Redis::builder(proxy.url())).connect().await.unwrap();
    let two = options(server.builder()).timeout(Duration::from_secs(2)).connect().await.unwrap();
    (server, proxy, one, two)
}

/// Waits for the lease that `one` holds until it can be had.
fn waits(two: &Redis, busy: Busy) -> tokio::task::JoinHandle<()> {
    let two = two.clone();
    tokio::spawn(async move {
        within(LONG / 2, "the lease", two.wait(&key("k"), busy)).await.unwrap();
        drop(two.granted(&key("k"), &[]).await);
    })
}

/// How a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Dropped,
    Stored,
}

async fn end(redis: &Redis, held: Box<dyn Lease>, how: End) {
    match how {
        End::Dropped => drop(held),
        End::Stored => {
            let stamp = held.stamp();
            // Whether or not it succeeds.
            let _ = redis.store(&key("k"), held, entry(b"v", &[tag(1)], stamp)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_ends_without_a_connection_gives_its_lease_back_after_reconnecting() {
    let (_server, proxy, one, two) = scene().await;
    for how in [End::Dropped, End::Stored] {
        let held = until_granted(&one, &[tag(1)]).await;
        let waiter = waits(&two, two.busy(&key("k")).await);
        proxy.refuse();
        proxy.cut(Kind::Commands);
        end(&one, held, how).await;
        // Until several attempts to connect have failed.
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(!waiter.is_finished());
        proxy.accept();
        within(SOON, "the release", waiter).await.unwrap();
    }
}

/// Asks and waits as the engine does, whatever becomes of its own connection. What another one has dropped may be on its way
/// still.
async fn until_granted(redis: &Redis, tags: &[TagId]) -> Box<dyn Lease> {
    within(SOON, "the lease", async {
        loop {
            match redis.try_lease(&key("k"), tags).await {
                Ok(LeaseAnswer::Granted(lease)) => return lease,
                Ok(LeaseAnswer::Busy(busy)) => drop(redis.wait(&key("k"), busy).await),
                Ok(LeaseAnswer::Changed) => {}
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_ends_when_all_connections_are_cut_gives_its_lease_back() {
    let (server, _proxy, one, two) = scene().await;
    for how in [End::Dropped, End::Stored].into_iter().cycle().take(10) {
        let held = until_granted(&one, &[tag(1)]).await;
        assert!(server.command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).number() > 0);
        end(&one, held, how).await;
        drop(until_granted(&two, &[]).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_ends_while_the_server_is_stopped_gives_its_lease_back() {
    let (server, _proxy, one, two) = scene().await;
    for how in [End::Dropped, End::Stored] {
        let held = until_granted(&one, &[tag(1)]).await;
        server.stop();
        end(&one, held, how).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        server.resume();
        drop(until_granted(&two, &[]).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_ends_while_a_shard_is_away_gives_its_lease_back() {
    let cluster = Cluster::start();
    let connect = async || {
        let builder = Redis::builder(cluster.url()).prefix("p").lease(LONG).timeout(Duration::from_millis(400));
        builder.connect().await.unwrap()
    };
    let (one, two) = (connect().await, connect().await);
    let node = &cluster.nodes[node_of(&cluster, &key("k"))];
    for stopped in [true, false] {
        let held = until_granted(&one, &[]).await;
        if stopped {
            node.stop();
        } else {
            node.command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        }
        drop(held);
        if stopped {
            // Shorter than it takes for the others to give it up.
            tokio::time::sleep(Duration::from_millis(1200)).await;
            node.resume();
        }
        drop(until_granted(&two, &[]).await);
    }
}

/// It was granted, and whoever asked never heard of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_is_lost_with_the_connection_is_given_back_after_reconnecting() {
    let (server, proxy, one, two) = scene().await;
    let script = concat!(include_str!("../src/scripts/held.lua"), include_str!("../src/scripts/lease.lua"));
    proxy.next_reply(server.command(&["SCRIPT", "LOAD", script]).text().as_bytes(), Fate::Lost);
    // New connections lead nowhere for a while.
    proxy.then_hold();
    let request = LeaseRequest { duration: None, seen: NOTHING_SEEN, ..LeaseRequest::default() };
    assert_eq!(one.lease(&key("k"), request).await.unwrap_err().kind(), ErrorKind::Unavailable);
    let waiter = waits(&two, two.busy(&key("k")).await);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(!waiter.is_finished());
    proxy.release();
    within(SOON, "the release", waiter).await.unwrap();
}

/// Two connections keep no order: what was sent on the old one may arrive after what was sent on the new one.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_arrives_after_its_release_blocks_nobody() {
    let (server, proxy, one, two) = scene().await;
    let script = concat!(include_str!("../src/scripts/held.lua"), include_str!("../src/scripts/lease.lua"));
    proxy.next_reply(server.command(&["SCRIPT", "LOAD", script]).text().as_bytes(), Fate::Late);
    let request = LeaseRequest { duration: None, seen: NOTHING_SEEN, ..LeaseRequest::default() };
    assert_eq!(one.lease(&key("k"), request).await.unwrap_err().kind(), ErrorKind::Unavailable);
    // Until it has connected again and given back what it doesn't have.
    tokio::time::sleep(Duration::from_millis(1000)).await;
    assert!(matches!(two.try_lease(&key("k"), &[]).await, Ok(LeaseAnswer::Granted(_))));
    eventually("its release", || server.raw().keys("p:*}:l").is_empty()).await;
    proxy.release();
    // Until it has arrived. It may be given back before anybody sees it.
    tokio::time::sleep(Duration::from_millis(300)).await;
    drop(until_granted(&two, &[]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_does_not_wait_for_what_may_arrive_late() {
    let (server, proxy, one, _two) = scene().await;
    let script = concat!(include_str!("../src/scripts/held.lua"), include_str!("../src/scripts/lease.lua"));
    proxy.next_reply(server.command(&["SCRIPT", "LOAD", script]).text().as_bytes(), Fate::Unsent);
    let request = LeaseRequest { duration: None, seen: NOTHING_SEEN, ..LeaseRequest::default() };
    assert_eq!(one.lease(&key("k"), request).await.unwrap_err().kind(), ErrorKind::Unavailable);
    within(SOON * 2, "the end", one.close()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_gives_leases_back_over_a_new_connection() {
    let server = Server::start();
    let proxy = Proxy::to(server.port());
    let two = server.builder().prefix("p").lease(LONG).connect().await.unwrap();
    for dropped_before in [true, false] {
        let one = options(Redis::builder(proxy.url())).timeout(SOON).connect().await.unwrap();
        let held = until_granted(&one, &[]).await;
        let waiter = waits(&two, two.busy(&key("k")).await);
        proxy.cut(Kind::Commands);
        let held = if dropped_before { None } else { Some(held) };
        within(SOON * 2, "the end", one.close()).await;
        within(SOON, "the release", waiter).await.unwrap();
        drop(held);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_without_a_connection_takes_no_longer_than_an_operation() {
    let (_server, proxy, one, _two) = scene().await;
    let held = one.granted(&key("k"), &[]).await;
    drop(one.granted(&key("l"), &[]).await);
    proxy.refuse();
    proxy.cut(Kind::Commands);
    drop(one.granted(&key("m"), &[]));
    let began = Instant::now();
    one.close().await;
    assert!(began.elapsed() < TIMEOUT + Duration::from_secs(2), "{:?}", began.elapsed());
    drop(held);
}

/// A run that goes on through an outage still holds its lease afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn a_lease_is_renewed_as_soon_as_there_is_a_connection_again() {
    let server = Server::start();
    let proxy = Proxy::to(server.port());
    let lease = Duration::from_secs(12);
    let one = Redis::builder(proxy.url()).prefix("p").lease(lease).timeout(TIMEOUT).connect().await.unwrap();
    let two = server.builder().prefix("p").lease(lease).connect().await.unwrap();
    let held = one.granted(&key("k"), &[]).await;
    let granted = Instant::now();
    proxy.refuse();
    proxy.cut(Kind::Commands);
    // The first renewal, after four seconds, fails. The second one would come after eight.
    tokio::time::sleep(Duration::from_millis(4500)).await;
    proxy.accept();
    let name = server.raw().keys("p:*:l").pop().unwrap();
    let left = || Duration::from_millis(server.command(&["PTTL", &name]).number().max(0) as u64);
    eventually("the renewal", || left() > Duration::from_secs(8)).await;
    assert!(granted.elapsed() < Duration::from_secs(8), "{:?}", granted.elapsed());
    two.busy(&key("k")).await;
    drop(held);
}

/// What was never sent, as nobody was connected, has nothing to give back.
#[tokio::test(flavor = "multi_thread")]
async fn leases_that_were_not_asked_for_are_not_given_back() {
    const CALLS: i64 = 200;
    let server = Server::start();
    let proxy = Proxy::to(server.port());
    // Without heartbeats, which are scripts too.
    let one = options(Redis::builder(proxy.url())).max_staleness(LONG * 60).connect().await.unwrap();
    drop(one.granted(&key("warm"), &[]).await);
    proxy.refuse();
    proxy.cut(Kind::Commands);
    eventually("the breaker", || !one.health().connected).await;
    let mut raw = server.raw();
    let before = executed(&mut raw, "evalsha");
    let request = LeaseRequest { duration: None, seen: NOTHING_SEEN, ..LeaseRequest::default() };
    for number in 0..CALLS {
        one.lease(&key(&number.to_string()), request).await.unwrap_err();
    }
    proxy.accept();
    eventually("the connection", || one.health().connected).await;
    drop(one.granted(&key("k"), &[]).await);
    eventually("the release", || raw.keys("p:*:l").is_empty()).await;
    let sent = executed(&mut raw, "evalsha") - before;
    assert!(sent < CALLS / 4, "{sent}");
}

/// Those of very many runs are remembered, but not any number: what is beyond ends by itself.
#[tokio::test(flavor = "multi_thread")]
async fn as_many_are_remembered_as_there_is_room_for() {
    const RUNS: usize = 5_000;
    const ROOM: usize = 4_096;
    let server = Server::start();
    let proxy = Proxy::to(server.port());
    let one = options(Redis::builder(proxy.url())).timeout(Duration::from_secs(20)).connect().await.unwrap();
    let keys: Vec<_> = (0..RUNS).map(|number| key(&number.to_string())).collect();
    let held = futures_util::future::join_all(keys.iter().map(|key| one.granted(key, &[]))).await;
    let mut raw = server.raw();
    assert_eq!(raw.keys("p:*:l").len(), RUNS);
    proxy.refuse();
    proxy.cut(Kind::Commands);
    eventually("the breaker", || !one.health().connected).await;
    drop(held);
    // Until all have been tried.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    proxy.accept();
    eventually("the releases", || raw.keys("p:*:l").len() <= RUNS - ROOM).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let left = raw.keys("p:*:l").len();
    assert!((1..=RUNS - ROOM).contains(&left), "{left}");
}

//! Connections that lose, tear, hold and delay what passes over them. A command whose reply was lost may have been
//! executed: nobody is told that it was, nobody is harmed by it, and what it took is given back.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "this is how tests fail and talk")]

mod support;

use std::time::Duration;

use cache_core::ErrorKind;
use cache_core::backend::{Backend, LeaseRequest, StoreAnswer};
use cache_redis::{Redis, RedisBuilder};
use support::looks::Looks;
use support::operations::*;
use support::*;

/// Longer than any test is patient: what comes back earlier was given back.
const LONG: Duration = Duration::from_secs(60);

const STORE: &str = concat!(include_str!("../src/scripts/held.lua"), include_str!("../src/scripts/store.lua"));
const RELEASE: &str = concat!(include_str!("../src/scripts/held.lua"), include_str!("../src/scripts/release.lua"));
const LEASE: &str = concat!(include_str!("../src/scripts/held.lua"), include_str!("../src/scripts/lease.lua"));
const STAMP: &str = concat!(include_str!("../src/scripts/clock.lua"), include_str!("../src/scripts/stamp.lua"));
const INVALIDATE: &str =
    concat!(include_str!("../src/scripts/clock.lua"), include_str!("../src/scripts/invalidate.lua"));

/// A server, a process behind a proxy, and one that isn't.
struct Scene {
    server: Server,
    proxy: Proxy,
    /// Behind the proxy.
    one: Redis,
    two: Redis,
}

/// Without heartbeats, whose commands would meet the fates of others.
fn calm(builder: RedisBuilder) -> RedisBuilder {
    builder.prefix("p").lease(LONG).timeout(Duration::from_secs(2)).max_staleness(LONG * 60)
}

impl Scene {
    async fn new() -> Self {
        Self::with(calm).await
    }

    async fn with(options: impl Fn(RedisBuilder) -> RedisBuilder) -> Self {
        let server = Server::start();
        let proxy = Proxy::to(server.port());
        let one = options(Redis::builder(proxy.url())).connect().await.unwrap();
        let two = calm(server.builder()).connect().await.unwrap();
        Listening::to(&one).trusted().await;
        Self { server, proxy, one, two }
    }

    /// The replies to this script's next calls.
    fn replies(&self, script: &str, fates: &[Fate]) {
        // The server says what it is called by.
        let sha = self.server.command(&["SCRIPT", "LOAD", script]).text();
        for fate in fates {
            self.proxy.next_reply(sha.as_bytes(), *fate);
        }
    }

    async fn no_lease_is_left(&self) {
        let mut raw = self.server.raw();
        eventually("the release", || raw.keys("p:*:l").is_empty()).await;
    }
}

const CUTS: [Fate; 2] = [Fate::Lost, Fate::Torn];

/// Until it has a connection again; what is asked in the moment its last one ends fails with it.
async fn reconnects(redis: &Redis) {
    within(LONG / 2, "the connection", async {
        while redis.read(&key("nothing")).await.is_err() {
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    })
    .await;
}

/// The entry is there, its lease isn't, and what is given back when there is a connection again is nobody else's.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_whose_reply_is_lost() {
    let scene = Scene::new().await;
    let Scene { proxy, one, two, .. } = &scene;
    for (met, fate) in (1..).step_by(2).zip(CUTS) {
        let k = key(&format!("{fate:?}"));
        let held = one.granted(&k, &[tag(5)]).await;
        let stamp = held.stamp();
        scene.replies(STORE, &[fate]);
        proxy.then_hold();
        let error = one.store(&k, held, entry(b"first", &[tag(5)], stamp)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert_eq!(two.payload(&k).await.unwrap(), b"first", "it was executed");
        two.invalidate(&[tag(5)]).await.unwrap();
        let held = two.granted(&k, &[tag(5)]).await;
        // Only now does the first come to giving back what it may still have.
        scene.replies(RELEASE, &[Fate::Held]);
        proxy.release();
        proxy.wait_for_fates(met + 1);
        proxy.release();
        reconnects(one).await;
        one.busy(&k).await;
        assert_eq!(one.payload(&k).await, None);
        let stamp = held.stamp();
        assert_eq!(two.store(&k, held, entry(b"second", &[tag(5)], stamp)).await.unwrap(), StoreAnswer::Stored);
        assert_eq!(one.payload(&k).await.unwrap(), b"second");
    }
}

/// Between the execution and the loss others go on: what is stored then stays.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_whose_reply_is_held() {
    let scene = Scene::new().await;
    let Scene { proxy, one, two, .. } = &scene;
    let held = one.granted(&key("k"), &[tag(5)]).await;
    let stamp = held.stamp();
    scene.replies(STORE, &[Fate::Held]);
    let storing = tokio::spawn({
        let one = one.clone();
        async move { one.store(&key("k"), held, entry(b"first", &[tag(5)], stamp)).await }
    });
    proxy.wait_for_fates(1);
    two.invalidate(&[tag(5)]).await.unwrap();
    two.put(&key("k"), b"second", &[tag(5)]).await;
    proxy.cut(Kind::Commands);
    assert_eq!(storing.await.unwrap().unwrap_err().kind(), ErrorKind::Unavailable);
    recovers(one).await;
    assert_eq!(one.payload(&key("k")).await.unwrap(), b"second");
}

/// It was granted, and nobody knows: it is given back, long before its life ends.
#[tokio::test]
async fn a_lease_whose_reply_is_lost() {
    let scene = Scene::new().await;
    let Scene { one, two, .. } = &scene;
    for fate in CUTS {
        let request = LeaseRequest { duration: None, seen: NOTHING_SEEN, tags: &[tag(1)], take_over: false };
        scene.replies(LEASE, &[fate]);
        let error = one.lease(&key("k"), request).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        scene.no_lease_is_left().await;
        reconnects(one).await;
        drop(two.granted(&key("k"), &[tag(1)]).await);
        scene.no_lease_is_left().await;
        // The lease was granted, its stamp was lost.
        scene.replies(STAMP, &[fate]);
        let error = one.lease(&key("k"), request).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        scene.no_lease_is_left().await;
        reconnects(one).await;
    }
}

/// Who waits for a lease whose holder never knew it had it is woken when it is given back.
#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_a_lease_whose_reply_is_held() {
    let scene = Scene::new().await;
    let Scene { proxy, one, two, .. } = &scene;
    scene.replies(LEASE, &[Fate::Held]);
    let leasing = tokio::spawn({
        let one = one.clone();
        async move {
            let request = LeaseRequest { duration: None, seen: NOTHING_SEEN, tags: &[], take_over: false };
            one.lease(&key("k"), request).await.map(drop)
        }
    });
    proxy.wait_for_fates(1);
    let busy = two.busy(&key("k")).await;
    proxy.cut(Kind::Commands);
    assert_eq!(leasing.await.unwrap().unwrap_err().kind(), ErrorKind::Unavailable);
    within(LONG / 2, "the wake", two.wait(&key("k"), busy)).await.unwrap();
    drop(two.granted(&key("k"), &[]).await);
}

/// It was done, and is said to have failed: never the other way round.
#[tokio::test]
async fn an_invalidation_whose_reply_is_lost() {
    let scene = Scene::new().await;
    let Scene { one, two, .. } = &scene;
    for fate in CUTS {
        two.put(&key("k"), b"v", &[tag(1)]).await;
        assert!(one.payload(&key("k")).await.is_some());
        scene.replies(INVALIDATE, &[fate]);
        let error = one.invalidate(&[tag(1)]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        reconnects(one).await;
        for redis in [one, two] {
            assert_eq!(redis.payload(&key("k")).await, None, "it was executed");
        }
        one.invalidate(&[tag(1)]).await.unwrap();
    }
}

/// The caches that share a handle hear of it all the same.
#[tokio::test]
async fn an_invalidation_whose_reply_is_lost_is_heard_of() {
    let scene = Scene::new().await;
    let mut ears = [Listening::to(&scene.one), Listening::to(&scene.one)];
    for (number, fate) in (1..).zip(CUTS) {
        scene.replies(INVALIDATE, &[fate]);
        scene.one.invalidate(&[tag(number)]).await.unwrap_err();
        for ear in &mut ears {
            assert!(ear.drain().contains(&Heard::Invalidated(vec![tag(number)])), "{fate:?}");
        }
        reconnects(&scene.one).await;
    }
}

/// The same if nobody waits for the reply any more.
#[tokio::test]
async fn an_invalidation_that_is_dropped_is_heard_of() {
    let scene = Scene::new().await;
    let Scene { proxy, one, .. } = &scene;
    let mut ears = [Listening::to(one), Listening::to(one)];
    scene.replies(INVALIDATE, &[Fate::Held]);
    let tags = [tag(1)];
    let mut work = one.invalidate(&tags);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(work.as_mut().poll(&mut context).is_pending());
    proxy.wait_for_fates(1);
    drop(work);
    for ear in &mut ears {
        assert!(ear.drain().contains(&Heard::Invalidated(tags.to_vec())), "it was executed");
    }
    proxy.release();
}

/// It goes on, and what it does from then on is heard of when it has happened, also by the cache that asked.
#[tokio::test]
async fn an_invalidation_that_is_dropped_half_way_is_heard_of() {
    let scene = Scene::new().await;
    let Scene { proxy, one, .. } = &scene;
    let mut ear = Listening::to(one);
    // The last of them is in the second script only.
    let tags: Vec<_> = (0..600).map(tag).collect();
    proxy.next_reply(&tags[0].0.to_le_bytes(), Fate::Held);
    let mut work = one.invalidate(&tags);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(work.as_mut().poll(&mut context).is_pending());
    proxy.wait_for_fates(1);
    drop(work);
    ear.drain();
    proxy.release();
    ear.until("the rest", |heard| *heard == Heard::Invalidated(tags[512..].to_vec())).await;
}

/// Only a part of it was: no tag is left out.
#[tokio::test]
async fn an_invalidation_that_fails_half_way_is_heard_of() {
    let scene = Scene::new().await;
    let mut ears = [Listening::to(&scene.one), Listening::to(&scene.one)];
    let tags: Vec<_> = (0..600).map(tag).collect();
    // The last of them is in the second script only.
    scene.proxy.next_reply(&tags[599].0.to_le_bytes(), Fate::Lost);
    scene.one.invalidate(&tags).await.unwrap_err();
    for ear in &mut ears {
        assert!(ear.drain().contains(&Heard::Invalidated(tags.clone())));
    }
}

/// It is given up, and executed afterwards: what was read from the server meanwhile was live there, also for the cache
/// that asked.
#[tokio::test]
async fn an_invalidation_that_happens_later_is_heard_of_then() {
    let scene = Scene::with(|builder| calm(builder).timeout(TIMEOUT)).await;
    let mut ear = Listening::to(&scene.one);
    ear.trusted().await;
    // The script is known to the server.
    scene.one.invalidate(&[tag(0)]).await.unwrap();
    scene.server.stop();
    scene.one.invalidate(&[tag(1)]).await.unwrap_err();
    ear.drain();
    scene.server.resume();
    ear.until("it", |heard| *heard == Heard::Invalidated(vec![tag(1)])).await;
    // And from then on its own are its own again.
    recovers(&scene.one).await;
    for number in 10..20 {
        scene.one.invalidate(&[tag(number)]).await.unwrap();
    }
    scene.two.invalidate(&[tag(20)]).await.unwrap();
    let own: Vec<_> = (10..20).map(|number| Heard::Invalidated(vec![tag(number)])).collect();
    let first =
        ear.until("the other's", |heard| own.contains(heard) || *heard == Heard::Invalidated(vec![tag(20)])).await;
    assert_eq!(first, Heard::Invalidated(vec![tag(20)]));
}

/// A read that breaks is an error; half a reply is never taken for an entry.
#[tokio::test]
async fn a_read_whose_reply_is_torn() {
    let scene = Scene::new().await;
    let Scene { proxy, one, two, .. } = &scene;
    let payload = vec![b'x'; 100_000];
    two.put(&key("k"), &payload, &[tag(1)]).await;
    for command in [":clock\r\n", "}:e\r\n", "\r\nTIME\r\n"] {
        for fate in CUTS {
            assert_eq!(one.payload(&key("k")).await.unwrap(), payload);
            proxy.next_reply(command.as_bytes(), fate);
            let error = one.read(&key("k")).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{command}");
            reconnects(one).await;
        }
    }
    for (fate, met) in CUTS.into_iter().zip(7..) {
        assert_eq!(one.payload(&key("k")).await.unwrap(), payload);
        // The buckets must be asked.
        proxy.hold(Kind::Messages);
        two.invalidate(&[tag(1)]).await.unwrap();
        proxy.next_reply(b"\r\nHMGET\r\n", fate);
        // The entry is there. Whether it is live, is asked for again, or it is an error.
        let reading = one.read(&key("k")).await;
        assert!(reading.is_err() || reading.is_ok_and(|reading| reading.live.is_none()));
        proxy.wait_for_fates(met);
        proxy.release();
        reconnects(one).await;
        two.put(&key("k"), &payload, &[tag(1)]).await;
    }
    assert_eq!(one.payload(&key("k")).await.unwrap(), payload);
}

/// Reads that share a packet, of which a part is answered: each has its own entry or an error, and nobody waits on.
#[tokio::test]
async fn reads_that_share_a_reply_that_is_torn() {
    let scene = Scene::new().await;
    let Scene { proxy, one, two, .. } = &scene;
    let keys: Vec<_> = (0..60).map(|number| key(&format!("k{number}"))).collect();
    let payload = |number: usize| format!("{number},").repeat(1 + number * 20).into_bytes();
    for (number, key) in keys.iter().enumerate() {
        two.put(key, &payload(number), &[tag(number as u64)]).await;
    }
    // How many were answered; with what is theirs, all that were.
    let read_all = async || {
        let reads = keys.iter().map(|key| one.read(key));
        let readings = within(LONG / 2, "the reads", futures_util::future::join_all(reads)).await;
        let mut answered = 0;
        for (number, reading) in readings.into_iter().enumerate() {
            match reading {
                Ok(reading) => {
                    assert!(reading.live.is_some_and(|live| live.entry.payload == payload(number)), "{number}");
                    answered += 1;
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{number}"),
            }
        }
        answered
    };
    assert_eq!(read_all().await, keys.len());
    let mut met = 0;
    for asks_buckets in [false, true] {
        let commands: &[_] = if asks_buckets { &["HMGET", "MGET", "TIME"] } else { &["clock", "MGET", "TIME"] };
        for command in commands {
            for fate in CUTS {
                if asks_buckets {
                    // What was heard is no longer complete.
                    proxy.hold(Kind::Messages);
                    two.invalidate(&[tag(1000)]).await.unwrap();
                }
                met += 1;
                proxy.next_reply(format!("{command}\r\n").as_bytes(), fate);
                let answered = read_all().await;
                proxy.wait_for_fates(met);
                // The buckets are asked once more, on another connection.
                assert!(answered < keys.len() || asks_buckets, "{command} {fate:?}");
                proxy.release();
                reconnects(one).await;
                assert_eq!(read_all().await, keys.len(), "nothing is left of it");
            }
        }
    }
}

/// Connected, and nothing comes: calls end, the breaker opens, and it is over when something comes again.
#[tokio::test]
async fn replies_that_are_held() {
    let scene = Scene::with(|builder| calm(builder).timeout(TIMEOUT)).await;
    let Scene { proxy, one, two, .. } = &scene;
    proxy.hold(Kind::Commands);
    assert_eq!(all_operations(one).await, UNAVAILABLE);
    eventually("the breaker", || !one.health().connected).await;
    is_quick(one).await;
    // They were executed though.
    two.put(&key("k"), b"v", &[tag(5)]).await;
    proxy.release();
    recovers(one).await;
    assert_eq!(one.payload(&key("k")).await.unwrap(), b"v");
}

/// One of several connections leads nowhere any more: what comes over the others doesn't hide that.
#[tokio::test(flavor = "multi_thread")]
async fn replies_of_one_connection_that_are_held() {
    let scene = Scene::with(|builder| calm(builder).timeout(TIMEOUT).pool_size(3)).await;
    let Scene { proxy, one, .. } = &scene;
    proxy.next_reply(b"TIME", Fate::Held);
    one.read(&key("k")).await.unwrap_err();
    within(LONG / 3, "recovery", async {
        let mut in_a_row = 0;
        while in_a_row < 10 {
            in_a_row = if one.read(&key("k")).await.is_ok() { in_a_row + 1 } else { 0 };
        }
    })
    .await;
}

#[tokio::test]
async fn connections_that_are_refused() {
    let scene = Scene::with(|builder| calm(builder).timeout(TIMEOUT)).await;
    let Scene { proxy, one, .. } = &scene;
    for _ in 0..3 {
        proxy.refuse();
        proxy.cut(Kind::Commands);
        proxy.cut(Kind::Messages);
        assert_eq!(all_operations(one).await, UNAVAILABLE);
        is_quick(one).await;
        proxy.accept();
        recovers(one).await;
        eventually("listening", || one.health().listening).await;
    }
}

/// Heartbeats several times a second.
fn brisk(builder: RedisBuilder) -> RedisBuilder {
    calm(builder).max_staleness(Duration::from_millis(600))
}

/// Commands go on; memory isn't trusted until messages are heard again, and forgets what it may have missed.
#[tokio::test]
async fn a_subscription_that_is_cut_alone() {
    let scene = Scene::with(brisk).await;
    let Scene { proxy, one, two, .. } = &scene;
    let mut ear = Listening::to(one);
    for round in 0..3 {
        ear.trusted().await;
        proxy.refuse();
        proxy.cut(Kind::Messages);
        eventually("notice", || !one.health().listening).await;
        ear.drain();
        two.invalidate(&[tag(round)]).await.unwrap();
        // Reading the clock succeeds, but says nothing about what was missed.
        for _ in 0..50 {
            one.read(&key("k")).await.unwrap();
        }
        assert!(one.health().connected);
        assert_eq!(ear.drain(), [], "neither trust nor a message");
        proxy.accept();
        let first = ear.until("the first", |_| true).await;
        assert_eq!(first, Heard::Doubt, "forget first, then trust");
        ear.trusted().await;
    }
    assert_eq!(one.health().reconnects, 0, "the commands' connection was left alone");
    assert_eq!(proxy.connections(Kind::Commands), 1);
}

/// The connection is open, the messages don't come: the heartbeat notices.
#[tokio::test]
async fn messages_that_are_held() {
    let scene = Scene::with(|builder| brisk(builder).timeout(TIMEOUT)).await;
    let Scene { proxy, one, two, .. } = &scene;
    let mut ear = Listening::to(one);
    ear.trusted().await;
    proxy.hold(Kind::Messages);
    two.invalidate(&[tag(1)]).await.unwrap();
    ear.until("doubt", |heard| *heard == Heard::Doubt).await;
    eventually("notice", || !one.health().listening).await;
    ear.drain();
    proxy.release();
    ear.until("doubt", |heard| *heard == Heard::Doubt).await;
    ear.trusted().await;
    two.invalidate(&[tag(2)]).await.unwrap();
    ear.until("the message", |heard| *heard == Heard::Invalidated(vec![tag(2)])).await;
}

/// Nothing is invalidated, so nothing is missed that the clock could tell of; and yet who waits for a lease is woken.
#[tokio::test(flavor = "multi_thread")]
async fn messages_that_are_held_while_nothing_is_invalidated() {
    let scene = Scene::with(|builder| brisk(builder).timeout(TIMEOUT)).await;
    let Scene { server, proxy, one, two } = &scene;
    let held = two.granted(&key("k"), &[]).await;
    let busy = one.busy(&key("k")).await;
    proxy.hold(Kind::Messages);
    let looks = Looks::at(server);
    tokio::join!(async { within(LONG / 2, "the wake", one.wait(&key("k"), busy)).await.unwrap() }, async {
        looks.seen(1).await;
        drop(held);
    });
    proxy.release();
    eventually("listening again", || one.health().listening).await;
}

//! Hits that are judged by what this process has heard: what it hasn't heard, or can't have, is asked for. In no case
//! does a hit bring back what was invalidated before it was asked for.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "this is how tests fail and talk")]

mod support;

use std::task::Poll;
use std::time::{Duration, Instant};

use cache_core::ErrorKind;
use cache_core::backend::{Backend, Entry, Lifetimes};
use cache_redis::{Redis, RedisBuilder, TroubleKind};
use futures_util::future::{join_all, poll_immediate};
use support::operations::{SLACK, TIMEOUT};
use support::shards::*;
use support::*;

/// No heartbeats while the test lasts, except those that something gives reason for.
fn calm(builder: RedisBuilder) -> RedisBuilder {
    builder.prefix("p").timeout(Duration::from_secs(2)).max_staleness(Duration::from_secs(3000))
}

/// A server, a process behind a proxy that has heard everything, and one that isn't behind it.
struct Scene {
    server: Server,
    proxy: Proxy,
    one: Redis,
    two: Redis,
}

impl Scene {
    async fn new() -> Self {
        let server = Server::start();
        let proxy = Proxy::to(server.port());
        let one = calm(Redis::builder(proxy.url())).connect().await.unwrap();
        let two = calm(server.builder()).connect().await.unwrap();
        informed(&mut server.raw(), &one).await;
        Self { server, proxy, one, two }
    }
}

/// The message is on its way when the call begins: the clock tells, and the buckets are asked.
#[tokio::test(flavor = "multi_thread")]
async fn an_invalidation_whose_message_is_held() {
    let scene = Scene::new().await;
    let Scene { server, proxy, one, two } = &scene;
    let mut raw = server.raw();
    for name in ["k", "l"] {
        one.put(&key(name), b"v", &[tag(1)]).await;
    }
    two.put(&key("other"), b"v", &[tag(2)]).await;
    informed(&mut raw, one).await;
    proxy.hold(Kind::Messages);
    two.invalidate(&[tag(1)]).await.unwrap();
    let before = executed(&mut raw, "hmget");
    assert_eq!(one.payload(&key("k")).await, None);
    assert!(executed(&mut raw, "hmget") > before, "it asked");
    assert!(one.payload(&key("other")).await.is_some(), "only what was invalidated is dead");
    // Its own, too, comes back to it later only.
    one.invalidate(&[tag(2)]).await.unwrap();
    assert_eq!(one.payload(&key("other")).await, None);
    proxy.release();
    informed(&mut raw, one).await;
    let before = executed(&mut raw, "hmget");
    assert_eq!(one.payload(&key("l")).await, None);
    assert_eq!(executed(&mut raw, "hmget"), before, "now it has heard of it");
}

#[tokio::test]
async fn an_invalidation_whose_message_is_lost() {
    let scene = Scene::new().await;
    let Scene { server, one, two, .. } = &scene;
    let mut raw = server.raw();
    for round in 0..3 {
        for number in 0..2 {
            one.put(&key(&number.to_string()), b"v", &[tag(number)]).await;
        }
        informed(&mut raw, one).await;
        // Recorded, and published where nobody listens.
        let clock = raw.command(&["INCR", "p:{t:p}:clock"]).number();
        let field = tag(0).0.to_le_bytes();
        let bucket = format!("p:{{t:p}}:{:02x}", tag(0).0 % 256);
        raw.try_bytes(&[b"HSET", bucket.as_bytes(), &field, clock.to_string().as_bytes()]).unwrap();
        assert_eq!(one.payload(&key("0")).await, None, "the clock tells");
        // And the next message shows that there is a gap.
        two.invalidate(&[tag(99)]).await.unwrap();
        eventually("the gap", || one.health().count(TroubleKind::MissedMessages) == round + 1).await;
        assert_eq!(one.payload(&key("0")).await, None);
        assert!(one.payload(&key("1")).await.is_some());
        informed(&mut raw, one).await;
        two.invalidate(&[tag(1)]).await.unwrap();
        assert_eq!(one.payload(&key("1")).await, None);
    }
}

/// While it can't hear, it asks; when it hears again, it asks for what it may have missed.
#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_that_is_cut() {
    let scene = Scene::new().await;
    let Scene { server, proxy, one, two } = &scene;
    let mut raw = server.raw();
    for number in 0..3 {
        one.put(&key(&number.to_string()), b"v", &[tag(number)]).await;
    }
    proxy.refuse();
    proxy.cut(Kind::Messages);
    eventually("notice", || !one.health().listening).await;
    two.invalidate(&[tag(0)]).await.unwrap();
    assert_eq!(one.payload(&key("0")).await, None);
    proxy.accept();
    eventually("listening", || one.health().listening).await;
    assert_eq!(one.payload(&key("0")).await, None);
    two.invalidate(&[tag(1)]).await.unwrap();
    assert_eq!(one.payload(&key("1")).await, None);
    informed(&mut raw, one).await;
    assert_eq!(one.payload(&key("0")).await, None);
    assert!(one.payload(&key("2")).await.is_some());
    two.invalidate(&[tag(2)]).await.unwrap();
    assert_eq!(one.payload(&key("2")).await, None);
}

/// Another connection may lead to another server: its clock counts once it is known to be the one that is heard.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_new() {
    let scene = Scene::new().await;
    let Scene { server, proxy, one, two } = &scene;
    let mut raw = server.raw();
    for round in 1..=3 {
        one.put(&key("k"), b"v", &[tag(1)]).await;
        informed(&mut raw, one).await;
        // It can't be introduced: what would be heard isn't.
        proxy.hold(Kind::Messages);
        proxy.cut(Kind::Commands);
        eventually("the connection", || one.health().connected && one.health().reconnects == round).await;
        for _ in 0..3 {
            let before = executed(&mut raw, "hmget");
            assert!(one.payload(&key("k")).await.is_some());
            assert!(executed(&mut raw, "hmget") > before, "it asks");
        }
        proxy.release();
        informed(&mut raw, one).await;
        two.invalidate(&[tag(1)]).await.unwrap();
        assert_eq!(one.payload(&key("k")).await, None);
    }
}

/// Whoever has heard everything knows better than buckets that were lost; whoever hasn't takes entries for dead.
#[tokio::test]
async fn keys_that_are_lost() {
    let scene = Scene::new().await;
    let Scene { server, one, two, .. } = &scene;
    let mut raw = server.raw();
    one.put(&key("k"), b"v", &[tag(1)]).await;
    one.put(&key("l"), b"v", &[tag(2)]).await;
    informed(&mut raw, one).await;
    raw.delete("p:{t:p}:[0-9a-f][0-9a-f]");
    assert!(one.payload(&key("k")).await.is_some());
    // From here on the entry's stamp says nothing by itself.
    two.invalidate(&[tag(9)]).await.unwrap();
    informed(&mut raw, one).await;
    assert!(one.payload(&key("k")).await.is_some());
    let newcomer = calm(server.builder()).connect().await.unwrap();
    assert_eq!(newcomer.payload(&key("k")).await, None);
    two.invalidate(&[tag(1)]).await.unwrap();
    for redis in [one, two, &newcomer] {
        assert_eq!(redis.payload(&key("k")).await, None);
    }
    // Without a clock nobody can say what has been heard.
    one.put(&key("m"), b"v", &[tag(3)]).await;
    raw.delete("p:{t:p}:clock");
    assert!(one.payload(&key("m")).await.is_some(), "the buckets are there");
    two.invalidate(&[tag(3)]).await.unwrap();
    assert_eq!(one.payload(&key("m")).await, None);
    one.put(&key("m"), b"v", &[tag(3)]).await;
    raw.command(&["FLUSHALL"]);
    assert_eq!(one.payload(&key("m")).await, None);
    two.put(&key("m"), b"w", &[tag(3)]).await;
    assert_eq!(one.payload(&key("m")).await.unwrap(), b"w");
    two.invalidate(&[tag(3)]).await.unwrap();
    assert_eq!(one.payload(&key("m")).await, None);
}

/// A clock that went back says nothing, whatever was heard.
#[tokio::test]
async fn a_clock_that_went_back() {
    let scene = Scene::new().await;
    let Scene { server, one, .. } = &scene;
    let mut raw = server.raw();
    for _ in 0..10 {
        one.invalidate(&[tag(9)]).await.unwrap();
    }
    one.put(&key("k"), b"v", &[tag(1)]).await;
    informed(&mut raw, one).await;
    let clock = raw.command(&["GET", "p:{t:p}:clock"]).number();
    // A failover that lost the last writes, and an invalidation since, by someone who hadn't heard of those.
    let field = tag(1).0.to_le_bytes();
    let bucket = format!("p:{{t:p}}:{:02x}", tag(1).0 % 256);
    raw.command(&["SET", "p:{t:p}:clock", &(clock - 8).to_string()]);
    raw.try_bytes(&[b"HSET", bucket.as_bytes(), &field, &i64::MAX.to_string().into_bytes()]).unwrap();
    assert_eq!(one.payload(&key("k")).await, None);
    eventually("the push", || raw.command(&["GET", "p:{t:p}:clock"]).number() > clock).await;
}

/// Nor do the buckets that went back with it: what they have lost was invalidated.
#[tokio::test(flavor = "multi_thread")]
async fn buckets_that_went_back_with_the_clock() {
    let scene = Scene::new().await;
    let Scene { server, proxy, one, .. } = &scene;
    let mut raw = server.raw();
    one.put(&key("k"), b"v", &[tag(1)]).await;
    // It reconnects: what it has heard is of no use.
    proxy.refuse();
    proxy.cut(Kind::Messages);
    eventually("notice", || !one.health().listening).await;
    assert!(one.payload(&key("k")).await.is_some());
    let clock = raw.command(&["GET", "p:{t:p}:clock"]);
    one.invalidate(&[tag(1)]).await.unwrap();
    // A failover that lost the invalidation.
    let bucket = format!("p:{{t:p}}:{:02x}", tag(1).0 % 256);
    raw.command(&["SET", "p:{t:p}:clock", &clock.text()]);
    raw.try_bytes(&[b"HDEL", bucket.as_bytes(), &tag(1).0.to_le_bytes()]).unwrap();
    assert_eq!(one.payload(&key("k")).await, None);
    eventually("the push", || raw.command(&["GET", "p:{t:p}:clock"]).number() > clock.number()).await;
    assert_eq!(one.payload(&key("k")).await, None);
}

/// An entry that holds a stamp which the clock hasn't reached shows it to whoever never saw the clock before.
#[tokio::test]
async fn an_entry_from_before_the_clock_went_back() {
    let scene = Scene::new().await;
    let Scene { server, one, .. } = &scene;
    let mut raw = server.raw();
    for _ in 0..10 {
        one.invalidate(&[tag(9)]).await.unwrap();
    }
    let stamp = one.put(&key("k"), b"v", &[tag(1)]).await;
    drop(scene.one);
    scene.two.close().await;
    // The entry is on another shard than the clock, whose failover has lost the last writes.
    raw.command(&["SET", "p:{t:p}:clock", &(stamp.0 - 8).to_string()]);
    let newcomer = calm(scene.server.builder()).connect().await.unwrap();
    newcomer.invalidate(&[tag(1)]).await.unwrap();
    assert_eq!(newcomer.payload(&key("k")).await, None);
    assert!(newcomer.put(&key("k"), b"w", &[tag(1)]).await > stamp);
    assert_eq!(newcomer.payload(&key("k")).await.unwrap(), b"w");
}

/// What is left of a life is right at the moment of the read, however slow the way: neither the way nor any clock but the
/// server's has a part in it.
#[tokio::test(flavor = "multi_thread")]
async fn lifetimes_across_a_slow_read() {
    let scene = Scene::new().await;
    let Scene { server, proxy, one, .. } = &scene;
    let mut raw = server.raw();
    let keep = Duration::from_secs(100);
    let lease = one.granted(&key("k"), &[]).await;
    let stamp = lease.stamp();
    let lifetimes = Lifetimes { keep: Some(keep), ..Lifetimes::default() };
    one.store(&key("k"), lease, Entry { lifetimes, ..entry(b"v", &[], stamp) }).await.unwrap();
    let name = raw.keys("p:*:e").into_iter().find(|name| raw_ttl(server, name) > 0).unwrap();
    proxy.delay(Duration::from_millis(100));
    for _ in 0..5 {
        let before = raw_ttl(server, &name);
        let remaining = one.read(&key("k")).await.unwrap().live.unwrap().remaining.unwrap();
        let after = raw_ttl(server, &name);
        // Redis rounds to milliseconds, and its own clock is a few behind at times.
        let range = Duration::from_millis((after - 3) as u64)..=Duration::from_millis((before + 3) as u64);
        assert!(range.contains(&remaining), "{remaining:?} not in {range:?}");
    }
}

fn raw_ttl(server: &Server, name: &str) -> i64 {
    server.command(&["PTTL", name]).number()
}

/// Who goes away takes nothing along; and what nobody waits for any more isn't asked for.
#[tokio::test(flavor = "multi_thread")]
async fn calls_that_are_cancelled() {
    let scene = Scene::new().await;
    let Scene { server, proxy, one, .. } = &scene;
    let mut raw = server.raw();
    let keys: Vec<_> = (0..40).map(|number| key(&number.to_string())).collect();
    for (number, k) in keys.iter().enumerate() {
        one.put(k, number.to_string().as_bytes(), &[tag(1)]).await;
    }
    informed(&mut raw, one).await;
    proxy.hold(Kind::Commands);
    let mut calls: Vec<_> = keys.iter().map(|k| Some(one.read(k))).collect();
    // All are under way, or wait for room.
    for call in calls.iter_mut().flatten() {
        assert!(poll_immediate(call).await.is_none());
    }
    for call in calls.iter_mut().step_by(2) {
        *call = None;
    }
    proxy.release();
    for (number, call) in calls.into_iter().enumerate() {
        if let Some(call) = call {
            assert_eq!(call.await.unwrap().live.unwrap().entry.payload, number.to_string().as_bytes());
        }
    }
    // All of them: nobody is left who sends nothing.
    proxy.hold(Kind::Commands);
    for _ in 0..3 {
        for k in &keys {
            assert!(poll_immediate(&mut one.read(k)).await.is_none());
        }
    }
    proxy.release();
    for (number, k) in keys.iter().enumerate() {
        assert_eq!(one.payload(k).await.unwrap(), number.to_string().as_bytes());
    }
}

/// Each has its own time, also those that wait for room behind others.
#[tokio::test(flavor = "multi_thread")]
async fn calls_to_a_server_that_hangs() {
    let server = Server::start();
    let redis = server.builder().prefix("p").timeout(TIMEOUT).connect().await.unwrap();
    redis.put(&key("k"), b"v", &[tag(1)]).await;
    server.stop();
    let mut calls = Vec::new();
    for _ in 0..20 {
        let redis = redis.clone();
        calls.push(tokio::spawn(async move {
            let began = Instant::now();
            (redis.read(&key("k")).await.map(drop), began.elapsed())
        }));
        tokio::time::sleep(TIMEOUT / 10).await;
    }
    for ended in join_all(calls).await {
        let (result, took) = ended.unwrap();
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Unavailable);
        assert!(took < TIMEOUT + SLACK, "{took:?}");
    }
    server.resume();
    within(Duration::from_secs(20), "recovery", async {
        while !matches!(redis.read(&key("k")).await, Ok(reading) if reading.live.is_some()) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

/// A queue for a server of its own: one that hangs delays nobody but those who ask it.
#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_hangs() {
    let cluster = Cluster::start();
    let redis = Redis::builder(cluster.url()).prefix("p").timeout(TIMEOUT).connect().await.unwrap();
    let clock = cluster.owner("{t:p}");
    let hung = (clock + 1) % 3;
    let lost = keys_at(&cluster, hung, 1);
    let healthy: Vec<_> = (0..3).filter(|node| *node != hung).flat_map(|node| keys_at(&cluster, node, 5)).collect();
    let elsewhere = keys_at(&cluster, (clock + 2) % 3, 5);
    for k in healthy.iter().chain(&lost) {
        redis.put(k, b"v", &[tag(1)]).await;
    }
    cluster.nodes[hung].stop();
    let mut waiting = Box::pin(join_all(lost.iter().chain(&lost).chain(&lost).map(|k| redis.read(k))));
    for _ in 0..3 {
        assert!(matches!(futures_util::poll!(&mut waiting), Poll::Pending | Poll::Ready(_)));
        let hits = within(SLACK, "healthy reads", join_all(healthy.iter().map(|k| redis.payload(k)))).await;
        assert!(hits.iter().all(Option::is_some));
    }
    for reading in within(TIMEOUT + SLACK, "lost reads", waiting).await {
        assert_eq!(reading.unwrap_err().kind(), ErrorKind::Unavailable);
    }
    cluster.nodes[hung].resume();
    // Without the clock nobody is judged, whatever was heard; and each call ends in time.
    cluster.nodes[clock].stop();
    for k in &elsewhere {
        let error = within(TIMEOUT + SLACK, "a read", redis.read(k)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    }
    cluster.nodes[clock].resume();
    within(Duration::from_secs(20), "recovery", async {
        for k in elsewhere.iter().chain(&healthy).chain(&lost) {
            while !matches!(redis.read(k).await, Ok(reading) if reading.live.is_some()) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    })
    .await;
}

/// In a cluster, too, the clock and the entry suffice, wherever they are.
#[tokio::test]
async fn hits_in_a_cluster() {
    let cluster = Cluster::start();
    let connect = async || calm(Redis::builder(cluster.url())).connect().await.unwrap();
    let (one, two) = (connect().await, connect().await);
    let mut raws: Vec<_> = cluster.nodes.iter().map(Server::raw).collect();
    let mut asked = || raws.iter_mut().map(|raw| executed(raw, "hmget")).sum::<i64>();
    let keys: Vec<_> = (0..3).flat_map(|node| keys_at(&cluster, node, 5)).collect();
    for k in &keys {
        two.put(k, b"v", &[tag(1), tag(2)]).await;
    }
    within(Duration::from_secs(20), "the log", async {
        loop {
            let before = asked();
            assert!(one.payload(&keys[0]).await.is_some());
            if asked() == before {
                return;
            }
        }
    })
    .await;
    for k in &keys {
        assert!(one.payload(k).await.is_some(), "asks for its key's tags, if at all");
    }
    let before = asked();
    assert!(join_all(keys.iter().map(|k| one.payload(k))).await.iter().all(Option::is_some));
    assert_eq!(asked(), before);
    two.invalidate(&[tag(2)]).await.unwrap();
    for k in &keys {
        assert_eq!(one.payload(k).await, None);
    }
}

/// A single server that is a cluster's, whose commands may not name several slots.
#[tokio::test]
async fn a_node_that_has_all_slots() {
    let server = Server::with(&["--cluster-enabled", "yes"]);
    let mut raw = server.raw();
    let slots: Vec<_> = (0..16_384).map(|slot| slot.to_string()).collect();
    raw.command(&[&["CLUSTER", "ADDSLOTS"], &slots.iter().map(String::as_str).collect::<Vec<_>>()[..]].concat());
    eventually("the cluster", || raw.command(&["CLUSTER", "INFO"]).text().contains("cluster_state:ok")).await;
    let redis = calm(server.builder()).connect().await.unwrap();
    let keys: Vec<_> = (0..20).map(|number| key(&number.to_string())).collect();
    for k in &keys {
        redis.put(k, b"v", &[tag(1)]).await;
    }
    for _ in 0..2 {
        assert!(join_all(keys.iter().map(|k| redis.payload(k))).await.iter().all(Option::is_some));
    }
    redis.invalidate(&[tag(1)]).await.unwrap();
    assert!(join_all(keys.iter().map(|k| redis.payload(k))).await.iter().all(Option::is_none));
}

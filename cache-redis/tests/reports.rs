//! Trouble is reported when it begins and when it is over, once each, and `health` tells what is going on meanwhile.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "this is how tests fail and talk")]

mod support;

use std::time::Duration;

use cache_core::backend::{Backend, Entry, Lifetimes};
use cache_redis::{Redis, RedisBuilder, TroubleKind};
use support::operations::*;
use support::shards::keys_at;
use support::*;

fn brisk(builder: RedisBuilder) -> RedisBuilder {
    builder.prefix("p").timeout(TIMEOUT).max_staleness(Duration::from_millis(600))
}

async fn over(reports: &Reports, kind: TroubleKind, count: usize) {
    eventually("the end", || reports.ended(kind).len() >= count).await;
    assert_eq!(reports.ended(kind).len(), count, "{:?}", reports.all());
    assert_eq!(reports.begun(kind), count, "{:?}", reports.all());
}

#[tokio::test]
async fn an_outage_has_a_beginning_and_an_end() {
    let mut server = Server::start();
    let reports = Reports::default();
    let redis = reports.of(brisk(server.builder())).connect().await.unwrap();
    for round in 1..=2 {
        server.kill();
        eventually("the report", || reports.begun(TroubleKind::Unreachable) == round).await;
        for _ in 0..20 {
            redis.read(&key("k")).await.unwrap_err();
        }
        assert!(redis.health().is_ongoing(TroubleKind::Unreachable));
        // It was lost, and isn't there again.
        assert_eq!(redis.health().reconnects, round as u64 - 1);
        tokio::time::sleep(Duration::from_millis(300)).await;
        server.restart();
        over(&reports, TroubleKind::Unreachable, round).await;
        recovers(&redis).await;
        assert_eq!(redis.health().reconnects, round as u64);
        let recovery = reports.ended(TroubleKind::Unreachable).pop().unwrap();
        assert!(recovery.lasted >= Duration::from_millis(300) && recovery.faults >= 20, "{recovery:?}");
        assert!(recovery.to_string().starts_with("missing connections to Redis is over; it lasted "), "{recovery}");
        assert!(!redis.health().is_ongoing(TroubleKind::Unreachable), "{:?}", redis.health());
    }
    // All other trouble that came with it is over too.
    eventually("the end of everything", || format!("{:?}", redis.health()).contains("ongoing: []")).await;
}

#[tokio::test]
async fn an_outage_at_the_start_ends_as_well() {
    let mut server = Server::start();
    server.kill();
    let reports = Reports::default();
    let redis = reports.of(brisk(server.builder())).connect_lazy().unwrap();
    eventually("the report", || reports.begun(TroubleKind::Unreachable) == 1).await;
    server.restart();
    over(&reports, TroubleKind::Unreachable, 1).await;
    assert_eq!(redis.health().reconnects, 0, "it was never lost");
}

#[tokio::test]
async fn a_hang_ends_when_something_answers() {
    let server = Server::start();
    let reports = Reports::default();
    let redis = reports.of(brisk(server.builder())).connect().await.unwrap();
    server.stop();
    while redis.health().connected {
        redis.read(&key("k")).await.unwrap_err();
    }
    server.resume();
    // Nobody calls.
    over(&reports, TroubleKind::Timeout, 1).await;
}

#[tokio::test]
async fn what_is_refused_ends_when_it_is_not() {
    let server = Server::with(&["--maxmemory-policy", "noeviction"]);
    server.command(&["ACL", "SETUSER", "app", "on", ">pw", "~*", "&*", "+@all"]);
    let reports = Reports::default();
    let redis = reports.of(brisk(server.builder())).username("app").password("pw").connect().await.unwrap();
    let lease = redis.granted(&key("k"), &[tag(1)]).await;
    let lifetimes = Lifetimes { fresh: None, keep: None, idle: Some(Duration::from_secs(100)) };
    let entry = Entry { lifetimes, ..entry(b"v", &[tag(1)], lease.stamp()) };
    redis.store(&key("k"), lease, entry).await.unwrap();
    let denied = || redis.health().count(TroubleKind::Denied);
    // What only a touch does. Nobody waits for one, so one goes after the other.
    server.command(&["ACL", "SETUSER", "app", "-pexpire"]);
    for times in 1..=5 {
        redis.touch(&key("k"), Duration::from_secs(1_000));
        eventually("the refusal", || denied() == times).await;
    }
    server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    redis.try_lease(&key("l"), &[]).await.unwrap_err();
    let ongoing = [TroubleKind::Denied, TroubleKind::OutOfMemory];
    assert!(ongoing.iter().all(|kind| redis.health().is_ongoing(*kind)), "{:?}", redis.health());
    server.command(&["CONFIG", "SET", "maxmemory", "0"]);
    eventually("the heartbeat", || {
        drop(pollster::block_on(redis.try_lease(&key("l"), &[])));
        !reports.ended(TroubleKind::OutOfMemory).is_empty()
    })
    .await;
    assert!(redis.health().is_ongoing(TroubleKind::Denied), "{:?}", redis.health());
    server.command(&["ACL", "SETUSER", "app", "+pexpire"]);
    // Settled some time after it has succeeded, though nobody does it again.
    redis.touch(&key("k"), Duration::from_secs(1_000));
    over(&reports, TroubleKind::Denied, 1).await;
    assert_eq!(reports.ended(TroubleKind::Denied)[0].faults, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn missed_messages_and_clocks_end_with_a_good_heartbeat() {
    let server = Server::start();
    let proxy = Proxy::to(server.port());
    let reports = Reports::default();
    let one = reports.of(brisk(Redis::builder(proxy.url()))).connect().await.unwrap();
    let two = brisk(server.builder()).connect().await.unwrap();
    Listening::to(&one).trusted().await;
    proxy.hold(Kind::Messages);
    two.invalidate(&[tag(1)]).await.unwrap();
    eventually("notice", || reports.begun(TroubleKind::MissedMessages) > 0).await;
    proxy.release();
    eventually("the end", || !reports.ended(TroubleKind::MissedMessages).is_empty()).await;
    // It would mend the clock.
    two.close().await;
    server.command(&["SET", "p:{t:p}:clock", "1"]);
    eventually("notice", || reports.begun(TroubleKind::ClockWentBack) > 0).await;
    eventually("the end", || !reports.ended(TroubleKind::ClockWentBack).is_empty()).await;
    eventually("the end of everything", || format!("{:?}", one.health()).contains("ongoing: []")).await;
}

/// The others answer, which says nothing about it.
#[tokio::test]
async fn a_dead_node_of_a_cluster_is_one_episode() {
    let mut cluster = Cluster::start();
    let reports = Reports::default();
    let redis = reports.of(brisk(Redis::builder(cluster.url()))).connect().await.unwrap();
    // The clock's node is needed by all.
    let dead = (cluster.owner("p:{t:p}:clock") + 1) % cluster.nodes.len();
    let (there, gone) = (keys_at(&cluster, (dead + 1) % 3, 1).remove(0), keys_at(&cluster, dead, 1).remove(0));
    cluster.nodes[dead].kill();
    for _ in 0..100 {
        let _ = redis.read(&there).await;
        let _ = redis.read(&gone).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(reports.begun(TroubleKind::Unreachable), 1, "{:?}", reports.all());
    assert!(reports.ended(TroubleKind::Unreachable).is_empty(), "{:?}", reports.all());
    cluster.nodes[dead].restart();
    over(&reports, TroubleKind::Unreachable, 1).await;
}

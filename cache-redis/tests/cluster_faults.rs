//! Nodes of a cluster that die or hang: their trouble is that of their own keys only, except for the shard with the clock;
//! replicas take over; and nothing that was invalidated comes back.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "this is how tests fail and talk")]

mod support;

use std::time::{Duration, Instant};

use cache_core::ErrorKind;
use cache_core::backend::{Backend, EntryKey, LeaseAnswer, LeaseRequest};
use cache_redis::Redis;
use support::looks::Looks;
use support::operations::{SLACK, TIMEOUT};
use support::shards::*;
use support::*;

/// Whatever takes longer has failed.
const LONG: Duration = Duration::from_secs(60);

/// Until all these keys can be read.
async fn is_complete(redis: &Redis, keys: &[EntryKey]) {
    within(LONG, "recovery", async {
        for k in keys {
            while redis.read(k).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    })
    .await;
}

/// What one stores the other finds, and one invalidation clears it.
async fn goes_on(one: &Redis, two: &Redis, keys: &[EntryKey]) {
    for k in keys {
        one.put(k, b"after", &[tag(100)]).await;
        assert_eq!(two.payload(k).await.unwrap(), b"after");
    }
    two.invalidate(&[tag(100)]).await.unwrap();
    for k in keys {
        assert_eq!(one.payload(k).await, None);
    }
}

/// One primary dies, or hangs: the others go on answering, and what was its own fails soon.
async fn one_dead(hang: bool) {
    let mut cluster = Cluster::start();
    let timeout = Duration::from_millis(300);
    let redis = Redis::builder(cluster.url()).prefix("p").timeout(timeout).connect().await.unwrap();
    // The clock's shard is everyone's.
    let dead = (cluster.owner("{t:p}") + 1) % 3;
    let healthy: Vec<_> = (0..3).filter(|node| *node != dead).flat_map(|node| keys_at(&cluster, node, 10)).collect();
    let lost = keys_at(&cluster, dead, 10);
    for k in healthy.iter().chain(&lost) {
        redis.put(k, b"v", &[tag(1)]).await;
    }
    if hang {
        cluster.nodes[dead].stop();
    } else {
        cluster.nodes[dead].kill();
    }
    let began = Instant::now();
    let mut rounds = 0;
    while began.elapsed() < Duration::from_secs(6) {
        let round = Instant::now();
        for k in &healthy {
            let reading = within(Duration::from_secs(1), "a healthy read", redis.read(k)).await;
            assert!(reading.unwrap().live.is_some(), "healthy shards answer, {:?} after the death", began.elapsed());
        }
        redis.invalidate(&[tag(2)]).await.unwrap();
        assert!(round.elapsed() < Duration::from_secs(1), "{:?}", round.elapsed());
        for k in &lost {
            within(timeout * 3, "a lost read", redis.read(k)).await.unwrap_err();
        }
        rounds += 1;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Only the first few calls to the dead one waited.
    assert!(rounds > 50, "{rounds}");
    assert!(!redis.health().connected);
    if hang {
        cluster.nodes[dead].resume();
    } else {
        cluster.nodes[dead].restart();
    }
    within(Duration::from_secs(20), "recovery", async {
        for k in &lost {
            while redis.read(k).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_dead_primary_is_the_trouble_of_its_own_keys_only() {
    one_dead(false).await;
}

#[tokio::test]
async fn a_hanging_primary_is_the_trouble_of_its_own_keys_only() {
    one_dead(true).await;
}

/// Also by those who wait for a lease there, while everything else answers.
#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_primary_is_noticed_by_those_who_wait() {
    let cluster = Cluster::start();
    let builder = Redis::builder(cluster.url()).prefix("p").lease(LONG).max_staleness(Duration::from_secs(1));
    let (one, two) = (builder.clone().connect().await.unwrap(), builder.connect().await.unwrap());
    let dead = (cluster.owner("{t:p}") + 1) % 3;
    let k = keys_at(&cluster, dead, 1).remove(0);
    let held = one.granted(&k, &[]).await;
    let busy = two.busy(&k).await;
    let looks = Looks::at(&cluster.nodes[dead]);
    let (waited, ()) = tokio::join!(async { within(LONG / 3, "the wait", two.wait(&k, busy)).await }, async {
        looks.seen(1).await;
        cluster.nodes[dead].stop();
    });
    assert_eq!(waited.unwrap_err().kind(), ErrorKind::Unavailable);
    cluster.nodes[dead].resume();
    drop(held);
}

#[tokio::test]
async fn a_cluster_that_is_absent_at_the_start() {
    let mut cluster = Cluster::start();
    cluster.nodes.iter_mut().for_each(Server::kill);
    let began = Instant::now();
    let error = Redis::builder(cluster.url()).connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(began.elapsed() < Duration::from_secs(3));
    let redis = Redis::builder(cluster.url()).timeout(Duration::from_millis(200)).connect_lazy().unwrap();
    redis.read(&key("k")).await.unwrap_err();
    cluster.nodes.iter_mut().for_each(Server::restart);
    within(Duration::from_secs(20), "recovery", async {
        while redis.read(&key("k")).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

/// Kills the primary of a shard, and its replica takes over. Calls end in time all along; what was invalidated, before or
/// meanwhile, doesn't come back; and when it is over, all is as before.
async fn fails_over(of_clock: bool) {
    let mut cluster = Cluster::with_replicas();
    let connect = async || {
        let builder = Redis::builder(cluster.url()).prefix("p").timeout(TIMEOUT);
        builder.max_staleness(Duration::from_secs(1)).connect().await.unwrap()
    };
    let (one, two) = (connect().await, connect().await);
    let clock = cluster.owner("{t:p}");
    let dead = if of_clock { clock } else { (clock + 1) % 3 };
    let keys: Vec<_> = (0..3).flat_map(|node| keys_at(&cluster, node, 4)).collect();
    for (number, k) in (0..).zip(&keys) {
        one.put(k, b"before", &[tag(number)]).await;
    }
    let mut invalidated = vec![0, 3, 6, 9];
    for number in &invalidated {
        two.invalidate(&[tag(*number)]).await.unwrap();
    }
    // The replicas have heard all of it: a failover that loses writes is another matter.
    for (node, replica) in cluster.nodes.iter().zip(&cluster.replicas) {
        let offset = |server: &Server| server.raw().info("replication", "master_repl_offset");
        eventually("replication", || offset(node) == offset(replica)).await;
    }
    let mut ear = Listening::to(&two);
    ear.trusted().await;
    cluster.nodes[dead].kill();
    let (mut next, mut attempted) = (1, 0);
    within(LONG, "the failover", async {
        while cluster.replicas[dead].raw().info("replication", "role").as_deref() != Some("master") {
            for (number, k) in (0..).zip(&keys) {
                if let Ok(reading) = within(TIMEOUT + SLACK, "a read", two.read(k)).await {
                    assert!(reading.live.is_none() || !invalidated.contains(&number), "{number} is back");
                }
            }
            // What can't be recorded is an error, and is remembered.
            attempted = attempted.max(next);
            if next < 10 && within(TIMEOUT + SLACK, "an invalidation", one.invalidate(&[tag(next)])).await.is_ok() {
                // The replica may have taken over since it was looked at, but it must have.
                let took_over =
                    || cluster.replicas[dead].raw().info("replication", "role").as_deref() == Some("master");
                assert!(!of_clock || took_over(), "without the clock nothing is recorded");
                invalidated.push(next);
                next += 3;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert!(of_clock || next > 1, "without another shard everything is recorded");
    if next < 10 && attempted == next {
        invalidated.push(next);
    }
    for redis in [&one, &two] {
        is_complete(redis, &keys).await;
        for (number, k) in (0..).zip(&keys) {
            let live = redis.payload(k).await.is_some();
            assert_eq!(live, !invalidated.contains(&number), "{number}");
        }
    }
    goes_on(&one, &two, &keys).await;
    ear.drain();
    ear.trusted().await;
}

#[tokio::test]
async fn a_replica_takes_over_from_a_primary() {
    fails_over(false).await;
}

#[tokio::test]
async fn a_replica_takes_over_from_the_primary_with_the_clock() {
    fails_over(true).await;
}

/// Without that shard nothing can be validated and nothing be invalidated, and both are said, at once.
#[tokio::test]
async fn the_death_of_the_shard_with_the_clock() {
    let mut cluster = Cluster::start();
    let connect = async || {
        let builder = Redis::builder(cluster.url()).prefix("p").timeout(TIMEOUT);
        builder.max_staleness(Duration::from_secs(1)).connect().await.unwrap()
    };
    let (one, two) = (connect().await, connect().await);
    let dead = cluster.owner("{t:p}");
    let keys: Vec<_> = (0..3).flat_map(|node| keys_at(&cluster, node, 4)).collect();
    for k in &keys {
        one.put(k, b"before", &[tag(1)]).await;
    }
    let mut ear = Listening::to(&two);
    ear.trusted().await;
    cluster.nodes[dead].kill();
    eventually("notice", || !one.health().connected && !two.health().connected).await;
    ear.drain();
    let began = Instant::now();
    for _ in 0..20 {
        for k in &keys {
            let error = two.read(k).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable);
            let request = LeaseRequest { duration: None, seen: NOTHING_SEEN, tags: &[tag(1)], take_over: false };
            match one.lease(k, request).await {
                // There is an entry, but nobody can say whether it is live.
                Err(_) | Ok(LeaseAnswer::Changed) => {}
                other => panic!("{other:?} without a stamp"),
            }
        }
        let error = one.invalidate(&[tag(1)]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        let dead = format!("Redis (127.0.0.1:{})", cluster.nodes[dead].port());
        assert!(error.to_string().contains(&dead), "it says which: {error}");
    }
    // Nobody waits for the dead one.
    assert!(began.elapsed() < SLACK * 4, "{:?}", began.elapsed());
    assert!(!ear.drain().iter().any(|heard| matches!(heard, Heard::Trusted(_))));
    cluster.nodes[dead].restart();
    for redis in [&one, &two] {
        is_complete(redis, &keys).await;
        for k in &keys {
            // It has come back empty: what isn't known to be live isn't.
            assert_eq!(redis.payload(k).await, None);
        }
    }
    goes_on(&one, &two, &keys).await;
    ear.until("doubt", |heard| *heard == Heard::Doubt).await;
    ear.trusted().await;
}

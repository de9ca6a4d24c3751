//! A cluster of three primaries: keys everywhere, one order of invalidations, messages from every node, slots that move.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "this is how tests fail and talk")]

mod support;

use std::time::Duration;

use cache_core::backend::Backend;
use cache_redis::{Redis, TroubleKind};
use support::looks::Looks;
use support::shards::*;
use support::*;

async fn connect(cluster: &Cluster) -> Redis {
    Redis::builder(cluster.url())
        .prefix("p")
        .timeout(Duration::from_secs(2))
        .lease(Duration::from_secs(60))
        .connect()
        .await
        .unwrap()
}

#[tokio::test]
async fn keys_are_everywhere_and_one_invalidation_clears_them() {
    let cluster = Cluster::start();
    let (one, two) = (connect(&cluster).await, connect(&cluster).await);
    for number in 0..60 {
        one.put(&key(&number.to_string()), b"v", &[tag(1), tag(number)]).await;
    }
    for node in &cluster.nodes {
        assert!(node.raw().keys("p:*:e").len() > 5);
    }
    for number in 0..60 {
        assert!(two.payload(&key(&number.to_string())).await.is_some());
    }
    two.invalidate(&[tag(1)]).await.unwrap();
    for number in 0..60 {
        assert!(one.payload(&key(&number.to_string())).await.is_none());
    }
}

#[tokio::test]
async fn waiters_are_woken_from_every_node() {
    let cluster = Cluster::start();
    let (one, two) = (connect(&cluster).await, connect(&cluster).await);
    eventually("notifications", || one.health().keyspace_notifications && two.health().keyspace_notifications).await;
    for node in 0..3 {
        for k in keys_at(&cluster, node, 5) {
            let held = one.granted(&k, &[]).await;
            let busy = two.busy(&k).await;
            let looks = Looks::at(&cluster.nodes[node]);
            tokio::join!(
                async { within(Duration::from_secs(5), "the wake", two.wait(&k, busy)).await.unwrap() },
                async {
                    looks.seen(1).await;
                    drop(held);
                }
            );
        }
    }
}

#[tokio::test]
async fn messages_are_heard_once_and_no_gap_is_seen() {
    let cluster = Cluster::start();
    let builder =
        || Redis::builder(cluster.url()).timeout(Duration::from_secs(2)).max_staleness(Duration::from_secs(3000));
    let (one, two) = (builder().connect().await.unwrap(), builder().connect().await.unwrap());
    // To every node.
    eventually("listening", || two.health().listening).await;
    let mut ear = Listening::to(&two);
    ear.trusted().await;
    ear.drain();
    for number in 0..100 {
        one.invalidate(&[tag(number)]).await.unwrap();
    }
    ear.until("the last", |heard| *heard == Heard::Invalidated(vec![tag(99)])).await;
    one.invalidate(&[tag(1000)]).await.unwrap();
    let mut heard = Vec::new();
    ear.until("one more", |next| {
        heard.push(next.clone());
        *next == Heard::Invalidated(vec![tag(1000)])
    })
    .await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    heard.extend(ear.drain());
    assert_eq!(heard, [Heard::Invalidated(vec![tag(1000)])], "each once, and no doubt");
    assert_eq!(two.health().count(TroubleKind::MissedMessages), 0);
}

async fn moves(setting: &[&str]) {
    let cluster = Cluster::start();
    for node in cluster.nodes.iter().filter(|_| !setting.is_empty()) {
        let set = node.command(&[&["CONFIG", "SET"], setting].concat());
        assert_eq!(set, Value::Text(b"OK".to_vec()));
    }
    let redis = connect(&cluster).await;
    let k = key("moving");
    redis.put(&k, b"v", &[tag(1)]).await;
    let hash = xxhash_rust::xxh3::xxh3_128(k.as_bytes());
    let slot = cluster.nodes[0].command(&["CLUSTER", "KEYSLOT", &format!("{{{hash:032x}}}")]).number().to_string();
    let from = node_of(&cluster, &k);
    let to = (from + 1) % 3;
    let id = |node: usize| cluster.nodes[node].command(&["CLUSTER", "MYID"]).text();
    let setslot = |node: usize, what: &[&str]| {
        let args: Vec<_> = ["CLUSTER", "SETSLOT", &slot].into_iter().chain(what.iter().copied()).collect();
        assert_eq!(cluster.nodes[node].command(&args), Value::Text(b"OK".to_vec()));
    };
    setslot(to, &["IMPORTING", &id(from)]);
    setslot(from, &["MIGRATING", &id(to)]);
    let port = cluster.nodes[to].port().to_string();
    let name = cluster.nodes[from].raw().keys(&format!("p:{{{hash:032x}}}:e")).pop().unwrap();
    assert_eq!(
        cluster.nodes[from].command(&["MIGRATE", "127.0.0.1", &port, &name, "0", "5000"]),
        Value::Text(b"OK".to_vec())
    );
    // Half-way: the old owner says ASK.
    for _ in 0..3 {
        assert!(redis.payload(&k).await.is_some());
    }
    for node in [to, from] {
        setslot(node, &["NODE", &id(to)]);
    }
    // Moved: the old owner says MOVED.
    for _ in 0..3 {
        assert!(redis.payload(&k).await.is_some());
    }
    redis.invalidate(&[tag(1)]).await.unwrap();
    redis.put(&k, b"w", &[tag(1)]).await;
    assert_eq!(redis.payload(&k).await.unwrap(), b"w");
    assert!(cluster.nodes[to].raw().keys("p:*:e").contains(&name));
}

#[tokio::test]
async fn slots_that_move_are_followed() {
    moves(&[]).await;
}

/// Where nodes don't know by what name they are reached, they say only the port.
#[tokio::test]
async fn slots_that_move_to_a_node_without_a_name_are_followed() {
    // Older ones always say a name.
    if larder_testbed::version() >= (7, 0) {
        moves(&["cluster-preferred-endpoint-type", "unknown-endpoint"]).await;
    }
}

#[tokio::test]
async fn a_cluster_url_for_a_single_server() {
    let server = Server::start();
    let url = format!("redis-cluster://127.0.0.1:{}", server.port());
    let error = Redis::builder(url).connect().await.unwrap_err();
    assert_eq!(error.kind(), cache_core::ErrorKind::Refused, "{error:?}");
}

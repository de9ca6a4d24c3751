//! A process that can't listen, or whose notifications don't come, waits for another's run as long as that takes, not for
//! the rest of its lease. Where listening is forbidden, `connect` refuses and says what to permit.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "this is how tests fail and talk")]

mod support;

use std::time::{Duration, Instant};

use cache_core::ErrorKind;
use cache_core::backend::Backend;
use cache_redis::{Redis, RedisBuilder, TroubleKind};
use support::looks::Looks;
use support::shards::keys_at;
use support::*;

/// Longer than any test is patient.
const LEASE: Duration = Duration::from_secs(60);
/// How long the lease is held while another process waits.
const RUN: Duration = Duration::from_millis(500);
/// What a wait may take beyond that, on a slow machine with much to do. A missed end of the lease costs a minute.
const SLACK: Duration = Duration::from_secs(5);

/// Everything but channels.
fn deaf_user(server: &Server) {
    server.command(&["ACL", "SETUSER", "app", "on", ">secret", "~*", "resetchannels", "+@all"]);
}

fn as_user(builder: RedisBuilder) -> RedisBuilder {
    builder.prefix("p").username("app").password("secret").lease(LEASE)
}

/// How long `waiter` waits for a run of `holder`'s that takes [`RUN`] from when it waits.
async fn waits(server: &Server, name: &str, holder: &Redis, waiter: &Redis) -> Duration {
    let held = holder.granted(&key(name), &[]).await;
    let busy = waiter.busy(&key(name)).await;
    let looks = Looks::at(server);
    let waiting = async {
        let began = Instant::now();
        within(LEASE / 2, "the wait", waiter.wait(&key(name), busy)).await.unwrap();
        began.elapsed()
    };
    let running = async {
        looks.seen(1).await;
        tokio::time::sleep(RUN).await;
        drop(held);
    };
    tokio::join!(waiting, running).0
}

async fn connected(redis: &Redis) {
    eventually("the connection", || redis.health().connected).await;
}

#[tokio::test]
async fn connect_refuses_who_may_not_listen_and_says_what_to_permit() {
    let server = Server::start();
    deaf_user(&server);
    let began = Instant::now();
    let error = as_user(server.builder()).connect().await.unwrap_err();
    assert!(began.elapsed() < SLACK);
    assert_eq!(error.kind(), ErrorKind::Refused, "{error:?}");
    assert!(error.to_string().contains("`ACL SETUSER <user> +@pubsub &p:*`"), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("secret"));
    // As it says.
    server.command(&["ACL", "SETUSER", "app", "+@pubsub", "&p:*"]);
    let redis = as_user(server.builder()).connect().await.unwrap();
    assert!(redis.health().listening);
    // The commands may be what is forbidden.
    server.command(&["ACL", "SETUSER", "app", "&*", "-subscribe"]);
    let error = as_user(server.builder()).connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error:?}");
    assert!(error.to_string().contains("+@pubsub &p:*"), "{error:?}");
}

#[tokio::test]
async fn a_cluster_is_refused_where_one_node_forbids_listening() {
    let cluster = Cluster::start();
    for (index, node) in cluster.nodes.iter().enumerate() {
        let channels = if index == 1 { "resetchannels" } else { "allchannels" };
        node.command(&["ACL", "SETUSER", "app", "on", ">secret", "~*", channels, "+@all"]);
    }
    let builder = as_user(Redis::builder(cluster.url()).timeout(Duration::from_secs(2)));
    let error = builder.clone().connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error:?}");
    assert!(error.to_string().contains("&p:*"), "{error:?}");
    // Only what is at that node has to be looked at.
    let one = builder.connect_lazy().unwrap();
    let two = Redis::builder(cluster.url()).prefix("p").lease(LEASE).connect().await.unwrap();
    connected(&one).await;
    let k = keys_at(&cluster, 1, 1).remove(0);
    let held = two.granted(&k, &[]).await;
    let busy = one.busy(&k).await;
    let looks = Looks::at(&cluster.nodes[1]);
    tokio::join!(async { within(SLACK, "the wait", one.wait(&k, busy)).await.unwrap() }, async {
        looks.seen(1).await;
        drop(held);
    });
}

#[tokio::test]
async fn who_may_not_listen_looks_again_and_is_told_so() {
    let server = Server::start();
    deaf_user(&server);
    let troubles = Troubles::default();
    let deaf = as_user(server.builder()).on_error(troubles.hook()).connect_lazy().unwrap();
    let holder = server.builder().prefix("p").lease(LEASE).connect().await.unwrap();
    connected(&deaf).await;
    let waited = waits(&server, "k", &holder, &deaf).await;
    assert!(waited < RUN + SLACK, "{waited:?}");
    assert!(!deaf.health().listening);
    eventually("the report", || troubles.kinds().contains(&TroubleKind::Denied)).await;
    assert!(troubles.text().contains("&p:*"), "{}", troubles.text());
    assert!(!troubles.text().contains("secret"), "{}", troubles.text());
}

#[tokio::test]
async fn who_may_no_longer_listen_looks_again() {
    let server = Server::start();
    server.command(&["ACL", "SETUSER", "app", "on", ">secret", "~*", "allchannels", "+@all"]);
    let one = as_user(server.builder()).connect().await.unwrap();
    let two = server.builder().prefix("p").lease(LEASE).connect().await.unwrap();
    let held = two.granted(&key("k"), &[]).await;
    let busy = one.busy(&key("k")).await;
    let looks = Looks::at(&server);
    // The right goes while it waits.
    tokio::join!(async { within(SLACK, "the wait", one.wait(&key("k"), busy)).await.unwrap() }, async {
        looks.seen(1).await;
        server.command(&["ACL", "SETUSER", "app", "resetchannels"]);
        eventually("notice", || !one.health().listening).await;
        drop(held);
    });
    let waited = waits(&server, "l", &two, &one).await;
    assert!(waited < RUN + SLACK, "{waited:?}");
    server.command(&["ACL", "SETUSER", "app", "allchannels"]);
    eventually("listening again", || one.health().listening && one.health().keyspace_notifications).await;
}

/// Nothing answers on the connection that listens, and it isn't closed.
#[tokio::test(flavor = "multi_thread")]
async fn a_listening_connection_that_is_dead_costs_no_lease() {
    for notifications in [true, false] {
        let server = Server::start();
        let proxy = Proxy::to(server.port());
        // Heartbeats are rare.
        let builder = |url: String| {
            let builder = Redis::builder(url).prefix("p").lease(LEASE).max_staleness(LEASE * 60);
            if notifications { builder } else { builder.without_notifications() }
        };
        // It is given up after three of these, which is too late.
        let one = builder(proxy.url()).timeout(Duration::from_secs(2)).connect().await.unwrap();
        let two = builder(server.url()).connect().await.unwrap();
        proxy.hold(Kind::Messages);
        let mut longest = Duration::ZERO;
        for name in ["a", "b", "c"] {
            longest = longest.max(waits(&server, name, &two, &one).await);
        }
        assert!(longest < RUN + SLACK, "{longest:?}");
        proxy.release();
        eventually("listening again", || one.health().listening).await;
    }
}

/// It is cut, and can't be made again.
#[tokio::test(flavor = "multi_thread")]
async fn a_listening_connection_that_can_not_be_replaced_costs_no_lease() {
    let server = Server::start();
    let proxy = Proxy::to(server.port());
    let one = Redis::builder(proxy.url()).prefix("p").lease(LEASE).connect().await.unwrap();
    let two = server.builder().prefix("p").lease(LEASE).connect().await.unwrap();
    proxy.refuse();
    proxy.cut(Kind::Messages);
    eventually("notice", || !one.health().listening).await;
    let mut longest = Duration::ZERO;
    for name in ["a", "b", "c"] {
        longest = longest.max(waits(&server, name, &two, &one).await);
    }
    assert!(longest < RUN + SLACK, "{longest:?}");
    assert!(one.health().connected, "the other connection was left alone");
}

/// Looks become rarer the longer the wait, and there are none while a push will come.
#[tokio::test]
async fn looks_are_few() {
    let server = Server::start();
    deaf_user(&server);
    let deaf = as_user(server.builder()).connect_lazy().unwrap();
    let (hears, holder) = (server.builder().prefix("p").lease(LEASE), server.builder().prefix("p").lease(LEASE));
    let (hears, holder) = (hears.connect().await.unwrap(), holder.connect().await.unwrap());
    connected(&deaf).await;
    for (waiter, few) in [(&deaf, 3..=60), (&hears, 1..=2)] {
        let held = holder.granted(&key("k"), &[]).await;
        let busy = waiter.busy(&key("k")).await;
        let looks = Looks::at(&server);
        tokio::join!(async { within(LEASE / 2, "the wait", waiter.wait(&key("k"), busy)).await.unwrap() }, async {
            tokio::time::sleep(RUN * 3).await;
            drop(held);
        });
        let looks = looks.count(&server);
        assert!(few.contains(&looks), "{looks}");
    }
}

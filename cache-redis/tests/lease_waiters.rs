//! Waiters are woken by a push: keyspace notifications where they are to be had, else messages. A lost push costs at most
//! the lease's remaining life.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "this is how tests fail and talk")]

mod support;

use std::time::{Duration, Instant};

use cache_core::backend::Backend;
use cache_redis::{Redis, RedisBuilder};
use support::looks::Looks;
use support::*;

/// Longer than any test is patient: whoever wakes earlier was pushed.
const LONG: Duration = Duration::from_secs(60);

/// Both ends of a lease wake a waiter, soon.
async fn wakes(server: &Server, holder: &Redis, waiter: &Redis) {
    for store in [true, false] {
        let held = holder.granted(&key("k"), &[tag(1)]).await;
        let busy = waiter.busy(&key("k")).await;
        assert!(busy.remaining > LONG / 2);
        let looks = Looks::at(server);
        let waiting = async {
            within(Duration::from_secs(5), "the wake", waiter.wait(&key("k"), busy)).await.unwrap();
            Instant::now()
        };
        let ending = async {
            looks.seen(1).await;
            let began = Instant::now();
            if store {
                let stamp = held.stamp();
                holder.store(&key("k"), held, entry(b"v", &[tag(1)], stamp)).await.unwrap();
            } else {
                drop(held);
            }
            began
        };
        let (woken, ended) = tokio::join!(waiting, ending);
        assert!(woken.saturating_duration_since(ended) < Duration::from_secs(1));
        holder.invalidate(&[tag(1)]).await.unwrap();
    }
}

async fn connect(builder: RedisBuilder) -> Redis {
    builder.lease(LONG).connect().await.unwrap()
}

#[tokio::test]
async fn notifications_are_switched_on_and_used() {
    let server = Server::start();
    let (one, two) = (connect(server.builder()).await, connect(server.builder()).await);
    assert!(one.health().keyspace_notifications);
    let flags = server.command(&["CONFIG", "GET", "notify-keyspace-events"]).list()[1].text();
    assert!("Kgxe".chars().all(|flag| flags.contains(flag)), "{flags}");
    let mut raw = server.raw();
    raw.command(&["CONFIG", "RESETSTAT"]);
    wakes(&server, &one, &two).await;
    assert!(!raw.command(&["INFO", "commandstats"]).text().contains("cmdstat_append"), "nobody asked for a message");
}

#[tokio::test]
async fn what_others_have_switched_on_stays_on() {
    let server = Server::with(&["--notify-keyspace-events", "Elm"]);
    let _redis = connect(server.builder()).await;
    let flags = server.command(&["CONFIG", "GET", "notify-keyspace-events"]).list()[1].text();
    assert!("ElmKgxe".chars().all(|flag| flags.contains(flag)), "{flags}");
}

#[tokio::test]
async fn without_notifications_messages_wake() {
    let server = Server::start();
    let builder = || server.builder().without_notifications();
    let (one, two) = (connect(builder()).await, connect(builder()).await);
    assert!(!one.health().keyspace_notifications);
    wakes(&server, &one, &two).await;
    assert_eq!(server.command(&["CONFIG", "GET", "notify-keyspace-events"]).list()[1].text(), "");
}

#[tokio::test]
async fn both_kinds_wake_each_other() {
    let server = Server::start();
    let (notified, told) = (connect(server.builder()).await, connect(server.builder().without_notifications()).await);
    wakes(&server, &notified, &told).await;
    wakes(&server, &told, &notified).await;
}

#[tokio::test]
async fn where_config_is_forbidden_messages_wake() {
    let server = Server::with(&["--rename-command", "CONFIG", ""]);
    let (one, two) = (connect(server.builder()).await, connect(server.builder()).await);
    assert!(!one.health().keyspace_notifications);
    wakes(&server, &one, &two).await;
}

#[tokio::test]
async fn where_config_is_forbidden_by_acl_messages_wake() {
    let server = Server::start();
    server.command(&["ACL", "SETUSER", "app", "on", ">pw", "~*", "&*", "+@all", "-@admin", "-config"]);
    let builder = || server.builder().username("app").password("pw");
    let (one, two) = (connect(builder()).await, connect(builder()).await);
    assert!(!one.health().keyspace_notifications);
    wakes(&server, &one, &two).await;
}

#[tokio::test]
async fn where_patterns_are_forbidden_by_acl_messages_wake() {
    let server = Server::start();
    server.command(&[
        "ACL",
        "SETUSER",
        "app",
        "on",
        ">pw",
        "~*",
        "resetchannels",
        "&larder:bus:0",
        "&larder:wake:0",
        "+@all",
    ]);
    let builder = || server.builder().username("app").password("pw");
    let (one, two) = (connect(builder()).await, connect(builder()).await);
    assert!(!one.health().keyspace_notifications);
    wakes(&server, &one, &two).await;
}

#[tokio::test]
async fn an_end_before_the_wait_is_not_missed() {
    let server = Server::start();
    for builder in [server.builder(), server.builder().without_notifications()] {
        let (one, two) = (connect(builder.clone()).await, connect(builder).await);
        let held = one.granted(&key("k"), &[]).await;
        let busy = two.busy(&key("k")).await;
        drop(held);
        let mut raw = server.raw();
        eventually("the release", || raw.keys("*:l").is_empty()).await;
        within(Duration::from_secs(5), "the wait", two.wait(&key("k"), busy)).await.unwrap();
    }
}

#[tokio::test]
async fn a_lost_push_costs_the_remaining_life_of_the_lease() {
    let server = Server::start();
    let lease = Duration::from_millis(700);
    let one = server.builder().without_notifications().lease(lease).connect().await.unwrap();
    let two = server.builder().without_notifications().lease(lease).connect().await.unwrap();
    let held = one.granted(&key("k"), &[]).await;
    let busy = two.busy(&key("k")).await;
    let looks = Looks::at(&server);
    let (waited, ()) = tokio::join!(
        async {
            let began = Instant::now();
            within(lease * 4, "the wait", two.wait(&key("k"), busy)).await.unwrap();
            began.elapsed()
        },
        async {
            looks.seen(1).await;
            // Nobody publishes anything: as if the message were lost.
            server.raw().delete("*:l");
        }
    );
    assert!(waited < lease + Duration::from_millis(300), "{waited:?}");
    drop(held);
}

#[tokio::test]
async fn a_deleted_lease_wakes_by_notification() {
    let server = Server::start();
    let (one, two) = (connect(server.builder()).await, connect(server.builder()).await);
    let _held = one.granted(&key("k"), &[]).await;
    let busy = two.busy(&key("k")).await;
    let looks = Looks::at(&server);
    tokio::join!(
        async { within(Duration::from_secs(5), "the wake", two.wait(&key("k"), busy)).await.unwrap() },
        async {
            looks.seen(1).await;
            server.raw().delete("*:l");
        }
    );
}

#[tokio::test]
async fn a_cut_subscription_is_made_again_and_waiters_look_again() {
    let server = Server::start();
    let (one, two) = (connect(server.builder()).await, connect(server.builder()).await);
    let held = one.granted(&key("k"), &[]).await;
    let busy = two.busy(&key("k")).await;
    let looks = Looks::at(&server);
    tokio::join!(
        async { within(Duration::from_secs(10), "the wake", two.wait(&key("k"), busy)).await.unwrap() },
        async {
            looks.seen(1).await;
            server.command(&["CLIENT", "KILL", "TYPE", "pubsub"]);
            // Released while nobody listens.
            drop(held);
        }
    );
    eventually("listening again", || two.health().listening && one.health().listening).await;
    wakes(&server, &one, &two).await;
}

#[tokio::test]
async fn many_waiters_of_one_lease() {
    let server = Server::start();
    let (one, two) = (connect(server.builder()).await, connect(server.builder()).await);
    let held = one.granted(&key("k"), &[]).await;
    let busy = two.busy(&key("k")).await;
    let looks = Looks::at(&server);
    let waits: Vec<_> = (0..100)
        .map(|_| {
            let (two, busy) = (two.clone(), busy.clone());
            tokio::spawn(async move { two.wait(&key("k"), busy).await.unwrap() })
        })
        .collect();
    looks.seen(100).await;
    drop(held);
    within(Duration::from_secs(5), "the wakes", async {
        for wait in waits {
            wait.await.unwrap();
        }
    })
    .await;
}

//! Keyspace notifications are a setting of the server that all its clients share: whoever switches them off while we rely
//! on them is noticed soon, and what others have switched on stays on.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "this is how tests fail and talk")]

mod support;

use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use cache_core::backend::Backend;
use cache_redis::{Redis, RedisBuilder, TroubleKind};
use support::looks::Looks;
use support::shards::keys_at;
use support::*;

/// Longer than any test is patient: whoever waits less was woken, or has looked.
const LEASE: Duration = Duration::from_secs(60);
const SLACK: Duration = Duration::from_secs(5);

fn builder(server: &Server) -> RedisBuilder {
    server.builder().prefix("p").lease(LEASE)
}

/// Heartbeats are rare.
fn calm(builder: RedisBuilder) -> RedisBuilder {
    builder.max_staleness(LEASE * 60)
}

fn flags(raw: &mut Raw) -> String {
    raw.command(&["CONFIG", "GET", "notify-keyspace-events"]).list()[1].text()
}

fn set(raw: &mut Raw, flags: &str) {
    assert_eq!(raw.command(&["CONFIG", "SET", "notify-keyspace-events", flags]), Value::Text(b"OK".to_vec()));
}

/// How long `waiter` waits for a lease that is given back in the moment it waits, after `meanwhile`.
async fn waits(server: &Server, holder: &Redis, waiter: &Redis, meanwhile: impl FnOnce()) -> Duration {
    let held = holder.granted(&key("k"), &[]).await;
    let busy = waiter.busy(&key("k")).await;
    let looks = Looks::at(server);
    let waiting = async {
        let began = Instant::now();
        within(LEASE / 2, "the wait", waiter.wait(&key("k"), busy)).await.unwrap();
        began.elapsed()
    };
    let ending = async {
        looks.seen(1).await;
        meanwhile();
        drop(held);
    };
    tokio::join!(waiting, ending).0
}

#[tokio::test]
async fn switched_off_while_somebody_waits() {
    let server = Server::start();
    let (one, two) = (calm(builder(&server)), calm(builder(&server)));
    let (one, two) = (one.connect().await.unwrap(), two.connect().await.unwrap());
    let mut raw = server.raw();
    for _ in 0..3 {
        eventually("notifications", || one.health().keyspace_notifications).await;
        let waited = waits(&server, &two, &one, || set(&mut raw, "")).await;
        assert!(waited < SLACK, "{waited:?}");
        // They are seen to while somebody waits, or else at a heartbeat.
        let held = two.granted(&key("other"), &[]).await;
        let busy = one.busy(&key("other")).await;
        let waiting = async { within(LEASE / 2, "the wait", one.wait(&key("other"), busy)).await.unwrap() };
        tokio::join!(waiting, async {
            eventually("notifications", || one.health().keyspace_notifications).await;
            drop(held);
        });
    }
}

#[tokio::test]
async fn switched_off_for_an_idle_process() {
    let server = Server::start();
    let troubles = Troubles::default();
    let builder = || builder(&server).max_staleness(Duration::from_millis(600));
    let one = builder().on_error(troubles.hook()).connect().await.unwrap();
    let two = builder().connect().await.unwrap();
    let mut raw = server.raw();
    set(&mut raw, "El");
    eventually("the report", || troubles.kinds().contains(&TroubleKind::NotificationsOff)).await;
    eventually("notifications", || one.health().keyspace_notifications && two.health().keyspace_notifications).await;
    let now = flags(&mut raw);
    assert!("ElKgxe".chars().all(|flag| now.contains(flag)), "{now}");
    assert_eq!(troubles.kinds(), [TroubleKind::NotificationsOff], "{}", troubles.text());
    let mut counts = server.raw();
    counts.command(&["CONFIG", "RESETSTAT"]);
    let waited = waits(&server, &two, &one, || {}).await;
    assert!(waited < SLACK, "{waited:?}");
    assert_eq!(executed(&mut counts, "append"), 0, "nobody asked for a message");
}

/// Who may not switch them on again asks for messages, and so is pushed.
#[tokio::test]
async fn switched_off_where_they_may_not_be_switched_on() {
    let server = Server::with(&["--notify-keyspace-events", "KA"]);
    for forbidden in ["-config|set", "-config"] {
        let mut raw = server.raw();
        raw.command(&["ACL", "SETUSER", "app", "reset", "on", ">pw", "~*", "&*", "+@all"]);
        let builder = || builder(&server).username("app").password("pw").max_staleness(Duration::from_millis(600));
        let (one, two) = (builder().connect().await.unwrap(), builder().connect().await.unwrap());
        assert!(one.health().keyspace_notifications);
        raw.command(&["ACL", "SETUSER", "app", forbidden]);
        set(&mut raw, "");
        let waited = waits(&server, &two, &one, || {}).await;
        assert!(waited < SLACK, "{waited:?}");
        eventually("notice", || !one.health().keyspace_notifications && !two.health().keyspace_notifications).await;
        let connections = raw.info("stats", "total_connections_received");
        let looks = Looks::at(&server);
        let waited = waits(&server, &two, &one, || std::thread::sleep(Duration::from_secs(2))).await;
        assert!(waited < SLACK, "{waited:?}");
        assert!(looks.count(&server) <= 2, "a message has woken it");
        let before: i64 = connections.unwrap().parse().unwrap();
        let after: i64 = raw.info("stats", "total_connections_received").unwrap().parse().unwrap();
        // Three are this test's.
        assert!(after - before <= 6, "nobody tries over and over: {}", after - before);
        set(&mut raw, "KA");
        if forbidden == "-config|set" {
            eventually("notifications", || one.health().keyspace_notifications).await;
        }
    }
}

/// Another client switches them off over and over: nobody relies on them, and nobody's wait is long.
#[tokio::test]
async fn switched_off_over_and_over() {
    let server = Server::start();
    let troubles = Troubles::default();
    let builder = || builder(&server).max_staleness(Duration::from_millis(600));
    let one = builder().on_error(troubles.hook()).connect().await.unwrap();
    let two = builder().connect().await.unwrap();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let mut raw = server.raw();
    let other = std::thread::spawn(move || {
        while stopped.recv_timeout(Duration::from_millis(20)) == Err(RecvTimeoutError::Timeout) {
            set(&mut raw, "");
        }
    });
    let mut longest = Duration::ZERO;
    for _ in 0..10 {
        longest = longest.max(waits(&server, &two, &one, || {}).await);
    }
    eventually("a report", || !troubles.kinds().is_empty()).await;
    drop(stop);
    other.join().unwrap();
    assert!(longest < SLACK, "{longest:?}");
    eventually("notifications", || one.health().keyspace_notifications).await;
    assert_eq!(troubles.kinds(), [TroubleKind::NotificationsOff], "once: {}", troubles.text());
}

/// Between our look and our change another client comes with a change of its own.
#[tokio::test(flavor = "multi_thread")]
async fn what_others_switch_on_at_the_same_moment_stays_on() {
    let server = Server::with(&["--notify-keyspace-events", "m"]);
    let mut raw = server.raw();
    raw.command(&["ACL", "SETUSER", "plain", "on", ">pw", "~*", "&*", "+@all", "-multi", "-exec"]);
    for auth in ["", "plain:pw@"] {
        for (meanwhile, expected) in [("El", "ElKgxe"), ("mEls", "mElsKgxe"), ("", "Kgxe")] {
            set(&mut raw, "m");
            let proxy = Proxy::to(server.port());
            proxy.next_reply(b"\r\nGET\r\n$22\r\nnotify-keyspace-events", Fate::Held);
            let url = proxy.url().replace("redis://", &format!("redis://{auth}"));
            let connecting = tokio::spawn(calm(Redis::builder(url).timeout(Duration::from_secs(5))).connect());
            tokio::task::block_in_place(|| proxy.wait_for_fates(1));
            set(&mut raw, meanwhile);
            proxy.release();
            let redis = connecting.await.unwrap().unwrap();
            assert!(redis.health().keyspace_notifications);
            let sorted = |text: &str| {
                let mut flags: Vec<_> = text.chars().collect();
                flags.sort_unstable();
                flags
            };
            assert_eq!(sorted(&flags(&mut raw)), sorted(expected), "{auth} {meanwhile}");
        }
    }
}

#[tokio::test]
async fn switched_off_at_one_node_of_a_cluster() {
    let cluster = Cluster::start();
    let builder = || calm(Redis::builder(cluster.url()).prefix("p").lease(LEASE).timeout(Duration::from_secs(2)));
    let (one, two) = (builder().connect().await.unwrap(), builder().connect().await.unwrap());
    assert!(one.health().keyspace_notifications);
    let k = keys_at(&cluster, 2, 1).remove(0);
    let held = two.granted(&k, &[]).await;
    let busy = one.busy(&k).await;
    let looks = Looks::at(&cluster.nodes[2]);
    tokio::join!(async { within(SLACK, "the wait", one.wait(&k, busy)).await.unwrap() }, async {
        looks.seen(1).await;
        set(&mut cluster.nodes[2].raw(), "");
        drop(held);
    });
}

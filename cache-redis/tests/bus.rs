//! What listeners hear: invalidations at once, doubt when something may have been missed, and trust that is never older
//! than the last comparison.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "this is how tests fail and talk")]

mod support;

use std::time::Duration;

use cache_core::backend::Backend;
use cache_redis::{Redis, TroubleKind};
use support::*;

/// Heartbeats every 100 ms.
async fn connect(server: &Server) -> Redis {
    server.builder().prefix("p").max_staleness(Duration::from_millis(300)).connect().await.unwrap()
}

/// No heartbeats while the test lasts, except those that something gives reason for.
async fn connect_calm(server: &Server) -> Redis {
    server.builder().prefix("p").max_staleness(Duration::from_secs(3000)).connect().await.unwrap()
}

async fn listen(redis: &Redis) -> Listening {
    let mut listening = Listening::to(redis);
    listening.trusted().await;
    listening
}

#[tokio::test]
async fn others_invalidations_are_heard_and_ones_own_are_not() {
    let server = Server::start();
    let (one, two) = (connect_calm(&server).await, connect_calm(&server).await);
    let (mut ear_one, mut ear_two) = (listen(&one).await, listen(&two).await);
    for number in 0..10 {
        one.invalidate(&[tag(number), tag(number + 100)]).await.unwrap();
        let heard = ear_two.until("invalidation", |heard| matches!(heard, Heard::Invalidated(_))).await;
        assert_eq!(heard, Heard::Invalidated(vec![tag(number), tag(number + 100)]));
    }
    two.invalidate(&[tag(500)]).await.unwrap();
    let heard = ear_one.until("invalidation", |heard| matches!(heard, Heard::Invalidated(_))).await;
    assert_eq!(heard, Heard::Invalidated(vec![tag(500)]));
    assert!(!ear_one.drain().contains(&Heard::Doubt), "nothing was missed");
    assert!(!ear_two.drain().contains(&Heard::Doubt), "nothing was missed");
}

#[tokio::test]
async fn caches_that_share_a_handle_hear_each_other_before_invalidate_returns() {
    let server = Server::start();
    let redis = connect_calm(&server).await;
    let (mut one, mut two) = (listen(&redis).await, listen(&redis).await);
    redis.clone().invalidate(&[tag(1)]).await.unwrap();
    assert!(one.drain().contains(&Heard::Invalidated(vec![tag(1)])));
    assert!(two.drain().contains(&Heard::Invalidated(vec![tag(1)])));
}

#[tokio::test]
async fn a_gap_in_the_numbers_is_doubt() {
    let server = Server::start();
    let troubles = Troubles::default();
    let builder = server.builder().prefix("p").max_staleness(Duration::from_secs(3000)).on_error(troubles.hook());
    let (one, two) = (builder.connect().await.unwrap(), connect_calm(&server).await);
    let mut ear = listen(&one).await;
    two.invalidate(&[tag(1)]).await.unwrap();
    ear.until("invalidation", |heard| matches!(heard, Heard::Invalidated(_))).await;
    ear.drain();
    // An invalidation whose message was lost.
    server.command(&["INCR", "p:{t:p}:clock"]);
    two.invalidate(&[tag(2)]).await.unwrap();
    ear.until("doubt", |heard| *heard == Heard::Doubt).await;
    assert_eq!(one.health().count(TroubleKind::MissedMessages), 1);
    eventually("the report", || troubles.kinds() == [TroubleKind::MissedMessages]).await;
}

#[tokio::test]
async fn the_heartbeat_notices_what_no_message_told() {
    let server = Server::start();
    let redis = connect(&server).await;
    let mut ear = listen(&redis).await;
    ear.drain();
    server.command(&["INCR", "p:{t:p}:clock"]);
    ear.until("doubt", |heard| *heard == Heard::Doubt).await;
    // And then all is well again.
    ear.trusted().await;
}

#[tokio::test]
async fn trust_is_measured_from_before_the_comparison() {
    let server = Server::start();
    let redis = connect(&server).await;
    let mut ear = listen(&redis).await;
    for _ in 0..10 {
        let heard = ear.until("trust", |heard| matches!(heard, Heard::Trusted(_))).await;
        let Heard::Trusted(time) = heard else { unreachable!() };
        assert!(time < Duration::from_millis(300), "{time:?}");
    }
}

#[tokio::test]
async fn nobody_is_trusted_while_redis_is_away() {
    let mut server = Server::start();
    let redis = connect(&server).await;
    let mut ear = listen(&redis).await;
    server.kill();
    eventually("notice", || !redis.health().connected && !redis.health().listening).await;
    ear.drain();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!ear.drain().iter().any(|heard| matches!(heard, Heard::Trusted(_))));
    server.restart();
    ear.until("doubt", |heard| *heard == Heard::Doubt).await;
    ear.trusted().await;
}

#[tokio::test]
async fn a_cut_subscription_is_doubt_and_is_made_again() {
    let server = Server::start();
    let (one, two) = (connect_calm(&server).await, connect_calm(&server).await);
    let mut ear = listen(&one).await;
    for round in 0..3 {
        ear.drain();
        server.command(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        // Perhaps while nobody listens.
        two.invalidate(&[tag(1)]).await.unwrap();
        ear.until("doubt", |heard| *heard == Heard::Doubt).await;
        ear.trusted().await;
        two.invalidate(&[tag(2 + round)]).await.unwrap();
        ear.until("invalidation", |heard| *heard == Heard::Invalidated(vec![tag(2 + round)])).await;
    }
}

#[tokio::test]
async fn a_clock_that_went_back_is_pushed_forward_and_everything_older_is_dead() {
    let server = Server::start();
    let (one, two) = (connect(&server).await, connect_calm(&server).await);
    let mut ear = listen(&one).await;
    let mut raw = server.raw();
    for _ in 0..10 {
        one.invalidate(&[tag(9)]).await.unwrap();
    }
    let stamp = one.put(&key("k"), b"v", &[tag(1)]).await;
    let clock = raw.command(&["GET", "p:{t:p}:clock"]).number();
    ear.drain();
    // A failover that lost the last writes of the clock's server.
    raw.command(&["SET", "p:{t:p}:clock", &(clock - 8).to_string()]);
    ear.until("doubt", |heard| *heard == Heard::Doubt).await;
    eventually("the push", || raw.command(&["GET", "p:{t:p}:clock"]).number() > clock).await;
    assert_eq!(two.payload(&key("k")).await, None);
    two.invalidate(&[tag(1)]).await.unwrap();
    assert!(one.put(&key("k"), b"v", &[tag(1)]).await > stamp);
    assert!(two.payload(&key("k")).await.is_some());
    assert_eq!(one.health().count(TroubleKind::ClockWentBack), 1);
}

#[tokio::test]
async fn a_lost_clock_is_made_again_ahead_of_all_it_was() {
    let server = Server::start();
    let (one, two) = (connect_calm(&server).await, connect_calm(&server).await);
    let before = one.put(&key("k"), b"v", &[tag(1)]).await;
    server.command(&["DEL", "p:{t:p}:clock"]);
    two.invalidate(&[tag(1)]).await.unwrap();
    assert_eq!(one.payload(&key("k")).await, None);
    assert!(two.put(&key("k"), b"v", &[tag(1)]).await > before);
    assert!(one.payload(&key("k")).await.is_some());
    server.command(&["SET", "p:{t:p}:clock", "garbage"]);
    two.invalidate(&[tag(1)]).await.unwrap();
    assert_eq!(one.payload(&key("k")).await, None);
}

/// A failover that lost an invalidation, whose number has been given out again: the clock doesn't show it.
#[tokio::test]
async fn an_order_that_went_on_without_some_is_pushed_forward_and_everything_older_is_dead() {
    let server = Server::start();
    let (one, two) = (connect_calm(&server).await, connect_calm(&server).await);
    let mut raw = server.raw();
    for (round, loser) in [&one, &two].into_iter().enumerate() {
        let lost = tag(round as u64);
        one.put(&key("k"), b"v", &[lost]).await;
        let mut ear = listen(&one).await;
        let clock = raw.command(&["GET", "p:{t:p}:clock"]);
        loser.invalidate(&[lost]).await.unwrap();
        if round == 1 {
            ear.until("invalidation", |heard| *heard == Heard::Invalidated(vec![lost])).await;
        }
        let bucket = format!("p:{{t:p}}:{:02x}", lost.0 % 256);
        raw.command(&["SET", "p:{t:p}:clock", &clock.text()]);
        raw.try_bytes(&[b"HDEL", bucket.as_bytes(), &lost.0.to_le_bytes()]).unwrap();
        let newcomer = connect_calm(&server).await;
        newcomer.invalidate(&[tag(9)]).await.unwrap();
        raw.command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        raw.command(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        let goes_on = clock.number() + 1;
        eventually("the push", || raw.command(&["GET", "p:{t:p}:clock"]).number() > goes_on).await;
        for redis in [&one, &two, &newcomer] {
            within(Duration::from_secs(20), "the connection", async {
                while redis.read(&key("k")).await.is_err() {
                    tokio::time::sleep(Duration::from_millis(3)).await;
                }
            })
            .await;
            assert_eq!(redis.payload(&key("k")).await, None);
        }
    }
}

/// Its jump isn't taken for messages that were missed.
async fn is_made_again(invalidate: bool) {
    let server = Server::start();
    let mut raw = server.raw();
    // One that is older than the test.
    raw.command(&["SET", "p:{t:p}:clock", "1000000000"]);
    let (one, two) = (connect(&server).await, connect(&server).await);
    let (mut ear_one, mut ear_two) = (listen(&one).await, listen(&two).await);
    let connections = raw.info("stats", "total_connections_received");
    ear_one.drain();
    ear_two.drain();
    raw.command(&["FLUSHALL"]);
    if invalidate {
        one.invalidate(&[tag(1)]).await.unwrap();
    }
    for ear in [&mut ear_one, &mut ear_two] {
        ear.until("doubt", |heard| *heard == Heard::Doubt).await;
        ear.trusted().await;
        // By a comparison that began afterwards.
        ear.trusted().await;
    }
    for redis in [&one, &two] {
        assert_eq!(redis.health().count(TroubleKind::MissedMessages), 0);
    }
    assert_eq!(raw.info("stats", "total_connections_received"), connections, "nobody has connected anew");
    // What really is missed is noticed.
    raw.command(&["INCR", "p:{t:p}:clock"]);
    eventually("notice", || one.health().count(TroubleKind::MissedMessages) == 1).await;
}

#[tokio::test]
async fn a_clock_that_a_heartbeat_makes_again_is_no_missed_message() {
    is_made_again(false).await;
}

#[tokio::test]
async fn a_clock_that_an_invalidation_makes_again_is_no_missed_message() {
    is_made_again(true).await;
}

#[tokio::test]
async fn garbage_on_the_channels_is_ignored() {
    let server = Server::start();
    let redis = connect_calm(&server).await;
    let mut ear = listen(&redis).await;
    ear.drain();
    let mut raw = server.raw();
    for garbage in ["", " ", "x", "x y z", "x 99999999999999999999 z", "x 18446744073709551615 ", "x -1 ", "\u{0}"] {
        raw.command(&["PUBLISH", "p:bus:0", garbage]);
        raw.command(&["PUBLISH", "p:wake:0", garbage]);
    }
    redis.put(&key("k"), b"v", &[]).await;
    assert!(redis.payload(&key("k")).await.is_some());
    // A heartbeat may be among it.
    assert!(ear.drain().iter().all(|heard| matches!(heard, Heard::Trusted(_))));
    assert!(raw.command(&["GET", "p:{t:p}:clock"]).number() < 1 << 53);
}

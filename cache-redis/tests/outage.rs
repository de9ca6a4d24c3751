//! Never worse than no cache: whether Redis is absent, killed, hung, slow or cut off, calls end soon, each trouble is reported
//! once, and all is well again by itself when Redis is.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "this is how tests fail and talk")]

mod support;

use std::time::{Duration, Instant};

use cache_core::ErrorKind;
use cache_core::backend::Backend;
use cache_redis::{Redis, TroubleKind};
use support::looks::Looks;
use support::operations::*;
use support::*;

#[tokio::test]
async fn absent_at_the_start() {
    let mut server = Server::start();
    server.kill();
    let began = Instant::now();
    let error = server.builder().connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(began.elapsed() < Duration::from_secs(2));
    let troubles = Troubles::default();
    let redis = server.builder().timeout(TIMEOUT).on_error(troubles.hook()).connect_lazy().unwrap();
    assert_eq!(all_operations(&redis).await, UNAVAILABLE);
    is_quick(&redis).await;
    assert!(!redis.health().connected);
    server.restart();
    recovers(&redis).await;
    assert!(redis.health().connected);
    assert_eq!(troubles.kinds().first(), Some(&TroubleKind::Unreachable), "{}", troubles.text());
    assert!(troubles.kinds().len() <= 2, "{}", troubles.text());
    let first = troubles.first().unwrap();
    let address = format!("Redis (127.0.0.1:{}): ", server.port());
    assert!(first.contains(&address) && first.contains("(os error ") && !first.contains('{'), "plain words: {first}");
}

#[tokio::test]
async fn killed_and_restarted() {
    let mut server = Server::start();
    let troubles = Troubles::default();
    let redis = server.builder().timeout(TIMEOUT).on_error(troubles.hook()).connect().await.unwrap();
    recovers(&redis).await;
    for round in 1..=2 {
        server.kill();
        assert_eq!(all_operations(&redis).await, UNAVAILABLE);
        is_quick(&redis).await;
        server.restart();
        recovers(&redis).await;
        eventually("the end of the episode", || redis.health().listening).await;
        eventually("the report", || {
            troubles.kinds().contains(&TroubleKind::Unreachable) && troubles.kinds().len() >= round
        })
        .await;
    }
    // On a busy machine a call may have timed out besides.
    let unreachable = troubles.kinds().iter().filter(|kind| **kind == TroubleKind::Unreachable).count();
    assert_eq!(unreachable, 2, "{}", troubles.text());
    assert!(redis.health().count(TroubleKind::Unreachable) > 100);
}

#[tokio::test]
async fn hung() {
    let server = Server::start();
    let troubles = Troubles::default();
    let redis = server.builder().timeout(TIMEOUT).on_error(troubles.hook()).connect().await.unwrap();
    recovers(&redis).await;
    server.stop();
    // The first few pay the timeout, then nobody does.
    assert_eq!(all_operations(&redis).await, UNAVAILABLE);
    eventually("the breaker", || !redis.health().connected).await;
    is_quick(&redis).await;
    server.resume();
    recovers(&redis).await;
    assert!(troubles.kinds().contains(&TroubleKind::Timeout), "{}", troubles.text());
    assert!(troubles.kinds().len() <= 3, "{}", troubles.text());
}

#[tokio::test]
async fn a_hang_is_noticed_by_those_who_wait() {
    let server = Server::start();
    let builder =
        server.builder().timeout(TIMEOUT).lease(Duration::from_secs(60)).max_staleness(Duration::from_secs(1));
    let (one, two) = (builder.clone().connect().await.unwrap(), builder.connect().await.unwrap());
    let held = one.granted(&key("k"), &[]).await;
    let busy = two.busy(&key("k")).await;
    let looks = Looks::at(&server);
    let (waited, ()) =
        tokio::join!(async { within(Duration::from_secs(5), "the wait", two.wait(&key("k"), busy)).await }, async {
            looks.seen(1).await;
            server.stop();
        });
    assert_eq!(waited.unwrap_err().kind(), ErrorKind::Unavailable);
    server.resume();
    drop(held);
}

#[tokio::test]
async fn connections_that_are_cut() {
    let server = Server::start();
    let redis = server.builder().timeout(TIMEOUT).pool_size(2).connect().await.unwrap();
    for _ in 0..5 {
        server.command(&["CLIENT", "KILL", "TYPE", "normal"]);
        recovers(&redis).await;
    }
    assert!(redis.health().reconnects >= 5);
}

#[tokio::test]
async fn slow() {
    let server = Server::start();
    let proxy = Proxy::to(server.port());
    let redis = Redis::builder(proxy.url()).timeout(TIMEOUT).connect().await.unwrap();
    recovers(&redis).await;
    // Slower than the timeout, but alive: connecting succeeds again and again.
    proxy.delay(TIMEOUT * 2);
    let began = Instant::now();
    let mut calls = 0;
    while began.elapsed() < Duration::from_secs(4) {
        assert_eq!(all_operations(&redis).await, UNAVAILABLE);
        calls += 3;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // Without the breaker it would be twenty.
    assert!(calls > 200, "{calls}");
    proxy.delay(Duration::ZERO);
    recovers(&redis).await;
}

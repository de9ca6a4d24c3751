//! Invalidations of very many tags in one call.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "this is how tests fail and talk")]

mod support;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use cache_core::backend::{Backend, TagId};
use cache_core::{Cache, ErrorKind};
use cache_redis::Redis;
use support::operations::SLACK;
use support::*;

/// What it is if nobody says otherwise.
const TIMEOUT: Duration = Duration::from_millis(200);
const MANY: u64 = 100_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_tags_are_invalidated_by_one_call() {
    let server = Server::start();
    // Slow enough that all of it takes longer than the timeout, as it does on a busy server.
    let proxy = Proxy::to(server.port());
    proxy.delay(Duration::from_millis(3));
    let one = Redis::builder(proxy.url()).prefix("p").timeout(TIMEOUT).connect().await.unwrap();
    let two = server.builder().prefix("p").connect().await.unwrap();
    let tags: Vec<TagId> = (0..MANY).map(tag).collect();
    let samples = [0, 1, 511, 512, 50_000, MANY - 1];
    for sample in samples {
        two.put(&key(&sample.to_string()), b"v", &[tag(sample)]).await;
    }
    let began = Instant::now();
    one.invalidate(&tags).await.unwrap();
    assert!(began.elapsed() > TIMEOUT, "{:?}: no test of anything", began.elapsed());
    for redis in [&one, &two, &server.builder().prefix("p").connect().await.unwrap()] {
        for sample in samples {
            assert_eq!(redis.payload(&key(&sample.to_string())).await, None, "{sample}");
        }
    }
    // No script has kept the server from others for long.
    let slowest = server.command(&["SLOWLOG", "GET", "-1"]).list();
    let scripts = slowest.into_iter().map(|entry| entry.list()[2].number()).max().unwrap_or(0);
    assert!(scripts < 100_000, "{scripts} microseconds");
}

#[tokio::test(flavor = "multi_thread")]
async fn very_many_tags_fail_fast_when_the_server_is_away() {
    let server = Server::start();
    let redis = server.builder().prefix("p").timeout(TIMEOUT).connect().await.unwrap();
    let tags: Vec<TagId> = (0..MANY).map(tag).collect();
    server.stop();
    let began = Instant::now();
    let error = redis.invalidate(&tags).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(began.elapsed() < TIMEOUT + SLACK, "{:?}", began.elapsed());
    server.resume();
}

/// The same as users do it, sharing the handle with another cache: its memory hears of each tag.
#[tokio::test(flavor = "multi_thread")]
async fn a_cache_invalidates_very_many_tags() {
    let server = Server::start();
    let redis = server.builder().prefix("p").timeout(TIMEOUT).connect().await.unwrap();
    let mut beside = Listening::to(&redis);
    beside.trusted().await;
    let cache = Cache::builder().backend(redis.clone()).build().unwrap();
    let other = server.builder().prefix("p").connect().await.unwrap();
    let mut hears = Listening::to(&other);
    hears.trusted().await;
    cache.invalidate_tags((0..MANY).map(|number| ("user", number))).await.unwrap();
    let mut told = BTreeSet::new();
    for heard in beside.drain() {
        if let Heard::Invalidated(tags) = heard {
            told.extend(tags);
        }
    }
    assert_eq!(told.len(), MANY as usize);
    within(Duration::from_secs(20), "the messages", async {
        while !told.is_empty() {
            match hears.heard.recv().await.unwrap() {
                Heard::Invalidated(tags) => {
                    for tag in tags {
                        told.remove(&tag);
                    }
                }
                Heard::Doubt => told.clear(),
                Heard::Trusted(_) => {}
            }
        }
    })
    .await;
}

/// It stops in the middle: what is recorded by then is recorded, and repeating it does the rest.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_away_in_the_middle_is_an_error_soon_and_repeating_succeeds() {
    let server = Server::start();
    let redis = server.builder().prefix("p").timeout(TIMEOUT).connect().await.unwrap();
    let mut raw = server.raw();
    let mut ear = Listening::to(&redis);
    ear.trusted().await;
    redis.put(&key("last"), b"v", &[tag(MANY - 1)]).await;
    let tags: Vec<TagId> = (0..MANY).map(tag).collect();
    let (before, clock) = (raw.command(&["GET", "p:{t:p}:clock"]).number(), "p:{t:p}:clock");
    let under_way = tokio::spawn({
        let (redis, tags) = (redis.clone(), tags.clone());
        async move { (redis.invalidate(&tags).await, Instant::now()) }
    });
    eventually("progress", || raw.command(&["GET", clock]).number() > before + 3).await;
    server.stop();
    let stopped = Instant::now();
    let (result, ended) = under_way.await.unwrap();
    if let Err(error) = result {
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(ended - stopped < 2 * TIMEOUT + SLACK, "{:?}", ended - stopped);
    }
    server.resume();
    within(Duration::from_secs(20), "repeating", async {
        while redis.invalidate(&tags).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert_eq!(server.builder().prefix("p").connect().await.unwrap().payload(&key("last")).await, None);
}

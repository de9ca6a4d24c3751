//! Leases: renewed, given back, taken over, and refused when they were lost.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "this is how tests fail and talk")]

mod support;

use std::process::Command;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use cache_core::backend::{Backend, LeaseAnswer, LeaseRequest, StoreAnswer};
use cache_redis::Redis;
use larder_testbed::Process;
use support::*;

#[tokio::test]
async fn a_run_may_take_longer_than_its_lease() {
    let server = Server::start();
    let lease = Duration::from_millis(300);
    let one = server.builder().lease(lease).connect().await.unwrap();
    let two = server.builder().lease(lease).connect().await.unwrap();
    let held = one.granted(&key("k"), &[]).await;
    tokio::time::sleep(lease * 4).await;
    two.busy(&key("k")).await;
    let stamp = held.stamp();
    assert_eq!(one.store(&key("k"), held, entry(b"v", &[], stamp)).await.unwrap(), StoreAnswer::Stored);
    assert_eq!(two.payload(&key("k")).await.unwrap(), b"v");
}

#[tokio::test]
async fn a_dropped_lease_is_given_back_at_once() {
    let server = Server::start();
    let (one, two) = (server.connect().await, server.connect().await);
    let held = one.granted(&key("k"), &[]).await;
    let busy = two.busy(&key("k")).await;
    drop(held);
    within(Duration::from_secs(2), "the wait", two.wait(&key("k"), busy)).await.unwrap();
    two.granted(&key("k"), &[]).await;
}

#[tokio::test]
async fn leases_are_given_back_when_the_handle_is_closed_or_dropped() {
    let server = Server::start();
    let two = server.connect().await;
    for close in [true, false] {
        let one = server.connect().await;
        let held = one.granted(&key("k"), &[]).await;
        let busy = two.busy(&key("k")).await;
        if close {
            one.close().await;
        } else {
            drop(one);
        }
        within(Duration::from_secs(2), "the wait", two.wait(&key("k"), busy)).await.unwrap();
        drop(held);
    }
}

#[tokio::test]
async fn what_a_lost_lease_stores_is_refused() {
    let server = Server::start();
    let (one, two) =
        (server.builder().prefix("p").connect().await.unwrap(), server.builder().prefix("p").connect().await.unwrap());
    for successor in [false, true] {
        let lost = one.granted(&key("k"), &[]).await;
        server.raw().delete("p:*:l");
        let held = match successor {
            true => Some(two.granted(&key("k"), &[]).await),
            false => None,
        };
        let stamp = lost.stamp();
        let answer = one.store(&key("k"), lost, entry(b"lost", &[], stamp)).await.unwrap();
        assert_eq!(answer, StoreAnswer::LeaseLost);
        assert_eq!(two.payload(&key("k")).await, None);
        if let Some(held) = held {
            one.busy(&key("k")).await;
            assert_eq!(two.store(&key("k"), held, entry(b"", &[], stamp)).await.unwrap(), StoreAnswer::Stored);
        }
    }
}

#[tokio::test]
async fn the_answer_to_a_dropped_request_is_given_back() {
    let server = Server::start();
    let (one, two) = (server.builder().prefix("p").connect().await.unwrap(), server.connect().await);
    let _ = two;
    let request = LeaseRequest {
        duration: Some(Duration::from_secs(100)),
        seen: NOTHING_SEEN,
        tags: &[tag(1)],
        take_over: false,
    };
    for _ in 0..20 {
        let k = key("k");
        let mut work = one.lease(&k, request);
        // Polled once: it is sent.
        std::future::poll_fn(|context| {
            let _ = work.as_mut().poll(context);
            std::task::Poll::Ready(())
        })
        .await;
        drop(work);
    }
    let mut raw = server.raw();
    // The last is sent and answered by now.
    one.read(&key("k")).await.unwrap();
    eventually("the leases", || raw.keys("p:*:l").is_empty()).await;
}

#[tokio::test]
async fn a_lease_whose_grant_was_not_heard_is_given_back() {
    let server = Server::start();
    let one = server.builder().prefix("p").timeout(Duration::from_millis(300)).connect().await.unwrap();
    drop(one.granted(&key("warm"), &[]).await);
    let mut raw = server.raw();
    server.stop();
    let k = key("k");
    let request =
        LeaseRequest { duration: Some(Duration::from_secs(100)), seen: NOTHING_SEEN, tags: &[], take_over: false };
    let began = Instant::now();
    one.lease(&k, request).await.unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(2));
    server.resume();
    // The server has got the request, and grants it now. And the release, that was sent after it.
    eventually("the lease", || raw.keys("p:*:l").is_empty()).await;
    assert!(matches!(one.lease(&k, request).await, Ok(LeaseAnswer::Granted(_)) | Err(_)));
}

/// Another process: this test binary again, see [`helper`].
struct Helper {
    process: Process,
    said: mpsc::Receiver<String>,
}

impl Helper {
    fn start(server: &Server, lease: Duration) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "helper", "--ignored", "--nocapture"])
            .env("LARDER_TEST_URL", server.url())
            .env("LARDER_TEST_LEASE", lease.as_millis().to_string());
        let (say, said) = mpsc::channel();
        let process = Process::spawn(&mut command, move |line| {
            if line.contains("helper: ") {
                let _ = say.send(line.to_owned());
            }
        });
        Self { process, said }
    }

    fn expect(&self, wanted: &str) {
        let line = self.said.recv().unwrap();
        assert!(line.contains(wanted), "{line}");
    }
}

/// Takes a lease, and stores when told to.
#[tokio::test]
#[ignore = "run by other tests, as another process"]
async fn helper() {
    let Ok(url) = std::env::var("LARDER_TEST_URL") else { return };
    let lease = Duration::from_millis(std::env::var("LARDER_TEST_LEASE").unwrap().parse().unwrap());
    let redis = Redis::builder(url).timeout(Duration::from_secs(2)).lease(lease).connect().await.unwrap();
    let held = redis.granted(&key("k"), &[]).await;
    println!("helper: held");
    // In a thread of its own: the runtime goes on.
    tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new()).unwrap()).await.unwrap();
    let stamp = held.stamp();
    println!("helper: {:?}", redis.store(&key("k"), held, entry(b"late", &[], stamp)).await);
}

#[tokio::test]
async fn a_killed_process_is_succeeded_within_its_lease() {
    let server = Server::start();
    let lease = Duration::from_millis(1000);
    let redis = server.builder().lease(lease).connect().await.unwrap();
    let helper = Helper::start(&server, lease);
    helper.expect("held");
    let busy = redis.busy(&key("k")).await;
    larder_testbed::kill(helper.process.pid());
    let began = Instant::now();
    within(lease * 3, "the takeover", redis.wait(&key("k"), busy)).await.unwrap();
    assert!(began.elapsed() < lease + Duration::from_millis(500), "{:?}", began.elapsed());
    redis.granted(&key("k"), &[]).await;
}

#[tokio::test]
async fn what_a_zombie_stores_is_refused() {
    let server = Server::start();
    let lease = Duration::from_millis(600);
    let redis = server.builder().lease(lease).connect().await.unwrap();
    for successor_has_stored in [true, false] {
        let helper = Helper::start(&server, lease);
        helper.expect("held");
        let busy = redis.busy(&key("k")).await;
        helper.process.stop();
        within(lease * 3, "the takeover", redis.wait(&key("k"), busy)).await.unwrap();
        let held = redis.granted(&key("k"), &[]).await;
        let stamp = held.stamp();
        let store = async |held| redis.store(&key("k"), held, entry(b"mine", &[], stamp)).await.unwrap();
        if successor_has_stored {
            assert_eq!(store(held).await, StoreAnswer::Stored);
            helper.process.send("go on").unwrap();
            helper.process.resume();
            helper.expect("LeaseLost");
        } else {
            helper.process.send("go on").unwrap();
            helper.process.resume();
            helper.expect("LeaseLost");
            assert_eq!(store(held).await, StoreAnswer::Stored);
        }
        assert_eq!(redis.payload(&key("k")).await.unwrap(), b"mine");
        // Not live any more for the next round.
        server.command(&["FLUSHALL"]);
    }
}

//! A thread of larder's that is stuck costs its callers one timeout, as any other fault does, and is used again when it isn't.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "this is how tests fail and talk")]

mod support;

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cache_core::ErrorKind;
use cache_core::backend::{Backend, BootInstant, LeaseAnswer, LeaseRequest, Listener, ListenerHandle, TagId};
use cache_redis::{Redis, TroubleKind};
use support::looks::Looks;
use support::operations::*;
use support::*;

/// Longer than any test is patient.
const LONG: Duration = Duration::from_secs(60);

/// Code of a user's that blocks whoever calls it, until the sender is dropped.
struct Blocking {
    gate: Mutex<Receiver<()>>,
    blocks: Sender<()>,
}

impl Listener for Blocking {
    fn invalidated(&self, tags: &[TagId]) {
        if tags == [tag(13)] {
            let _ = self.blocks.send(());
            let _ = self.gate.lock().unwrap().recv();
        }
    }

    fn doubt(&self) {}

    fn trusted_until(&self, _: BootInstant) {}
}

struct Scene {
    server: Server,
    /// Its thread can be stuck.
    one: Redis,
    two: Redis,
    reports: Reports,
    gate: Option<Sender<()>>,
    blocked: Receiver<()>,
    _listener: Arc<Blocking>,
}

impl Scene {
    async fn new() -> Self {
        let (server, reports) = (Server::start(), Reports::default());
        let builder = || server.builder().prefix("p").lease(LONG).timeout(TIMEOUT);
        let (one, two) = (reports.of(builder()).connect().await.unwrap(), builder().connect().await.unwrap());
        let (gate, closed) = channel();
        let (blocks, blocked) = channel();
        let listener = Arc::new(Blocking { gate: Mutex::new(closed), blocks });
        let weak: std::sync::Weak<Blocking> = Arc::downgrade(&listener);
        one.attach(ListenerHandle::new(weak));
        recovers(&one).await;
        Self { server, one, two, reports, gate: Some(gate), blocked, _listener: listener }
    }

    async fn block(&self) {
        self.two.invalidate(&[tag(13)]).await.unwrap();
        self.blocked.recv_timeout(Duration::from_secs(20)).unwrap();
    }

    fn unblock(&mut self) {
        self.gate = None;
    }
}

#[tokio::test]
async fn calls_end_within_the_timeout_and_later_ones_at_once() {
    let mut scene = Scene::new().await;
    let held = scene.one.granted(&key("held"), &[]).await;
    scene.block().await;
    let mut longest = Duration::ZERO;
    for _ in 0..20 {
        let began = Instant::now();
        let error = scene.one.read(&key("k")).await.unwrap_err();
        longest = longest.max(began.elapsed());
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    }
    assert!(longest < TIMEOUT + SLACK, "{longest:?}");
    let error = scene.one.read(&key("k")).await.unwrap_err();
    assert!(error.to_string().contains("thread for Redis is stuck"), "{error:?}");
    is_quick(&scene.one).await;
    assert!(scene.one.health().count(TroubleKind::Stuck) > 100);
    assert!(scene.one.health().is_ongoing(TroubleKind::Stuck));
    let stamp = held.stamp();
    let k = key("held");
    let stored = scene.one.store(&k, held, entry(b"v", &[tag(1)], stamp));
    assert_eq!(within(SLACK, "the store", stored).await.unwrap_err().kind(), ErrorKind::Unavailable);
    scene.unblock();
    recovers(&scene.one).await;
    eventually("the end", || scene.reports.ended(TroubleKind::Stuck).len() == 1).await;
    assert_eq!(scene.reports.begun(TroubleKind::Stuck), 1, "{:?}", scene.reports.all());
    // What was held is given back.
    within(SLACK * 5, "the lease", async {
        while !matches!(scene.two.try_lease(&k, &[]).await, Ok(LeaseAnswer::Granted(_))) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

/// Each operation as the first that meets it, from a runtime and from none.
#[test]
fn every_operation_ends_within_the_timeout() {
    for operation in ["read", "lease", "invalidate"] {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut scene = runtime.block_on(Scene::new());
        runtime.block_on(scene.block());
        let began = Instant::now();
        let (one, k) = (&scene.one, key("k"));
        let error = match operation {
            "read" => pollster::block_on(one.read(&k)).unwrap_err(),
            "lease" => {
                let request = LeaseRequest { duration: None, seen: NOTHING_SEEN, tags: &[], take_over: false };
                pollster::block_on(one.lease(&k, request)).unwrap_err()
            }
            _ => pollster::block_on(one.invalidate(&[tag(1)])).unwrap_err(),
        };
        assert!(began.elapsed() < TIMEOUT * 2 + SLACK, "{operation}: {:?}", began.elapsed());
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{operation}");
        scene.unblock();
        runtime.block_on(recovers(&scene.one));
    }
}

/// Who waits for another's run when it happens isn't left behind.
#[tokio::test]
async fn those_who_wait_are_told() {
    let mut scene = Scene::new().await;
    let held = scene.two.granted(&key("k"), &[]).await;
    let busy = scene.one.busy(&key("k")).await;
    let looks = Looks::at(&scene.server);
    let waiting = async {
        let waited = within(LONG / 2, "the wait", scene.one.wait(&key("k"), busy)).await;
        (waited, Instant::now())
    };
    let blocking = async {
        looks.seen(1).await;
        scene.block().await;
        Instant::now()
    };
    let ((waited, until), since) = tokio::join!(waiting, blocking);
    assert_eq!(waited.unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(until.saturating_duration_since(since) < Duration::from_secs(5));
    scene.unblock();
    drop(held);
    recovers(&scene.one).await;
}

#[tokio::test]
async fn closing_does_not_wait_for_it() {
    let mut scene = Scene::new().await;
    scene.block().await;
    within(Duration::from_secs(5), "close", scene.one.close()).await;
    let mut raw = scene.server.raw();
    scene.unblock();
    scene.two.close().await;
    // It ends by itself.
    eventually("the connections", || raw.info("clients", "connected_clients").as_deref() == Some("1")).await;
}

/// A thread that is only busy isn't taken for stuck: slow servers are none of its trouble.
#[tokio::test]
async fn a_server_that_hangs_is_another_trouble() {
    let scene = Scene::new().await;
    scene.server.stop();
    assert_eq!(all_operations(&scene.one).await, UNAVAILABLE);
    is_quick(&scene.one).await;
    scene.server.resume();
    recovers(&scene.one).await;
    assert_eq!(scene.one.health().count(TroubleKind::Stuck), 0, "{:?}", scene.one.health());
}

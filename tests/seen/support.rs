//! What the tests share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use larder::backend::{
    Backend, BoxFuture, Busy, Entry, EntryKey, Lease, LeaseAnswer, LeaseRequest, ListenerHandle, Reading, Stamp,
    StoreAnswer, TagId,
};
use larder::reference::SharedMemory;
use larder::{Cache, Clock, Error, Event, EventKind, Events, FunctionStats, ManualClock, blocking, cached};

/// A cache of its own, for which time passes when the test says so.
pub(crate) fn timed() -> (Cache, ManualClock) {
    let clock = Clock::manual();
    (Cache::builder().clock(&clock).build().unwrap(), clock)
}

/// A cache over a backend, and the backend.
pub(crate) fn shared() -> (Cache, SharedMemory) {
    let backend = SharedMemory::new();
    (Cache::builder().backend(backend.clone()).build().unwrap(), backend)
}

pub(crate) fn stats_of(cache: &Cache, function: &str) -> FunctionStats {
    let stats = cache.stats();
    stats.function(function).cloned().unwrap_or_else(|| panic!("no `{function}` in\n{stats}"))
}

/// All events that there are.
pub(crate) fn kinds(events: &mut Events) -> Vec<EventKind> {
    let next = || events.try_recv().unwrap().map(|Event { kind, .. }| kind);
    std::iter::from_fn(next).collect()
}

pub(crate) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A cached function that does what its argument says.
#[cached(name = "seen.does", ttl = "10s", tags = ["does"])]
pub(crate) fn does(what: &str) -> Result<u64, String> {
    match what {
        "panic" => std::panic::resume_unwind(Box::new(())),
        "err" => Err("no".into()),
        "skip" => {
            larder::dont_cache();
            Ok(1)
        }
        "invalidate" => {
            blocking::invalidate_tag("does").unwrap();
            Ok(1)
        }
        _ => Ok(1),
    }
}

/// One that waits until it is let through.
pub(crate) static OPEN: AtomicBool = AtomicBool::new(false);

#[cached(name = "seen.waits")]
pub(crate) async fn waits(_id: u64) -> u64 {
    while !OPEN.load(Ordering::SeqCst) {
        tokio::task::yield_now().await;
    }
    1
}

/// Polls it once.
pub(crate) fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> bool {
    future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_ready()
}

pub(crate) fn panics(work: impl FnOnce()) {
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).is_err());
}

/// A backend that can say that it has lost messages.
#[derive(Clone, Debug, Default)]
pub(crate) struct Forgetful {
    memory: SharedMemory,
    listeners: Arc<Mutex<Vec<ListenerHandle>>>,
}

impl Forgetful {
    pub(crate) fn lose_messages(&self) {
        let listeners = self.listeners.lock().unwrap().clone();
        listeners.iter().filter_map(ListenerHandle::upgrade).for_each(|listener| listener.doubt());
    }

    #[cfg(any(feature = "metrics", feature = "tracing"))]
    pub(crate) fn fail(&self, fails: bool) {
        self.memory.fail_with(fails.then_some(larder::ErrorKind::Unavailable));
    }
}

impl Backend for Forgetful {
    fn name(&self) -> &str {
        "forgetful"
    }
    fn read<'a>(&'a self, key: &'a EntryKey) -> BoxFuture<'a, Result<Reading, Error>> {
        self.memory.read(key)
    }
    fn lease<'a>(&'a self, key: &'a EntryKey, request: LeaseRequest<'a>) -> BoxFuture<'a, Result<LeaseAnswer, Error>> {
        self.memory.lease(key, request)
    }
    fn wait<'a>(&'a self, key: &'a EntryKey, busy: Busy) -> BoxFuture<'a, Result<(), Error>> {
        self.memory.wait(key, busy)
    }
    fn store<'a>(
        &'a self,
        key: &'a EntryKey,
        lease: Box<dyn Lease>,
        entry: Entry,
    ) -> BoxFuture<'a, Result<StoreAnswer, Error>> {
        self.memory.store(key, lease, entry)
    }
    fn invalidate<'a>(&'a self, tags: &'a [TagId]) -> BoxFuture<'a, Result<Stamp, Error>> {
        self.memory.invalidate(tags)
    }
    fn known_stamp(&self) -> Option<Stamp> {
        self.memory.known_stamp()
    }
    fn attach(&self, listener: ListenerHandle) {
        self.listeners.lock().unwrap().push(listener);
    }
    fn max_staleness(&self) -> Option<Duration> {
        Some(seconds(5))
    }
    fn close(&self) -> BoxFuture<'_, ()> {
        self.memory.close()
    }
}

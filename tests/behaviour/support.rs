//! What the tests share.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use larder::{Cache, Clock, FunctionStats, ManualClock};
use tokio::sync::Semaphore;

/// Counts how often a body ran.
pub(crate) struct Runs(AtomicUsize);

impl Runs {
    pub(crate) const fn new() -> Self {
        Self(AtomicUsize::new(0))
    }

    /// Said by the body. Returns how often it has run, this time included.
    pub(crate) fn add(&self) -> usize {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }

    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// A cache of its own.
pub(crate) fn cache() -> Cache {
    Cache::builder().build().unwrap()
}

/// A cache of its own, for which time passes when the test says so.
pub(crate) fn timed() -> (Cache, ManualClock) {
    let clock = Clock::manual();
    (Cache::builder().clock(&clock).build().unwrap(), clock)
}

/// Waits for a future in a test that isn't async.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

pub(crate) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// What the cache did for this function.
pub(crate) fn stats_of(cache: &Cache, function: &str) -> FunctionStats {
    let stats = cache.stats();
    stats.function(function).cloned().unwrap_or_else(|| panic!("no `{function}` in\n{stats}"))
}

pub(crate) use larder_testbed::alone;

/// Holds runs back until they are let through, and says when they have come to it.
#[derive(Debug)]
pub(crate) struct Gate {
    arrived: Semaphore,
    open: Semaphore,
}

impl Gate {
    pub(crate) const fn new() -> Self {
        Self { arrived: Semaphore::const_new(0), open: Semaphore::const_new(0) }
    }

    /// In a run: waits until let through.
    pub(crate) async fn pass(&self) {
        self.arrived.add_permits(1);
        self.open.acquire().await.unwrap().forget();
    }

    /// In the test: waits until a run has come to the gate.
    pub(crate) async fn arrival(&self) {
        self.arrived.acquire().await.unwrap().forget();
    }

    /// Lets this many through.
    pub(crate) fn open(&self, runs: usize) {
        self.open.add_permits(runs);
    }
}

/// Gives way to runs in the background until this is so.
pub(crate) async fn until(so: impl Fn() -> bool) {
    while !so() {
        tokio::time::sleep(millis(1)).await;
    }
}

/// The same on a plain thread.
pub(crate) fn until_sync(so: impl Fn() -> bool) {
    while !so() {
        std::thread::sleep(millis(1));
    }
}

/// Two caches over one backend, all with one clock: two processes, as far as larder can tell.
#[cfg(feature = "msgpack")]
pub(crate) fn two_processes() -> (Cache, Cache, ManualClock) {
    let clock = Clock::manual();
    let shared = larder::reference::SharedMemory::with_clock(&clock);
    let process = || Cache::builder().clock(&clock).backend(shared.another_process()).build().unwrap();
    (process(), process(), clock)
}

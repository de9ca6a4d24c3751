//! What the tests share.

use std::env;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use larder::{Cache, Clock, FunctionStats, ManualClock};

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

/// Runs the test of this name in a process of its own. True in that process; false in this one, once that is done.
pub(crate) fn alone(test: &str) -> bool {
    const NAME: &str = "LARDER_TEST_ALONE";
    if env::var(NAME).is_ok_and(|name| name == test) {
        return true;
    }
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", test, "--test-threads=1"])
        .env(NAME, test)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{test}: {said}");
    false
}

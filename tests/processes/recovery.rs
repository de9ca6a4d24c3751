//! What holds while something is wrong, and what holds again when it is over.

use std::time::{Duration, Instant};

use crate::support::{MEMORY, Options, Worker, eventually};

/// Half a second for Redis; and what a busy machine needs.
pub const IMPATIENT: Options = Options { timeout: 500, max_staleness: 1_000, lease: 2_000, ..MEMORY };
pub const SOON: Duration = Duration::from_secs(8);

/// Asks something new, which can't be had without a run.
pub fn answers(worker: &Worker, what: &str) {
    let asked = Instant::now();
    worker.miss(what, "value");
    assert!(asked.elapsed() < SOON, "{what} took {:?}", asked.elapsed());
}

/// What one computes the other finds, and what one invalidates the other runs again.
pub fn is_as_before(a: &Worker, b: &Worker, keys: usize) {
    a.serves("a's");
    b.serves("b's");
    let mut what = String::new();
    let mut next = keys;
    eventually("they share again", || {
        what = format!("item {next}");
        next += 1;
        a.ask(&what) == "a's" && b.ask(&what) == "a's"
    });
    eventually("invalidations are recorded", || a.try_invalidate(&what) == "done");
    b.serves("b's last");
    eventually("b hears of them", || b.ask(&what) == "b's last");
    for worker in [a, b] {
        worker.holds();
    }
}

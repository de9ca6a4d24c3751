//! The runs under way that hold leases, and the thread that looks which of them are dead.
//!
//! A run under way is *dead* once something that it depends on so far was invalidated: its result is of use to nobody but
//! its own callers, and is stored nowhere. From then on others may run the body, in this process and elsewhere, so its
//! leases are given up at once. Whoever invalidates doesn't look for such runs, of which there may be many: a thread of
//! this module does.
//!
//! # Invariants
//!
//! 1. A run is watched first and then found to be live or dead; an invalidation marks its tags first and then asks for
//!    the look. With a fence between the two on both sides, at least one of them sees the other.
//! 2. What a run comes to depend on later, and is dead already, asks for a look as well: see `context::run_frame`.
//! 3. No lock of this module is held while a run is looked at: a backend may do anything then.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering, fence};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::freshness::invalidation::Freshness;
use crate::tag::TagId;
use crate::util::sync::lock;

/// A run under way that holds leases.
pub(crate) trait Watched: Debug + Send + Sync {
    /// Gives the leases up if the run is dead.
    fn look(&self);
}

/// All of the process, by the numbers of the runs: what a run depends on may be of another cache.
static WATCHED: Mutex<BTreeMap<u64, Arc<dyn Watched>>> = Mutex::new(BTreeMap::new());
/// How many.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Has a run watched while it lives.
#[derive(Debug)]
pub(crate) struct Watch(u64);

impl Watch {
    /// `number` is the run's, which no other one has.
    pub(crate) fn new(number: u64, run: Arc<dyn Watched>) -> Self {
        COUNT.fetch_add(1, Ordering::Relaxed);
        let before = lock(&WATCHED).insert(number, run);
        drop(before);
        Self(number)
    }

    #[cfg(test)]
    pub(crate) fn is_there(number: u64) -> bool {
        lock(&WATCHED).contains_key(&number)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let watched = lock(&WATCHED).remove(&self.0);
        COUNT.fetch_sub(1, Ordering::Relaxed);
        drop(watched); // after the lock
    }
}

/// Invalidates in memory, and has runs under way that depend on one of the tags give their leases up.
pub(crate) fn invalidate(freshness: &Freshness, ids: &[TagId]) {
    freshness.invalidate(ids);
    look_soon();
}

/// Something was invalidated, or a run has come to depend on what was: has the runs under way looked at. Takes constant
/// time.
pub(crate) fn look_soon() {
    fence(Ordering::SeqCst);
    if COUNT.load(Ordering::Relaxed) > 0 && !LOOKER.ask() {
        look();
    }
}

/// Gives up the leases of all runs that are dead.
fn look() {
    let watched: Vec<_> = lock(&WATCHED).values().cloned().collect();
    for watched in &watched {
        // A backend that panics is its own runs' trouble.
        let _ = catch_unwind(AssertUnwindSafe(|| watched.look()));
    }
}

/// The thread that looks, and whoever asks it to. It ends when it wasn't asked for a while.
struct Looker {
    state: Mutex<Asked>,
    asked: Condvar,
}

struct Asked {
    is_due: bool,
    /// The process whose thread it is: a fork has none.
    thread: Option<u32>,
}

static LOOKER: Looker = Looker { state: Mutex::new(Asked { is_due: false, thread: None }), asked: Condvar::new() };

/// How long the thread stays when nobody asks.
const IDLE: Duration = Duration::from_secs(5);

/// After a look it rests for so many times as long as that took, but not for longer than that: so invalidations in a row
/// don't keep the processor busy, however many runs there are.
const REST: (u32, Duration) = (8, Duration::from_millis(50));

impl Looker {
    /// `false` if there can be no thread.
    fn ask(&'static self) -> bool {
        let process = std::process::id();
        let mut state = lock(&self.state);
        state.is_due = true;
        if state.thread == Some(process) {
            self.asked.notify_one();
            return true;
        }
        let spawned = std::thread::Builder::new().name("larder-leases".into()).spawn(|| self.work()).is_ok();
        state.thread = spawned.then_some(process);
        spawned
    }

    fn work(&self) {
        while self.is_asked() {
            let began = Instant::now();
            look();
            let (times, longest) = REST;
            std::thread::sleep(began.elapsed().saturating_mul(times).min(longest));
        }
    }

    /// Waits until it is asked. `false` once the thread is to end.
    fn is_asked(&self) -> bool {
        let idle = |state: &mut Asked| !state.is_due;
        let state = lock(&self.state);
        let waited = self.asked.wait_timeout_while(state, IDLE, idle);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if !std::mem::take(&mut state.is_due) {
            state.thread = None;
            return false;
        }
        true
    }
}

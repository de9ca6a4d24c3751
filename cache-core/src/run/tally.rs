//! What becomes of a call and of its run: noted on the way, and counted once, when the call ends, however it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use super::call::{Call, Origin};
use super::one_run::Run;
use crate::context::Mode;
use crate::engine::report::report;
use crate::rt::clock::to_nanos;
use crate::stats::kinds::{CallResult, MissReason, RunOutcome, RunTrigger, StoreOutcome, WaitFor};
use crate::stats::report::ReportKind;

/// Of one call. Kinds are kept as their numbers, so that those who only have a look at the call can note them.
#[derive(Debug)]
pub(crate) struct Tally {
    result: AtomicU8,
    missed: AtomicU8,
    is_missed: AtomicU8,
    run: AtomicU8,
    store: AtomicU8,
    /// How long the body took, in nanoseconds.
    took: AtomicU64,
    /// Of a background run: where the caller who waits for it learns what becomes of it.
    waiting: Option<Arc<Heard>>,
}

/// What a caller learns of a background run that it waits for.
#[derive(Debug)]
pub(crate) struct Heard(AtomicU8);

impl Default for Heard {
    fn default() -> Self {
        Self(AtomicU8::new(NONE))
    }
}

/// No kind has this number.
const NONE: u8 = u8::MAX;
/// Nor this: what ends is no call of the function.
const NO_CALL: u8 = u8::MAX - 1;

fn get<K: Copy>(all: &[K], number: &AtomicU8) -> Option<K> {
    all.get(usize::from(number.load(Ordering::Relaxed))).copied()
}

impl Tally {
    /// `missed` is why memory had no answer, which is the reason of the miss unless a backend has a better one.
    pub(crate) fn new(missed: MissReason) -> Self {
        Self {
            result: AtomicU8::new(NONE),
            missed: AtomicU8::new(missed as u8),
            is_missed: AtomicU8::new(0),
            run: AtomicU8::new(NONE),
            store: AtomicU8::new(NONE),
            took: AtomicU64::new(0),
            waiting: None,
        }
    }

    /// Of a run in the background for such a call, for which the caller waits or doesn't.
    pub(crate) fn of_background(&self, waiting: Option<Arc<Heard>>) -> Self {
        Self { waiting, ..Self::new(self.reason()) }
    }

    fn reason(&self) -> MissReason {
        get(MissReason::ALL, &self.missed).unwrap_or(MissReason::Absent)
    }

    fn set_result(&self, number: u8) {
        self.result.store(number, Ordering::Relaxed);
        if let Some(waiting) = &self.waiting {
            waiting.0.store(number, Ordering::Relaxed);
        }
    }
}

impl Call {
    /// Notes how the call is answered. What comes later counts, but that an old value answers it stays.
    pub(crate) fn answered(&self, result: CallResult) {
        let is_old = self.tally.result.load(Ordering::Relaxed) == CallResult::Stale as u8;
        if !(is_old && matches!(result, CallResult::Memory | CallResult::Backend)) {
            self.tally.set_result(result as u8);
        }
    }

    /// Memory answers, which it didn't at once; counted.
    pub(crate) fn answered_from_memory(&self) {
        self.counters().late_memory_hits.one();
        self.answered(CallResult::Memory);
    }

    /// The answer is that of a background run.
    pub(crate) fn answered_as(&self, heard: &Heard) {
        self.tally.set_result(heard.0.load(Ordering::Relaxed));
    }

    /// The answer is of no use: what comes later counts.
    pub(crate) fn unanswered(&self) {
        self.tally.set_result(NONE);
    }

    /// It isn't counted as a call: it is one of a helper's.
    pub(crate) fn is_no_call(&self) {
        self.tally.set_result(NO_CALL);
    }

    /// Why no layer can answer it, as far as is known by now.
    pub(crate) fn missed_because(&self, reason: MissReason) {
        self.tally.missed.store(reason as u8, Ordering::Relaxed);
    }

    /// No layer could answer it; counted.
    pub(super) fn count_miss(&self) {
        self.tally.is_missed.store(1, Ordering::Relaxed);
        self.counters().misses.one(self.tally.reason());
    }

    /// The body of a run begins; counted.
    pub(super) fn run_begins(&self, run: &Run) {
        self.counters().runs.one();
        let trigger = if !run.leads() {
            RunTrigger::Uncached
        } else if self.request.mode == Mode::Refreshed {
            RunTrigger::Refresh
        } else if self.request.origin.in_background() {
            RunTrigger::Background
        } else {
            RunTrigger::Call
        };
        self.tally.run.store(trigger as u8, Ordering::Relaxed);
    }

    /// The body has returned.
    pub(super) fn body_took(&self, took: Duration) {
        self.tally.took.store(to_nanos(took), Ordering::Relaxed);
    }

    /// What it returned is an error that isn't stored, or a value; counted.
    pub(super) fn run_ends(&self, outcome: RunOutcome) {
        let Some(trigger) = get(RunTrigger::ALL, &self.tally.run) else { return };
        self.tally.run.store(NONE, Ordering::Relaxed);
        let took = self.tally.took.load(Ordering::Relaxed);
        self.target.function.run_ended(trigger, outcome, Some(took));
        self.answered(match outcome {
            RunOutcome::Failed => CallResult::Failed,
            _ if trigger == RunTrigger::Uncached => CallResult::Uncached,
            _ => CallResult::Ran,
        });
    }

    /// What becomes of the value that its run returned. What comes later counts.
    pub(crate) fn stores(&self, outcome: StoreOutcome) {
        self.tally.store.store(outcome as u8, Ordering::Relaxed);
    }

    /// The `Clone` of a result, or of a failure, panicked; counted.
    pub(super) fn clone_panicked(&self) {
        self.counters().panics.one();
        let of = self.target.codec.map_or("a result", |of| (of.type_name)());
        report(&self.target.function, ReportKind::Panicked, of);
    }

    /// It has waited for so long; counted.
    pub(crate) fn waited(&self, what: WaitFor, time: Duration) {
        if self.request.origin.counts() {
            self.counters().waits(what).add(time);
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let Self { target, request, tally, span, .. } = self;
        let function = &target.function;
        if let Some(trigger) = get(RunTrigger::ALL, &tally.run) {
            let panics = std::thread::panicking();
            let outcome = if panics { RunOutcome::Panicked } else { RunOutcome::Cancelled };
            span.within(|| function.run_ended(trigger, outcome, None));
        }
        if let Some(outcome) = get(StoreOutcome::ALL, &tally.store) {
            function.value_stored(span, outcome);
        }
        let is_call = matches!(request.origin, Origin::Caller { .. });
        if is_call && tally.result.load(Ordering::Relaxed) != NO_CALL {
            let unanswered = || if std::thread::panicking() { CallResult::Panicked } else { CallResult::Cancelled };
            let result = get(CallResult::ALL, &tally.result).unwrap_or_else(unanswered);
            let is_missed = tally.is_missed.load(Ordering::Relaxed) != 0;
            function.call_ended(span, result, is_missed.then(|| tally.reason()));
        } else {
            function.wake_listeners();
        }
    }
}

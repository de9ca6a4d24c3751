//! Counts and times the operations of a backend.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use crate::events::ledger::Ledger;
use crate::stats::kinds::{BackendOperation, BackendOutcome};
use crate::stats::of_cache::{BackendCounters, BackendStats};

/// What is known of a backend by how its operations end.
#[derive(Debug)]
pub(crate) struct Measured {
    name: String,
    counters: BackendCounters,
    /// Of the cache that uses it, once that is built.
    ledger: OnceLock<Arc<Ledger>>,
}

impl Measured {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), counters: BackendCounters::default(), ledger: OnceLock::new() }
    }

    /// From here on listeners of the cache are told.
    pub(crate) fn tell(&self, ledger: &Arc<Ledger>) {
        let _ = self.ledger.set(Arc::clone(ledger));
    }

    pub(super) fn begin(&self, operation: BackendOperation) -> Operation<'_> {
        Operation { measured: self, operation, began: Instant::now(), has_ended: false }
    }

    pub(crate) fn snapshot(&self) -> BackendStats {
        self.counters.snapshot(&self.name)
    }
}

/// An operation under way. Dropped before its end, it is cancelled.
#[derive(Debug)]
pub(super) struct Operation<'a> {
    measured: &'a Measured,
    operation: BackendOperation,
    began: Instant,
    has_ended: bool,
}

impl Operation<'_> {
    pub(super) fn end(&mut self, outcome: BackendOutcome) {
        if std::mem::replace(&mut self.has_ended, true) {
            return;
        }
        let Measured { name, counters, ledger } = self.measured;
        let took = self.began.elapsed();
        match ledger.get() {
            Some(ledger) => ledger.operated(name, counters, self.operation, outcome, took),
            // No cache, so nobody listens.
            None => {
                counters.ended(self.operation, outcome, took);
            }
        }
    }
}

impl Drop for Operation<'_> {
    fn drop(&mut self) {
        self.end(BackendOutcome::Cancelled);
    }
}

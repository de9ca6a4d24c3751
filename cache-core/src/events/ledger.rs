//! What is counted and told of a cache itself: invalidations and what it hears from backends.

use std::sync::Arc;
use std::time::Duration;

use super::hub::Hub;
use super::{BackendEvent, EventKind, InvalidationEvent};
use crate::stats::kinds::{BackendOperation, BackendOutcome, InvalidationBy, InvalidationOrigin, InvalidationOutcome};
use crate::stats::of_cache::{BackendCounters, CacheCounters};
use crate::tag::TagId;
use crate::trace;

/// Of one cache.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) counters: CacheCounters,
    pub(crate) hub: Arc<Hub>,
}

impl Ledger {
    /// Not for where a lock is held.
    pub(crate) fn invalidated(
        &self,
        by: InvalidationBy,
        origin: InvalidationOrigin,
        outcome: InvalidationOutcome,
        tags: &[TagId],
    ) {
        self.counters.invalidated(by, origin, outcome);
        trace::invalidated(by, origin, outcome, tags.len());
        if self.hub.is_heard() {
            let tags = tags.to_vec();
            self.hub.tell(EventKind::Invalidation(InvalidationEvent { by, origin, outcome, tags }));
        }
    }

    /// The same.
    pub(crate) fn missed_messages(&self) {
        self.counters.gaps.one();
        trace::missed_messages();
        if self.hub.is_heard() {
            self.hub.tell(EventKind::Gap);
        }
    }

    /// The same.
    pub(crate) fn operated(
        &self,
        backend: &str,
        counters: &BackendCounters,
        operation: BackendOperation,
        outcome: BackendOutcome,
        took: Duration,
    ) {
        trace::backend(backend, operation, counters.ended(operation, outcome, took));
        if self.hub.is_heard() {
            let backend = backend.to_owned();
            self.hub.tell(EventKind::Backend(BackendEvent { backend, operation, outcome, took }));
        }
    }
}

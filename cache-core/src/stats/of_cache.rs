//! What is counted for a whole cache, and for each of its backends.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;

use super::Counter;
use super::histogram::{Durations, Histogram};
use super::kinds::{
    BackendOperation, BackendOutcome, InvalidationBy, InvalidationOrigin, InvalidationOutcome, InvalidationOutcomes,
    LiveInvalidationOutcomes,
};

const KINDS: usize = InvalidationBy::ALL.len();

/// The live counters of a cache that aren't those of a function.
#[derive(Debug, Default)]
pub(crate) struct CacheCounters {
    invalidations: [[LiveInvalidationOutcomes; KINDS]; InvalidationOrigin::ALL.len()],
    /// Times at which a backend said that messages may have been lost.
    pub(crate) gaps: Counter,
}

impl CacheCounters {
    pub(crate) fn invalidated(&self, by: InvalidationBy, origin: InvalidationOrigin, outcome: InvalidationOutcome) {
        if let Some(outcomes) = self.invalidations.get(origin as usize).and_then(|kinds| kinds.get(by as usize)) {
            outcomes.one(outcome);
        }
    }

    /// Those that there were.
    pub(crate) fn invalidations(&self) -> Vec<Invalidations> {
        let mut found = Vec::new();
        for (origin, kinds) in InvalidationOrigin::ALL.iter().zip(&self.invalidations) {
            for (by, outcomes) in InvalidationBy::ALL.iter().zip(kinds) {
                let outcomes = outcomes.snapshot();
                if outcomes.total() > 0 {
                    found.push(Invalidations { by: *by, origin: *origin, outcomes });
                }
            }
        }
        found
    }
}

/// Invalidations of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Invalidations {
    /// What they named.
    pub by: InvalidationBy,
    /// Who made them.
    pub origin: InvalidationOrigin,
    /// How they ended.
    pub outcomes: InvalidationOutcomes,
}

/// The live counters of a backend.
#[derive(Debug, Default)]
pub(crate) struct BackendCounters {
    times: [[Histogram; BackendOutcome::ALL.len()]; BackendOperation::ALL.len()],
    /// Operations whose last attempt failed, a bit for each.
    failing: AtomicU64,
    /// Whether anything ever succeeded.
    is_known: AtomicBool,
}

/// What an operation's end changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// It has answered for the first time.
    Connects,
    /// The backend had not been known to fail, and does now.
    Begins,
    /// The last of what failed has succeeded.
    Ends,
    Nothing,
}

impl BackendCounters {
    pub(crate) fn ended(&self, operation: BackendOperation, outcome: BackendOutcome, took: Duration) -> Change {
        if let Some(times) = self.times.get(operation as usize).and_then(|times| times.get(outcome as usize)) {
            times.add(took);
        }
        let bit = 1 << operation as u64;
        let (before, after) = match outcome {
            BackendOutcome::Cancelled => return Change::Nothing,
            BackendOutcome::Error => {
                let before = self.failing.fetch_or(bit, Ordering::AcqRel);
                (before, before | bit)
            }
            // The usual case writes nothing.
            BackendOutcome::Ok if self.failing.load(Ordering::Acquire) == 0 => {
                let is_first = !self.is_known.load(Ordering::Relaxed) && !self.is_known.swap(true, Ordering::Relaxed);
                return if is_first { Change::Connects } else { Change::Nothing };
            }
            BackendOutcome::Ok => {
                // Whoever can be read from can be waited for: nobody may be waiting any more.
                let cleared = if operation == BackendOperation::Read { bit | WAIT } else { bit };
                let before = self.failing.fetch_and(!cleared, Ordering::AcqRel);
                (before, before & !cleared)
            }
        };
        match (before == 0, after == 0) {
            (true, false) => Change::Begins,
            (false, true) => Change::Ends,
            _ => Change::Nothing,
        }
    }

    /// Whether its last operations succeeded; `None` if there were none.
    pub(crate) fn is_up(&self) -> Option<bool> {
        let is_failing = self.failing.load(Ordering::Acquire) != 0;
        (is_failing || self.is_known.load(Ordering::Relaxed)).then_some(!is_failing)
    }

    /// Those that there were.
    pub(crate) fn snapshot(&self, backend: &str) -> BackendStats {
        let mut operations = Vec::new();
        for (operation, outcomes) in BackendOperation::ALL.iter().zip(&self.times) {
            for (outcome, times) in BackendOutcome::ALL.iter().zip(outcomes) {
                let times = times.snapshot();
                if times.count > 0 {
                    operations.push(OperationStats { operation: *operation, outcome: *outcome, times });
                }
            }
        }
        BackendStats { backend: backend.to_owned(), up: self.is_up(), operations }
    }
}

const WAIT: u64 = 1 << BackendOperation::Wait as u64;

/// What a backend did for a cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BackendStats {
    /// The backend's name.
    pub backend: String,
    /// Whether the last operation of each kind succeeded. `None` if none has ended yet.
    pub up: Option<bool>,
    /// Its operations, by kind and by how they ended. What never occurred is left out.
    pub operations: Vec<OperationStats>,
}

/// Operations of one kind that ended in the same way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct OperationStats {
    /// The kind.
    pub operation: BackendOperation,
    /// How they ended.
    pub outcome: BackendOutcome,
    /// How many there were, and how long they took.
    pub times: Durations,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_episode_begins_once_and_ends_when_all_that_failed_succeeds() {
        let counters = BackendCounters::default();
        let ended = |operation, outcome| counters.ended(operation, outcome, Duration::ZERO);
        use BackendOperation::{Read, Store, Wait};
        use BackendOutcome::{Cancelled, Error, Ok};
        assert_eq!(counters.is_up(), None);
        assert_eq!((ended(Read, Ok), ended(Read, Ok)), (Change::Connects, Change::Nothing));
        assert_eq!(ended(Read, Error), Change::Begins);
        assert_eq!(ended(Store, Error), Change::Nothing);
        assert_eq!(ended(Wait, Error), Change::Nothing);
        assert_eq!(ended(Store, Cancelled), Change::Nothing);
        assert_eq!(ended(Read, Ok), Change::Nothing, "stores still fail");
        assert_eq!(counters.is_up(), Some(false));
        assert_eq!(ended(Store, Ok), Change::Ends);
        assert_eq!(counters.is_up(), Some(true));
    }
}

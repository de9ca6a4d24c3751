//! The outcome of a run, as it is shared with the calls that waited for it.

use std::any::Any;
use std::sync::Arc;

use crate::engine::progress::Progress;
use crate::entry::CachedEntry;
use crate::flight::per_key::Leader;
use crate::flight::single::Flight;
use crate::freshness::dependencies::Dependencies;
use crate::key::call_key::CallKey;
use crate::trust::deadline::TrustDeadline;

/// How a flight ends, shared by all who waited.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) result: RunResult,
    /// In this process's order, taken before the data was read.
    pub(crate) stamp: u64,
    pub(crate) trust_deadline: TrustDeadline,
}

#[derive(Clone, Debug)]
pub(crate) enum RunResult {
    Value(Arc<CachedEntry>),
    Failure { shared: Arc<dyn Any + Send + Sync>, dependencies: Dependencies, uncached: bool },
}

impl RunResult {
    pub(crate) fn dependencies(&self) -> (&Dependencies, bool) {
        match self {
            Self::Value(entry) => (entry.meta.dependencies(), entry.meta.is_uncached()),
            Self::Failure { dependencies, uncached, .. } => (dependencies, *uncached),
        }
    }
}

/// A flight of calls.
pub(crate) type CallFlight = Flight<Outcome, Progress>;
pub(crate) type CallLeader = Leader<CallKey, Outcome, Progress>;

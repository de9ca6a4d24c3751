//! How a run ends for everybody who waited for it.

use std::any::Any;
use std::sync::Arc;

use crate::engine::progress::Progress;
use crate::entry::Stored;
use crate::flight::per_key::Leader;
use crate::flight::single::Flight;
use crate::freshness::dependencies::Lineage;
use crate::key::call_key::CallKey;
use crate::trust::deadline::Assured;

/// How a flight ends, shared by all who waited.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) result: RunResult,
    /// In this process's order, taken before the data was read.
    pub(crate) stamp: u64,
    pub(crate) assured: Assured,
}

#[derive(Clone, Debug)]
pub(crate) enum RunResult {
    Value(Arc<Stored>),
    Failure { shared: Arc<dyn Any + Send + Sync>, lineage: Lineage, uncached: bool },
}

impl RunResult {
    pub(crate) fn lineage(&self) -> (&Lineage, bool) {
        match self {
            Self::Value(entry) => (entry.meta.lineage(), entry.meta.is_uncached()),
            Self::Failure { lineage, uncached, .. } => (lineage, *uncached),
        }
    }
}

/// A flight of calls.
pub(crate) type CallFlight = Flight<Outcome, Progress>;
pub(crate) type CallLeader = Leader<CallKey, Outcome, Progress>;

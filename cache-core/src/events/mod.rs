//! What is told to listeners: events as users see them, and who has subscribed.
//!
//! Nothing of this is done while nobody listens: whoever has something to tell looks at one flag first.

pub(crate) mod hub;
pub(crate) mod ledger;
mod receiver;
pub(crate) mod residents;

use std::time::{Duration, SystemTime};

pub use self::receiver::{Events, RecvError};
use crate::stats::kinds::{
    BackendOperation, BackendOutcome, CallResult, EvictionCause, InvalidationBy, InvalidationOrigin,
    InvalidationOutcome, MissReason, RunOutcome, RunTrigger, StoreOutcome,
};
use crate::tag::TagId;

/// Something that happened in a cache; see [`Cache::events`](crate::Cache::events). It has names of functions and backends,
/// and no arguments, values or keys.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Event {
    /// When it was told.
    pub at: SystemTime,
    /// What happened.
    pub kind: EventKind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum EventKind {
    /// A call ended that memory didn't answer at once. Hits in memory are counted in the [statistics](crate::Stats), and no
    /// events.
    Call(CallEvent),
    /// A run of a body ended.
    Run(RunEvent),
    /// It was decided what becomes of a value that a run returned.
    Store(StoreEvent),
    /// An entry left memory, other than by being replaced.
    Eviction(EvictionEvent),
    /// Something was invalidated.
    Invalidation(InvalidationEvent),
    /// An operation of a backend ended.
    Backend(BackendEvent),
    /// A backend has lost messages about invalidations, so what was in memory is no longer used.
    Gap,
}

/// See [`EventKind::Call`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct CallEvent {
    /// The function: its `name` option, or its path.
    pub function: &'static str,
    /// How the call ended.
    pub result: CallResult,
    /// Why no layer could answer it, if that is how it was.
    pub missed: Option<MissReason>,
}

/// See [`EventKind::Run`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RunEvent {
    /// The function: its `name` option, or its path.
    pub function: &'static str,
    /// What it was for.
    pub trigger: RunTrigger,
    /// How it ended.
    pub outcome: RunOutcome,
    /// How long the body took; `None` if it didn't end by itself.
    pub took: Option<Duration>,
}

/// See [`EventKind::Store`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct StoreEvent {
    /// The function: its `name` option, or its path.
    pub function: &'static str,
    /// What became of the value.
    pub outcome: StoreOutcome,
}

/// See [`EventKind::Eviction`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct EvictionEvent {
    /// The function: its `name` option, or its path.
    pub function: &'static str,
    /// Why the entry left.
    pub cause: EvictionCause,
}

/// See [`EventKind::Invalidation`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct InvalidationEvent {
    /// What it named.
    pub by: InvalidationBy,
    /// Who made it.
    pub origin: InvalidationOrigin,
    /// How it ended.
    pub outcome: InvalidationOutcome,
    /// What was invalidated. Keys and functions are tags too.
    pub tags: Vec<TagId>,
}

/// See [`EventKind::Backend`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct BackendEvent {
    /// The backend's name.
    pub backend: String,
    /// What it was asked for.
    pub operation: BackendOperation,
    /// How that ended.
    pub outcome: BackendOutcome,
    /// How long it took.
    pub took: Duration,
}

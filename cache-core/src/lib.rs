//! The engine of [larder](https://docs.rs/larder): depend on `larder`, unless you write a backend.
//!
//! The folders are layers: each imports only those above it in this list, which `tests/layers` checks.
//!
//! | folder | what it is |
//! |---|---|
//! | `error`, `tag`, `scope` | the vocabulary of users |
//! | `util`, `rt` | tools that know nothing of caches; clock, timers and threads |
//! | `stats`, [`codec`] | counters and reports; values as bytes |
//! | `trace`, `events` | what the `tracing` facade and listeners are told |
//! | `flight` | one run per key, and who waits for whom |
//! | [`backend`], [`wire`], [`mod@reference`], [`conformance`] | what a layer shared by processes must do, its bytes, one in memory, and what each has to pass |
//! | `freshness`, `trust` | which entries an invalidation makes worthless; how far backends vouch for the rest |
//! | [`key`] | what makes calls differ |
//! | `entry` | an entry in memory, and how it ages |
//! | `thread_cache` | what each thread remembers of the memory layer |
//! | `context` | what a call inherits, and what a run collects |
//! | `memory` | the memory layer |
//! | `engine`, `cache` | what a cache keeps for its functions; the handle that users hold |
//! | `metrics` | the statistics, for the `metrics` facade |
//! | `run` | the pipeline of a call: the page to read first |
//! | `macro_support` | what the expansion of `#[cached]` calls |

// docs.rs shows which feature each item needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod backend;
mod cache;
pub mod codec;
pub mod conformance;
mod context;
mod engine;
mod entry;
mod error;
mod events;
mod flight;
mod freshness;
pub mod key;
mod memory;
#[cfg(feature = "metrics")]
pub mod metrics;
#[doc(hidden)]
pub mod operator;
pub mod reference;
mod rt;
mod run;
mod scope;
mod stats;
mod tag;
mod thread_cache;
mod trace;
mod trust;
mod util;
pub mod wire;

#[doc(hidden)]
#[path = "macro_support/mod.rs"]
pub mod __private;

pub use self::__private::shape::SharedFailure;
pub use self::cache::ambient::{blocking, events, invalidate_tag, invalidate_tags, stats};
pub use self::cache::at_least::{at_least, at_least_sync};
pub use self::cache::invalidated::Invalidated;
pub use self::cache::pending::Pending;
pub use self::cache::writes::{Hold, StrictWriting, Writing, hold, writing};
pub use self::cache::{Cache, CacheBuilder, reset};
pub use self::context::{
    Disabled, Observed, SeenTag, SeenTags, Source, add_tag, all_scopes, all_scopes_sync, carry, carry_sync, disable,
    dont_cache, observe, observe_sync, refreshing, refreshing_sync, scope, set_ttl, with_scope, with_scope_sync,
    without_cache, without_cache_sync,
};
pub use self::error::{Error, ErrorKind};
pub use self::events::{
    BackendEvent, CallEvent, Event, EventKind, Events, EvictionEvent, InvalidationEvent, RecvError, RunEvent,
    StoreEvent,
};
#[cfg(feature = "memory")]
pub use self::memory::Memory;
pub use self::rt::clock::{Clock, ManualClock};
/// For backends, whose callers are on any runtime or none.
#[doc(hidden)]
pub use self::rt::timer::with_timeout as __with_timeout;
pub use self::run::explain::{Explanation, Finding};
pub use self::scope::Scope;
pub use self::stats::report::{Report, ReportKind};
pub use self::stats::{FunctionStats, Stats};
/// What the [statistics](Stats) and the [events](Event) tell apart.
pub mod statistics {
    pub use crate::stats::histogram::Durations;
    pub use crate::stats::kinds::{
        BackendOperation, BackendOutcome, CallResult, Calls, EvictionCause, Evictions, InvalidationBy,
        InvalidationOrigin, InvalidationOutcome, InvalidationOutcomes, MissReason, Misses, RunOutcome, RunOutcomes,
        RunTrigger, Runs, StoreOutcome, Stores, WaitFor,
    };
    pub use crate::stats::of_cache::{BackendStats, Invalidations, OperationStats};
}
pub use self::tag::{IntoTag, Tag};

//! What can be seen of a cache: statistics, events, metrics and traces, each told apart and counted once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
// Options take closures, also where a path would do.
#![allow(clippy::redundant_closure_for_method_calls, reason = "it is what users write")]

mod events;
#[cfg(feature = "metrics")]
mod metrics;
mod statistics;
mod sums;
mod support;
#[cfg(feature = "tracing")]
mod traces;

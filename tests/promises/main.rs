//! One file per promise of the README, each with what would break it: invalidation between read and store, cancel,
//! panic, recursion, several caches that stand for several processes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(missing_docs, unreachable_pub, clippy::needless_pass_by_value, reason = "nobody uses a test from outside")]

mod support;

mod bounded;
mod builds;
mod cascade;
mod chain;
mod constant_invalidation;
mod dead_runs;
mod fail_closed;
mod failures;
mod fresh;
mod model;
mod near;
mod never_worse;
mod no_mixups;
mod once;
mod own_writes;
mod panicking_backend;
mod panics;
mod recursion;
mod replacing;
mod stale_runs;
mod waiting;

//! Several operating-system processes on a real Redis server. Each is this test binary once more, as
//! [`process::serve`](process); the tests tell it by lines what to call, and end its runs when they want to.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "processes talk to the tests by their stdout")]
#![allow(missing_docs, unreachable_pub, reason = "nobody uses a test from outside")]

mod process;
mod recovery;
mod support;

mod at_least;
mod background;
mod caches;
mod cascade;
mod chain;
mod cluster;
#[cfg(feature = "json")]
mod codec;
mod crosswise;
mod dead_runs;
mod faults;
mod fresh;
mod helpers;
mod idle;
mod lost_keys;
mod once;
mod programs;
mod schedule;
mod succession;
mod writes;

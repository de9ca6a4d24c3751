//! What the README and the guides say, where a block in them would be too long to show it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod errors;
mod links;
mod moving;
mod production;
mod readme;
mod support;
mod troubleshooting;
mod types;

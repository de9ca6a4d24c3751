//! What larder's tests, its stale-read checker and its web example are run on: real `redis-server`s on free loopback
//! ports, and processes that are driven over their stdin and stdout. Everything started here is stopped by its process
//! id when it is dropped.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't be set up has failed")]

mod process;
mod raw;
mod server;
mod signal;

pub use process::Process;
pub use raw::{Raw, Value};
pub use server::{Server, free_port};
pub use signal::{kill, resume, stop};

//! What larder's tests, its stale-read checker and its web example are run on: real servers on free loopback ports,
//! alone, in clusters and behind sentinels; a proxy that harms connections; processes that are
//! driven over their stdin and stdout; and what tests write in the same way. Everything started
//! here is stopped by its process id when it is dropped. `LARDER_REDIS_SERVER` names another program than `redis-server`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't be set up has failed")]

mod alone;
mod clock;
mod deployments;
mod frame;
mod left_to;
mod process;
mod proxy;
mod raw;
mod server;
mod signal;

pub use alone::alone;
pub use deployments::{Cluster, Sentinel};
pub use process::Process;
pub use proxy::{Fate, Kind, Proxy};
pub use raw::{Raw, Value};
pub use server::{Server, free_port, program, version};
pub use signal::{kill, resume, stop};

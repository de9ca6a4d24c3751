//! The Redis layer on real servers: what a hit costs beside a plain `GET` and the peers' hits, how soon another process is
//! woken, how often a cold key runs, what invalidating and churn cost.
//!
//! `cargo bench -p larder-benches --bench redis [-- PATTERN]` prints the table of all of it. It starts and stops its own
//! servers (`redis-server`, or what `LARDER_REDIS_SERVER` names) and processes (itself once more).

pub mod churn;
pub mod crowd;
pub mod invalidation;
pub mod process;
pub mod throughput;
pub mod wake;

use std::time::Duration;

use larder::{Cache, Redis};
use larder_testbed::{Raw, Server};
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Runtime;

/// Nanoseconds of the clock that all processes of this machine share.
pub fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    u64::try_from(time.tv_sec).unwrap_or_default() * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or_default()
}

/// The smallest number that this share of them doesn't exceed.
pub fn quantile(numbers: &[f64], share: f64) -> f64 {
    let mut numbers = numbers.to_vec();
    numbers.sort_by(f64::total_cmp);
    let place = (numbers.len() as f64 * share).ceil() as usize;
    numbers.get(place.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

/// A runtime as most programs have it.
///
/// # Panics
/// If threads can't be had.
pub fn runtime() -> Runtime {
    Runtime::new().expect("a runtime")
}

/// So patient that no call gives up on a busy machine and runs its body instead.
async fn connect(url: &str) -> Redis {
    let redis = Redis::builder(url).prefix("bench").timeout(Duration::from_secs(10));
    redis.max_staleness(Duration::from_secs(120)).connect().await.expect("the server has just been started")
}

/// A cache all of whose hits come from Redis.
async fn without_memory(server: &Server) -> Cache {
    Cache::builder().backend(connect(&server.url()).await).without_memory().build().expect("good options")
}

/// Commands the server has executed, without those that tell us.
#[derive(Clone, Copy, Debug)]
struct Commands {
    /// What clients have sent, and what their scripts called.
    executed: i64,
}

impl Commands {
    /// Since the server was started.
    fn of(raw: &mut Raw) -> Self {
        let info = raw.command(&["INFO", "commandstats"]).text();
        let calls = |line: &str| {
            let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            let calls: i64 = rest.split(',').next()?.parse().ok()?;
            (!name.starts_with("info")).then_some(calls)
        };
        Self { executed: info.lines().filter_map(calls).sum() }
    }

    fn since(self, before: Self) -> Self {
        Self { executed: self.executed - before.executed }
    }
}

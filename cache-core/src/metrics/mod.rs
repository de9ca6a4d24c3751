//! Counters, gauges and durations for the [`metrics`](https://docs.rs/metrics) facade, which hands them to whatever exporter
//! the program has installed.
//!
//! The facade can't ask for numbers, so they are set: once a second by the thread that [`start`] begins, or by [`publish`],
//! right before an exporter is asked.
//!
//! ```
//! // After the exporter is installed; and kept for as long as the program runs.
//! let _publishing = cache_core::metrics::start()?;
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! [`TABLE`] lists all metrics. Labels have names of caches, functions and backends and nothing that comes with a request: no
//! arguments, scopes or tags. What is of functions with the same name in caches with the same name is added up.

mod collect;
mod table;

use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

pub use self::table::{Kind, Metric, TABLE};
use crate::util::caught::caught;
use crate::util::sync::lock;

/// How often the thread publishes.
const EVERY: Duration = Duration::from_secs(1);

/// Sets all metrics to what the caches of this process have counted so far.
///
/// Durations are handed over as counts of a histogram, each with the middle of its bucket: within an eighth of the truth. What
/// the facade is given before an exporter is installed is lost: counters catch up, and durations don't.
pub fn publish() {
    collect::publish();
}

/// Has a thread call [`publish`] at once and then once a second, until what is returned is dropped.
///
/// # Errors
/// If there can be no thread.
pub fn start() -> io::Result<Publishing> {
    let stop = Arc::<Stop>::default();
    let told = Arc::clone(&stop);
    let work = move || {
        loop {
            // The exporter is code of the program's. The next time may be better.
            let _ = caught(publish);
            if told.within(EVERY) {
                return;
            }
        }
    };
    std::thread::Builder::new().name("larder-metrics".into()).spawn(work)?;
    Ok(Publishing(stop))
}

/// Metrics are published while this lives; see [`start`].
#[derive(Debug)]
#[must_use = "publishing ends when this is dropped"]
pub struct Publishing(Arc<Stop>);

impl Drop for Publishing {
    fn drop(&mut self) {
        *lock(&self.0.is_due) = true;
        self.0.told.notify_all();
    }
}

#[derive(Debug, Default)]
struct Stop {
    is_due: Mutex<bool>,
    told: Condvar,
}

impl Stop {
    /// Waits for it. `false` if it doesn't come for so long.
    fn within(&self, time: Duration) -> bool {
        let waited = self.told.wait_timeout_while(lock(&self.is_due), time, |is_due| !*is_due);
        let (is_due, _) = waited.unwrap_or_else(PoisonError::into_inner);
        *is_due
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn the_thread_ends_when_it_is_told_to() {
        let publishing = start().unwrap();
        let stop = Arc::downgrade(&publishing.0);
        assert_eq!(stop.strong_count(), 2);
        drop(publishing);
        let began = Instant::now();
        while stop.strong_count() > 0 {
            assert!(began.elapsed() < Duration::from_secs(60), "it goes on");
            std::thread::yield_now();
        }
    }
}

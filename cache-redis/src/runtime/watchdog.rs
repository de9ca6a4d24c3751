//! Notices when the backend's thread is stuck (in a listener's code or a debugger), or is missing because this process was
//! forked. Callers must not wait for such a thread.
//!
//! The thread notes when it takes up work, and callers note when they ask for it. A caller who has waited longer than its
//! operation may take looks at both: a thread that was asked and has taken up nothing for [`SILENCE`] is stuck. From then on,
//! calls fail at once, until the thread goes on.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::health::{Monitor, Source};

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Watchdog {
    /// The id of the process that has the thread.
    process: u32,
    began: Instant,
    /// When the thread last took up work, in nanoseconds since `began`.
    last: AtomicU64,
    /// When it was first asked for work after that.
    asked: AtomicU64,
    pub(crate) stuck: AtomicBool,
}

/// A thread is stuck after this time. On a busy machine it may be late by less.
const SILENCE: Duration = Duration::from_secs(1);

/// When the thread was asked for work.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked(u64);

/// How long the work may take.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bound {
    /// It ends within this time, unless the thread is stuck.
    Within(Duration),
    /// It ends some time, unless the thread is stuck.
    Eventually,
}

impl Watchdog {
    pub(crate) fn new() -> Self {
        let (process, began) = (std::process::id(), Instant::now());
        Self { process, began, last: AtomicU64::new(0), asked: AtomicU64::new(0), stuck: AtomicBool::new(false) }
    }

    /// Whether this process was forked from the one that has the thread.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.process != std::process::id()
    }

    /// The thread takes up work.
    pub(crate) fn beat(&self, monitor: &Monitor) {
        self.last.store(self.now(), Ordering::Release);
        if self.stuck.load(Ordering::Relaxed) && self.stuck.swap(false, Ordering::AcqRel) {
            monitor.over(&Source::Thread);
        }
    }

    /// Nanoseconds since `began`.
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Must be called before the thread is asked for work.
    pub(crate) fn ask(&self) -> Asked {
        let now = self.now();
        if self.asked.load(Ordering::Acquire) <= self.last.load(Ordering::Acquire) {
            self.asked.store(now, Ordering::Release);
        }
        Asked(now)
    }

    pub(crate) fn has_gone_on_since(&self, Asked(then): Asked) -> bool {
        self.last.load(Ordering::Acquire) >= then
    }

    pub(crate) fn is_silent(&self) -> bool {
        let asked = self.asked.load(Ordering::Acquire);
        let waits = Duration::from_nanos(self.now().saturating_sub(asked));
        asked > self.last.load(Ordering::Acquire) && waits >= SILENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Hooks;

    #[test]
    fn silence_is_counted_from_the_first_question() {
        let (watchdog, monitor) = (Watchdog::new(), Monitor::new(Hooks::default()));
        let long_ago = Watchdog { began: watchdog.began.checked_sub(SILENCE * 2).unwrap(), ..watchdog };
        assert!(!long_ago.is_silent(), "nobody has asked");
        long_ago.ask();
        assert!(!long_ago.is_silent(), "it was asked just now");
        let asked_before =
            |watchdog: Watchdog| Watchdog { began: watchdog.began.checked_sub(SILENCE).unwrap(), ..watchdog };
        let waiting = asked_before(long_ago);
        waiting.ask();
        assert!(waiting.is_silent(), "the first question counts");
        waiting.beat(&monitor);
        assert!(!waiting.is_silent());
        waiting.ask();
        assert!(!waiting.is_silent());
        assert!(asked_before(waiting).is_silent());
    }
}

//! Whether the backend's thread is there and takes up what it is given: callers must not wait for one that is stuck (in a
//! listener's code, a debugger), or that has stayed in the process that this one was forked from.
//!
//! The thread notes when it takes up something, and callers note when they ask it. Who has waited for longer than an
//! operation may take looks at both: a thread that has been asked and has taken up nothing for [`SILENCE`] is stuck. From
//! then on calls fail at once, until it goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cache_core::__with_timeout as with_timeout;
use tokio::sync::oneshot;

use crate::core::Core;
use crate::error::Fault;
use crate::health::{Monitor, Operation, Source};

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Pulse {
    /// The one that has the thread.
    process: u32,
    began: Instant,
    /// When it has last taken up something, in nanoseconds since it began.
    last: AtomicU64,
    /// When it was first asked for something after that.
    asked: AtomicU64,
    stuck: AtomicBool,
}

/// Of a thread that is stuck. On a busy machine it may be late for less.
const SILENCE: Duration = Duration::from_secs(1);

/// When the thread was asked for something.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked(u64);

/// How long an answer may take.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bound {
    /// It ends by itself by then, if the thread goes on.
    Within(Duration),
    /// It ends by itself some time, if the thread goes on.
    Eventually,
}

impl Pulse {
    pub(crate) fn new() -> Self {
        let (process, began) = (std::process::id(), Instant::now());
        Self { process, began, last: AtomicU64::new(0), asked: AtomicU64::new(0), stuck: AtomicBool::new(false) }
    }

    /// Whether this process was forked from the one that has the thread.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.process != std::process::id()
    }

    /// The thread is here.
    pub(crate) fn beat(&self, monitor: &Monitor) {
        self.last.store(self.now(), Ordering::Release);
        if self.stuck.load(Ordering::Relaxed) && self.stuck.swap(false, Ordering::AcqRel) {
            monitor.over(&Source::Thread);
        }
    }

    /// Nanoseconds since it began.
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// To be called before the thread is asked for something.
    pub(crate) fn ask(&self) -> Asked {
        let now = self.now();
        if self.asked.load(Ordering::Acquire) <= self.last.load(Ordering::Acquire) {
            self.asked.store(now, Ordering::Release);
        }
        Asked(now)
    }

    fn has_gone_on_since(&self, Asked(then): Asked) -> bool {
        self.last.load(Ordering::Acquire) >= then
    }

    fn is_silent(&self) -> bool {
        let asked = self.asked.load(Ordering::Acquire);
        let waits = Duration::from_nanos(self.now().saturating_sub(asked));
        asked > self.last.load(Ordering::Acquire) && waits >= SILENCE
    }
}

/// What is left to the network's own timeouts, which say more, and to a busy machine.
fn margin(timeout: Duration) -> Duration {
    (timeout / 2).clamp(Duration::from_millis(100), Duration::from_millis(500))
}

/// How often it is looked at least whether the thread goes on.
const RARELY: Duration = Duration::from_millis(400);

impl Core {
    /// Whether there is any use in asking the thread for something.
    pub(crate) fn is_of_use(&self, operation: Operation) -> Result<(), Fault> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Fault::Closed);
        }
        if self.pulse.is_elsewhere() {
            return Err(Fault::Forked);
        }
        if self.pulse.stuck.load(Ordering::Acquire) {
            return Err(self.is_stuck(operation));
        }
        Ok(())
    }

    /// Waits for what the thread was asked for.
    pub(crate) async fn answer<T>(
        self: &Arc<Self>,
        operation: Operation,
        bound: Bound,
        mut asked: Asked,
        mut answer: oneshot::Receiver<Result<T, Fault>>,
    ) -> Result<T, Fault> {
        let limit = match bound {
            Bound::Within(limit) => limit + margin(self.options.timeout),
            Bound::Eventually => (self.options.timeout + margin(self.options.timeout)).max(RARELY),
        };
        loop {
            if let Some(answer) = with_timeout(&mut answer, limit).await {
                return answer.unwrap_or(Err(Fault::Closed));
            }
            match bound {
                Bound::Eventually if self.pulse.has_gone_on_since(asked) => asked = self.ask_for_a_beat(),
                _ if self.pulse.is_silent() => {
                    if !self.pulse.stuck.swap(true, Ordering::AcqRel) {
                        // Whatever it does next, it comes to this.
                        self.ask_for_a_beat();
                    }
                    return Err(self.is_stuck(operation));
                }
                _ => {
                    let fault = Fault::TimedOut(Some(Arc::clone(self.servers.name())));
                    self.monitor.fault(operation, &fault);
                    return Err(fault);
                }
            }
        }
    }

    fn ask_for_a_beat(self: &Arc<Self>) -> Asked {
        let asked = self.pulse.ask();
        let core = Arc::clone(self);
        self.runtime.spawn(async move { core.pulse.beat(&core.monitor) });
        asked
    }

    fn is_stuck(&self, operation: Operation) -> Fault {
        self.monitor.fault_at(Source::Thread, operation, &Fault::Stuck);
        // It may have come back just now.
        if !self.pulse.stuck.load(Ordering::Acquire) {
            self.monitor.over(&Source::Thread);
        }
        Fault::Stuck
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Hooks;

    #[test]
    fn silence_is_counted_from_the_first_question() {
        let (pulse, monitor) = (Pulse::new(), Monitor::new(Hooks::default()));
        let long_ago = Pulse { began: pulse.began.checked_sub(SILENCE * 2).unwrap(), ..pulse };
        assert!(!long_ago.is_silent(), "nobody has asked");
        long_ago.ask();
        assert!(!long_ago.is_silent(), "it was asked just now");
        let asked_before = |pulse: Pulse| Pulse { began: pulse.began.checked_sub(SILENCE).unwrap(), ..pulse };
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

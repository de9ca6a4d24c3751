//! Runs operations on the backend's own runtime, and waits for their results no longer than they may take.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cache_core::__with_timeout as with_timeout;
use tokio::sync::oneshot;

use super::Shared;
use crate::error::Fault;
use crate::health::{Operation, Source};
use crate::runtime::{Asked, Bound};

/// How much longer than its timeout a caller waits: the network's own timeouts come first, because their errors say more, and
/// a busy machine may be late.
fn margin(timeout: Duration) -> Duration {
    (timeout / 2).clamp(Duration::from_millis(100), Duration::from_millis(500))
}

/// The least pause between checks whether the thread is stuck.
const RARELY: Duration = Duration::from_millis(400);

impl Shared {
    /// How long a caller waits for an operation at most.
    pub(crate) fn patience(&self) -> Duration {
        self.options.timeout + margin(self.options.timeout)
    }

    /// Runs an operation on the backend's runtime. It ends by the deadline if everything in `work` does, as all calls of
    /// [`Topology`](crate::topology::Topology) do. It runs to its end even if the returned future is dropped.
    pub(crate) async fn run<T, F>(
        self: &Arc<Self>,
        operation: Operation,
        work: impl FnOnce(Arc<Self>) -> F,
    ) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Fault>> + Send + 'static,
    {
        self.run_within(Bound::Within(self.options.timeout), operation, work).await
    }

    /// The same with another bound.
    pub(crate) async fn run_within<T, F>(
        self: &Arc<Self>,
        bound: Bound,
        operation: Operation,
        work: impl FnOnce(Arc<Self>) -> F,
    ) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Fault>> + Send + 'static,
    {
        self.is_of_use(operation)?;
        let (sender, result) = oneshot::channel();
        let work = work(Arc::clone(self));
        let shared = Arc::clone(self);
        let asked = self.watchdog.ask();
        self.runtime.spawn(async move {
            shared.watchdog.beat(&shared.monitor);
            let result = work.await;
            match &result {
                Ok(_) => shared.monitor.success(operation),
                Err(fault) => shared.monitor.fault(operation, fault),
            }
            // If the caller has gone away, the result is dropped, which releases a lease.
            let _ = sender.send(result);
        });
        self.answer(operation, bound, asked, result).await
    }

    /// Fails if the thread can't take up work.
    pub(crate) fn is_of_use(&self, operation: Operation) -> Result<(), Fault> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Fault::Closed);
        }
        if self.watchdog.is_elsewhere() {
            return Err(Fault::Forked);
        }
        if self.watchdog.stuck.load(Ordering::Acquire) {
            return Err(self.is_stuck(operation));
        }
        Ok(())
    }

    /// Waits for the result of work that the thread was asked for.
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
                Bound::Eventually if self.watchdog.has_gone_on_since(asked) => asked = self.ask_for_a_beat(),
                _ if self.watchdog.is_silent() => {
                    if !self.watchdog.stuck.swap(true, Ordering::AcqRel) {
                        // Once it goes on, this beat ends the trouble.
                        self.ask_for_a_beat();
                    }
                    return Err(self.is_stuck(operation));
                }
                _ => {
                    let fault = Fault::TimedOut(Some(Arc::clone(self.topology.name())));
                    self.monitor.fault(operation, &fault);
                    return Err(fault);
                }
            }
        }
    }

    fn ask_for_a_beat(self: &Arc<Self>) -> Asked {
        let asked = self.watchdog.ask();
        let shared = Arc::clone(self);
        self.runtime.spawn(async move { shared.watchdog.beat(&shared.monitor) });
        asked
    }

    fn is_stuck(&self, operation: Operation) -> Fault {
        self.monitor.fault_at(Source::Thread, operation, &Fault::Stuck);
        // It may have come back just now.
        if !self.watchdog.stuck.load(Ordering::Acquire) {
            self.monitor.over(&Source::Thread);
        }
        Fault::Stuck
    }
}

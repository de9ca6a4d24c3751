//! What all handles to one backend share, and what is done with it on its runtime.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use cache_core::backend::BootInstant;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::buckets::Memo;
use crate::builder::Options;
use crate::bus::{Bus, Compared};
use crate::connection::Command;
use crate::connection::servers::Servers;
use crate::error::Fault;
use crate::health::{Monitor, Operation, TroubleKind};
use crate::keys::Names;
use crate::lease::Held;
use crate::pulse::{Bound, Pulse};
use crate::returns::Returns;

#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) options: Options,
    pub(crate) names: Arc<Names>,
    pub(crate) servers: Servers,
    pub(crate) bus: Arc<Bus>,
    pub(crate) memo: Memo,
    pub(crate) monitor: Arc<Monitor>,
    pub(crate) runtime: Handle,
    pub(crate) pulse: Pulse,
    pub(crate) closed: AtomicBool,
    pub(crate) held: Held,
    pub(crate) returns: Returns,
}

impl Core {
    /// When an operation that begins now must have ended.
    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.options.timeout
    }

    /// Runs an operation on the backend's runtime. It is bounded by the deadline if all that `work` does is (everything
    /// that [`Servers`] does), and goes on to its end if the returned future is dropped.
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

    /// The same where it is bounded otherwise.
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
        let core = Arc::clone(self);
        let asked = self.pulse.ask();
        self.runtime.spawn(async move {
            core.pulse.beat(&core.monitor);
            let result = work.await;
            match &result {
                Ok(_) => core.monitor.success(operation),
                Err(fault) => core.monitor.fault(operation, fault),
            }
            // Whoever asked may have gone away. What they would have got is dropped then: a lease is given back.
            let _ = sender.send(result);
        });
        self.answer(operation, bound, asked, result).await
    }

    /// Publishes through each connection to the clock's server that it is there, unless that has been heard already.
    async fn introduce(&self, patience: Duration) {
        let Some(link) = self.servers.link(&self.names.clock) else { return };
        let Some(connections) = link.connections() else { return };
        let ids: Vec<_> = connections.iter().map(|connection| connection.id).collect();
        let strangers = self.bus.strangers(&ids);
        for connection in connections.iter().filter(|connection| strangers.contains(&connection.id)) {
            let message = self.bus.introduction(connection.id, link.target.name());
            let publish = Command::new("PUBLISH", vec![self.names.bus.clone().into(), message]);
            // If it doesn't get there, entries are judged by the buckets.
            let _ = tokio::time::timeout(patience, connection.call(&[publish])).await;
        }
    }
}

/// Compares the clock with what was heard, three times within the time that memory is trusted for, and whenever there is
/// reason to.
pub(crate) async fn heartbeat(core: Arc<Core>) {
    let Options { timeout, max_staleness, .. } = core.options;
    let mut met = Vec::new();
    // That it takes its time is no trouble; if it fails, that is reported where it does.
    let _ = core.servers.first_attempt().await;
    loop {
        core.pulse.beat(&core.monitor);
        let since = BootInstant::now();
        match core.look_at_clock(&mut met, core.deadline()).await {
            Ok(clock) => match core.bus.compare(clock, since, timeout, max_staleness).await {
                Compared::Trusted => {
                    core.monitor.success(Operation::Heartbeat);
                    core.introduce(timeout).await;
                }
                Compared::Missed => {
                    let message = "invalidations were published but did not arrive".to_owned();
                    core.monitor.trouble(Operation::Heartbeat, TroubleKind::MissedMessages, message);
                    core.servers.kick_ears();
                }
                Compared::Deaf => {}
            },
            Err(fault) => {
                core.monitor.fault(Operation::Heartbeat, &fault);
                // They would not be woken either.
                core.bus.waiters.wake_all();
            }
        }
        let _ = tokio::time::timeout(core.options.pause(), core.bus.due.notified()).await;
    }
}

//! What all handles to one backend share, and what is done with it on its runtime.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bytes::Bytes;
use cache_core::backend::TagId;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::buckets::{Memo, Question};
use crate::builder::Options;
use crate::bus::{Bus, Compared, LEAP};
use crate::connection::Command;
use crate::connection::servers::Servers;
use crate::error::Fault;
use crate::health::{Monitor, Operation, TroubleKind};
use crate::keys::{Names, TAGS_PER_BUCKET, field};
use crate::lease::Held;
use crate::log::ConnectionId;
use crate::pulse::{Bound, Pulse};
use crate::returns::Returns;
use crate::scripts;

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

/// So many tags are invalidated by one script; more take several, so that none blocks the server for long.
const TAGS_PER_SCRIPT: usize = 512;

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

    /// Reads the clock, and makes sure that these buckets exist.
    pub(crate) fn stamp_command(&self, buckets: impl IntoIterator<Item = Bytes>) -> Command {
        let keys = std::iter::once(self.names.clock.clone()).chain(buckets).collect();
        Command::script(&scripts::STAMP, keys, [self.least()])
    }

    /// The clock in the reply to [`stamp_command`](Self::stamp_command); `None` if it went back.
    pub(crate) fn learn_stamp(&self, number: Option<i64>) -> Result<Option<u64>, Fault> {
        match number {
            Some(-1) => Ok(None),
            Some(number @ 1..) => {
                self.bus.known.learn(number as u64);
                Ok(Some(number as u64))
            }
            _ => Err(Fault::Unexpected("the stamp script")),
        }
    }

    /// The clock, after making sure that these buckets exist.
    pub(crate) async fn stamp<'a>(
        &self,
        buckets: impl IntoIterator<Item = &'a Bytes> + Clone,
        deadline: Instant,
    ) -> Result<u64, Fault> {
        loop {
            let command = self.stamp_command(buckets.clone().into_iter().cloned());
            let number = self.servers.call_one(command, deadline).await?.number();
            if let Some(stamp) = self.learn_stamp(number)? {
                return Ok(stamp);
            }
            self.repair(deadline).await?;
        }
    }

    /// Pushes a clock forward that went back.
    pub(crate) async fn repair(&self, deadline: Instant) -> Result<(), Fault> {
        let keys = std::iter::once(self.names.clock.clone()).chain(self.names.all_buckets()).collect();
        let args = [self.least(), self.names.bus.clone().into(), self.bus.author().into()];
        let reply = self.servers.call_one(Command::script(&scripts::REPAIR, keys, args), deadline).await?;
        let clock = reply.number().ok_or(Fault::Unexpected("the repair script"))?;
        self.monitor.trouble(
            Operation::Heartbeat,
            TroubleKind::ClockWentBack,
            format!("the server has lost invalidations that are known here; the clock was pushed forward, to {clock}"),
        );
        self.bus.known.learn(clock.max(0) as u64);
        self.bus.lose_track();
        Ok(())
    }

    fn least(&self) -> Bytes {
        self.bus.known.get().to_string().into()
    }

    pub(crate) async fn invalidate(&self, tags: &[TagId], author: &Bytes, deadline: Instant) -> Result<(), Fault> {
        for tags in tags.chunks(TAGS_PER_SCRIPT) {
            while self.try_invalidate(tags, author, deadline).await?.is_none() {
                self.repair(deadline).await?;
            }
        }
        Ok(())
    }

    /// `None` if the clock had gone back.
    async fn try_invalidate(&self, tags: &[TagId], author: &Bytes, deadline: Instant) -> Result<Option<()>, Fault> {
        let keys = std::iter::once(self.names.clock.clone()).chain(tags.iter().map(|tag| self.names.bucket(*tag)));
        let mut args: Vec<Bytes> =
            vec![self.least(), self.names.bus.clone().into(), author.clone(), TAGS_PER_BUCKET.to_string().into()];
        args.extend(tags.iter().copied().map(field));
        let command = Command::script(&scripts::INVALIDATE, keys.collect(), args);
        match self.servers.call_one(command, deadline).await?.number() {
            Some(-1) => Ok(None),
            Some(number @ 0..) => {
                self.bus.known.learn(number as u64);
                self.bus.witness(number as u64, tags);
                Ok(Some(()))
            }
            _ => Err(Fault::Unexpected("the invalidation script")),
        }
    }

    /// The clock. Where it is read through other connections than before, perhaps at another server, it is pushed forward
    /// if the last invalidation that is known isn't recorded there: the order has gone on without some, whose numbers
    /// were given out again.
    async fn look_at_clock(&self, met: &mut Vec<ConnectionId>, deadline: Instant) -> Result<u64, Fault> {
        let clock = self.stamp(&[], deadline).await?;
        let connections = self.servers.link(&self.names.clock).and_then(|link| link.connections());
        let ids: Vec<_> = connections.iter().flat_map(|all| all.iter()).map(|connection| connection.id).collect();
        if ids == *met {
            return Ok(clock);
        }
        if let Some((number, tag)) = self.bus.last_witnessed() {
            let question = Question::about([tag]);
            let answers = self.servers.call(question.commands(&self.names).collect(), deadline).await;
            if question.understand(answers.into_iter()).last(tag)?.is_some_and(|last| last < number) {
                self.bus.known.learn(clock + LEAP);
                return self.stamp(&[], deadline).await;
            }
        }
        *met = ids;
        Ok(clock)
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
        let since = Instant::now();
        match core.look_at_clock(&mut met, since + timeout).await {
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

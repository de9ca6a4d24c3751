//! The heartbeat: compares the sequence with what was heard, so that memory layers learn how far they may be trusted.

use std::sync::Arc;
use std::time::Duration;

use cache_core::backend::BootInstant;
use tokio::time::Instant;

use crate::bus::Compared;
use crate::connection::{Command, ConnectionId};
use crate::error::Fault;
use crate::health::{Operation, TroubleKind};
use crate::invalidation::{Position, Unusable};
use crate::options::Options;
use crate::shared::Shared;
use crate::tag_buckets::Question;

/// Compares the sequence with what was heard: three times per `max_staleness`, and whenever the bus requests it.
pub(crate) async fn heartbeat(shared: Arc<Shared>) {
    let Options { timeout, max_staleness, .. } = shared.options;
    let mut met = Vec::new();
    // A slow start is no trouble, and a failure is reported where it occurs.
    let _ = shared.topology.first_attempt().await;
    loop {
        shared.watchdog.beat(&shared.monitor);
        if let Err(fault) = shared.record_remembered(shared.deadline()).await {
            shared.monitor.fault(Operation::Invalidate, &fault);
        }
        let since = BootInstant::now();
        match shared.read_sequence(&mut met, shared.deadline()).await {
            Ok(sequence) => match shared.bus.compare(sequence, since, timeout, max_staleness).await {
                Compared::Trusted => {
                    shared.monitor.success(Operation::Heartbeat);
                    shared.introduce(timeout).await;
                }
                Compared::Missed => {
                    let message = "invalidations were published but did not arrive".to_owned();
                    shared.monitor.trouble(Operation::Heartbeat, TroubleKind::MissedMessages, message);
                    shared.topology.reconnect_subscribers();
                }
                Compared::Deaf => {}
            },
            Err(fault) => {
                shared.monitor.fault(Operation::Heartbeat, &fault);
                // Messages may not arrive either, so waiters have to look themselves.
                shared.bus.waiters.wake_all();
            }
        }
        let _ = tokio::time::timeout(shared.options.pause(), shared.bus.due.notified()).await;
    }
}

impl Shared {
    /// Reads the sequence. New connections may lead to another server. So the latest known invalidation is looked up there: if
    /// it isn't recorded, the server has lost invalidations and given out their numbers again, and the sequence is restarted.
    async fn read_sequence(&self, met: &mut Vec<ConnectionId>, deadline: Instant) -> Result<u64, Fault> {
        let Position { sequence, .. } = self.stamp(Operation::Heartbeat, &[], deadline).await?;
        let connections = self.topology.pool(&self.names.sequence).and_then(|pool| pool.connections());
        let ids: Vec<_> = connections.iter().flat_map(|all| all.iter()).map(|connection| connection.id).collect();
        if ids == *met {
            return Ok(sequence);
        }
        if let Some((number, tag)) = self.bus.last_witnessed() {
            let question = Question::about([tag]);
            let answers = self.topology.call(question.commands(&self.names).collect(), deadline).await;
            if question.understand(answers.into_iter()).last(tag)?.is_some_and(|last| last < number) {
                self.repair(Unusable::Behind(sequence), deadline).await?;
                return Ok(self.stamp(Operation::Heartbeat, &[], deadline).await?.sequence);
            }
        }
        *met = ids;
        Ok(sequence)
    }

    /// Introduces each connection to the sequence's server, by a message that is published through it, unless that is done.
    async fn introduce(&self, patience: Duration) {
        let Some(pool) = self.topology.pool(&self.names.sequence) else { return };
        let Some(connections) = pool.connections() else { return };
        let ids: Vec<_> = connections.iter().map(|connection| connection.id).collect();
        let strangers = self.bus.strangers(&ids);
        for connection in connections.iter().filter(|connection| strangers.contains(&connection.id)) {
            let message = self.bus.introduction(connection.id, pool.target.name());
            let publish = Command::new("PUBLISH", vec![self.names.bus.clone().into(), message]);
            // If that fails, entries are judged by the buckets.
            let _ = tokio::time::timeout(patience, connection.call(&[publish])).await;
        }
    }
}

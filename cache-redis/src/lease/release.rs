//! Releases leases, also if there is no connection at that moment.
//!
//! A run ends its lease with one command. If the command fails, the lease would block other processes until it expires,
//! although its run is over. So the command is sent again once there is a connection, until it was answered or the lease must
//! have expired. All such commands may be executed twice.
//!
//! Commands on two connections have no order: a request for a lease that was sent on a lost connection may arrive after the
//! command that releases what it was granted. So if the request wasn't answered, the release is sent again and again, for as
//! long as the lease would live, until it has found the lease.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::commands::{OF_ANOTHER_TYPE, release};
use crate::connection::Command;
use crate::error::{Fault, ServerError};
use crate::health::Operation;
use crate::shared::Shared;

/// The most releases that are kept for another attempt. Beyond that, a lease that can't be released expires by itself.
const MOST: usize = 4096;

/// The scripts' answer if there was nothing to release.
const NOTHING: i64 = 0;

/// No release is kept for longer than this, however long its lease is.
const LONGEST: Duration = Duration::from_secs(86_400);

/// The first and the longest pause between two attempts, unless a new connection ends it.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// The longest pause between attempts to release a lease that may be granted late. It blocks others for this long at most.
const LATE: Duration = Duration::from_millis(500);

impl Shared {
    /// Sends a command that releases a lease, without waiting for the answer. It is repeated while there is no connection and
    /// the lease may live (`stands`). Can be called on any thread.
    pub(crate) fn send_back(self: &Arc<Self>, command: Command, stands: Duration) {
        // The lease is the parent's.
        if self.watchdog.is_elsewhere() {
            return;
        }
        let under_way = UnderWay::new(Arc::clone(self));
        self.runtime.spawn(async move { under_way.0.insist(&command, stands).await });
    }

    /// The same for a lease whose request wasn't answered: it may be granted later. See the head of this file.
    pub(crate) fn send_back_unseen(self: &Arc<Self>, command: Command, stands: Duration) {
        if self.watchdog.is_elsewhere() {
            return;
        }
        let (under_way, shared) = (UnderWay::new(Arc::clone(self)), Arc::downgrade(self));
        self.runtime.spawn(async move {
            let until = Instant::now() + stands.min(LONGEST);
            let (mut found, mut pause) = (under_way.0.insist(&command, stands).await, PAUSES.0);
            // `close` doesn't wait for the rest.
            drop(under_way);
            while found == Some(NOTHING) && Instant::now() < until {
                tokio::time::sleep(pause).await;
                pause = LATE.min(pause * 2);
                let Some(shared) = shared.upgrade() else { return };
                found = shared.insist(&command, until.saturating_duration_since(Instant::now())).await;
            }
        });
    }

    /// Sends the command until it is answered. Returns the answer, or `None` if that is given up.
    async fn insist(self: &Arc<Self>, command: &Command, stands: Duration) -> Option<i64> {
        let until = Instant::now() + stands.min(LONGEST);
        let (mut pause, longest) = PAUSES;
        let mut is_first = true;
        loop {
            let mut reconnection = self.topology.reconnection(&command.key);
            let fault = match self.topology.call_one(command.clone(), self.deadline()).await {
                Ok(reply) => {
                    self.monitor.success(Operation::Release);
                    if reply.number() == Some(OF_ANOTHER_TYPE) {
                        self.lease_was_of_another_type(Operation::Release);
                    }
                    return reply.number();
                }
                Err(fault) => fault,
            };
            if std::mem::take(&mut is_first) {
                self.monitor.fault(Operation::Release, &fault);
            }
            let now = Instant::now();
            if !may_pass(&fault) || now >= until || self.pending_releases.count() > MOST {
                return None;
            }
            tokio::select! {
                () = reconnection.happens() => {}
                () = tokio::time::sleep_until(until.min(now + pause)) => {}
            }
            pause = longest.min(pause * 2);
        }
    }

    /// Releases all leases, and waits until all earlier releases are answered too.
    pub(crate) async fn give_all_back(self: &Arc<Self>) {
        for (token, hash, stands) in self.held.all() {
            self.send_back(release(self, hash, &token, false), stands);
        }
        self.pending_releases.none().await;
    }
}

/// Whether the same command may succeed later.
fn may_pass(fault: &Fault) -> bool {
    !matches!(fault, Fault::Closed | Fault::Unexpected(_) | Fault::Refused(ServerError::Denied | ServerError::Other, _))
}

/// Counted while it lives, also in a task that never runs.
struct UnderWay(Arc<Shared>);

impl UnderWay {
    fn new(shared: Arc<Shared>) -> Self {
        shared.pending_releases.one_more();
        Self(shared)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.pending_releases.one_less();
    }
}

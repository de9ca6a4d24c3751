//! Giving back what this process holds at the servers, also when the connection is gone at that moment.
//!
//! The end of a run is one command. If it fails, the lease would block other processes for the rest of its life though its
//! owner lives and is done. So the command is sent again as soon as there is a connection, until it was answered or the
//! lease can't stand any more. All such commands can be sent twice.
//!
//! Two connections keep no order. A request for a lease that was sent on one that is gone may arrive after the command that
//! gives back what it may have been granted. So where the answer to the request is missing, that command is sent again and
//! again for as long as the lease would have stood, until it has found something.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::connection::Command;
use crate::connection::link::State;
use crate::core::Core;
use crate::error::Fault;
use crate::health::Operation;
use crate::lease::OF_ANOTHER_TYPE;
use crate::refusal::Refusal;

/// So many commands are kept; what fails beyond is forgotten, and its lease ends by itself.
const MOST: usize = 4096;

/// What the scripts answer that find nothing to give back.
const NOTHING: i64 = 0;

/// Nothing is kept for longer, however long its lease is.
const LONGEST: Duration = Duration::from_secs(86_400);

/// Between two attempts where nothing tells that there is a connection again, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// The longest pause before looking again for what may arrive late: so long it blocks others.
const LATE: Duration = Duration::from_millis(500);

/// How many commands are on their way.
#[derive(Debug, Default)]
pub(crate) struct Returns(watch::Sender<usize>);

impl Core {
    /// Sends a command that gives something back, without waiting for it: again and again where there is no connection, for
    /// as long as what is given back may `stand`. Can be called from anywhere.
    pub(crate) fn send_back(self: &Arc<Self>, command: Command, stands: Duration) {
        // The lease is the parent's.
        if self.pulse.is_elsewhere() {
            return;
        }
        let under_way = UnderWay::new(Arc::clone(self));
        self.runtime.spawn(async move { under_way.0.insist(&command, stands).await });
    }

    /// The same for what may only come to be there: see the head of this file.
    pub(crate) fn send_back_unseen(self: &Arc<Self>, command: Command, stands: Duration) {
        if self.pulse.is_elsewhere() {
            return;
        }
        let (under_way, core) = (UnderWay::new(Arc::clone(self)), Arc::downgrade(self));
        self.runtime.spawn(async move {
            let until = Instant::now() + stands.min(LONGEST);
            let (mut found, mut pause) = (under_way.0.insist(&command, stands).await, PAUSES.0);
            // Nobody waits for the rest.
            drop(under_way);
            while found == Some(NOTHING) && Instant::now() < until {
                tokio::time::sleep(pause).await;
                pause = LATE.min(pause * 2);
                let Some(core) = core.upgrade() else { return };
                found = core.insist(&command, until.saturating_duration_since(Instant::now())).await;
            }
        });
    }

    /// What the command was answered, if it was.
    async fn insist(self: &Arc<Self>, command: &Command, stands: Duration) -> Option<i64> {
        let until = Instant::now() + stands.min(LONGEST);
        let (mut pause, longest) = PAUSES;
        let mut is_first = true;
        loop {
            let mut way = Way::to(self, command);
            let fault = match self.servers.call_one(command.clone(), self.deadline()).await {
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
            if !may_pass(&fault) || now >= until || *self.returns.0.borrow() > MOST {
                return None;
            }
            tokio::select! {
                () = way.opens() => {}
                () = tokio::time::sleep_until(until.min(now + pause)) => {}
            }
            pause = longest.min(pause * 2);
        }
    }

    /// Gives all leases back, and waits until what was given back before is, too.
    pub(crate) async fn give_all_back(self: &Arc<Self>) {
        for (release, stands) in self.held.releases(self) {
            self.send_back(release, stands);
        }
        let mut under_way = self.returns.0.subscribe();
        let _ = under_way.wait_for(|count| *count == 0).await;
    }
}

/// Whether the same command may succeed later.
fn may_pass(fault: &Fault) -> bool {
    !matches!(fault, Fault::Closed | Fault::Unexpected(_) | Fault::Refused(Refusal::Denied | Refusal::Other, _))
}

/// Counted while it lives, also in a task that never runs.
struct UnderWay(Arc<Core>);

impl UnderWay {
    fn new(core: Arc<Core>) -> Self {
        core.returns.0.send_modify(|count| *count += 1);
        Self(core)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.returns.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}

/// The connections to a server, watched from before a command that may fail.
pub(crate) struct Way(Option<watch::Receiver<State>>);

impl Way {
    /// To where this command goes.
    pub(crate) fn to(core: &Core, command: &Command) -> Self {
        Self(core.servers.link(&command.key).map(|link| link.watch()))
    }

    /// Of what didn't fail.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// Ready once there are new connections; never, if nothing is watched.
    pub(crate) async fn opens(&mut self) {
        if let Some(state) = &mut self.0 {
            while state.changed().await.is_ok() {
                if matches!(*state.borrow_and_update(), State::Up(_)) {
                    return;
                }
            }
        }
        std::future::pending::<()>().await;
    }
}

//! What this process hears of invalidations, and how far its memory may be trusted.
//!
//! Every invalidation is published with its number (the clock's new value) and its tags. Invariants:
//!
//! 1. `heard` is a number up to which every invalidation was delivered to the listeners, or made good by a doubt.
//! 2. Whenever that can't be said (a gap, a reconnect, lost messages) it is `None` until the next comparison, and the
//!    listeners have been told to doubt. It moves by numbers that follow each other and by clocks that were read: a number
//!    that anyone may have published is no proof of those before it.
//! 3. Trust is measured from before the clock was read that `heard` was compared with: what is invalidated later than
//!    that may not have been heard.
//! 4. The log's span ends where `heard` ends, and there is none while `heard` is `None`.
//! 5. A message of this process isn't delivered: whoever invalidated knows, and tells the other listeners. But that is so
//!    only if it came to a good end. One that didn't may happen at any time afterwards, and what was read meanwhile was
//!    live: from then on messages of what began before are another's.
//!
//! Besides invalidations a process publishes, seldom, that a connection of its own is there, to see whether it hears that:
//! see [`log`](crate::log).

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use cache_core::backend::{BootInstant, HeldTag, ListenerHandle, TagId};
use tokio::sync::{Notify, watch};

use crate::clock::{Known, LEAP};
use crate::connection::ear::Hear;
use crate::health::{Monitor, Operation, TroubleKind};
use crate::keys::{Names, parse_hash};
use crate::log::{ConnectionId, Judgement, Log, Moment};
use crate::message::{self, Message, Recent};
use crate::wake::Waiters;

/// So many numbers that came too early are remembered.
const EARLY: usize = 4096;

#[derive(Debug, Default)]
struct State {
    /// Invariants 1 and 2.
    heard: Option<u64>,
    /// The clock that was read when `heard` was last set by that. Later messages up to here were late: what they tell was
    /// made good by a doubt.
    read: u64,
    /// Numbers that came while `heard` was `None`: the lowest, if there are too many.
    early: BTreeSet<u64>,
    recent: Recent,
    /// How many connections listen.
    ears: usize,
    /// Invariant 4.
    log: Log,
    /// The last connection whose introduction was asked for.
    asked_for: Option<ConnectionId>,
    /// Connections whose introduction may come.
    awaited: Vec<ConnectionId>,
    /// The last invalidation that is known, and one of its tags.
    witness: Option<(u64, TagId)>,
}

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Bus {
    names: Arc<Names>,
    /// Of this process.
    origin: String,
    /// How many of its invalidations came to no good end: invariant 5.
    unsure: AtomicU64,
    pub(crate) known: Known,
    pub(crate) waiters: Arc<Waiters>,
    listeners: Mutex<Vec<ListenerHandle>>,
    state: Mutex<State>,
    /// A copy of `heard`, to wait for.
    progress: watch::Sender<Option<u64>>,
    /// A comparison is due.
    pub(crate) due: Notify,
    monitor: Arc<Monitor>,
}

/// What a comparison with the clock has shown.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Compared {
    /// Everything was heard, or has been made good.
    Trusted,
    /// Messages were missed; it has been made good, but the connection is of no use.
    Missed,
    /// Nobody listens.
    Deaf,
}

impl Bus {
    pub(crate) fn new(names: Arc<Names>, origin: String, monitor: Arc<Monitor>) -> Self {
        Self {
            names,
            origin,
            unsure: AtomicU64::new(0),
            known: Known::default(),
            waiters: Arc::default(),
            listeners: Mutex::default(),
            state: Mutex::default(),
            progress: watch::Sender::new(None),
            due: Notify::new(),
            monitor,
        }
    }

    pub(crate) fn attach(&self, listener: ListenerHandle) {
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|listener| listener.upgrade().is_some());
        listeners.push(listener);
        drop(listeners);
        // It learns soon how far it may trust.
        self.due.notify_one();
    }

    /// An invalidation by this process begins.
    pub(crate) fn own<'a>(&'a self, tags: &'a [TagId]) -> Own<'a> {
        Own { bus: self, author: self.author(), tags, recorded: false }
    }

    /// Who says so, in messages of invalidations that begin now.
    pub(crate) fn author(&self) -> String {
        format!("{}.{}", self.origin, self.unsure.load(Ordering::Acquire))
    }

    /// Compares the clock, which was read after `since`, with what was heard. Waits for messages that are under way, but
    /// no longer than `patience`.
    pub(crate) async fn compare(
        &self,
        clock: u64,
        since: BootInstant,
        patience: Duration,
        max_staleness: Duration,
    ) -> Compared {
        let mut progress = self.progress.subscribe();
        if self.begin_comparison(clock) {
            let caught_up = progress.wait_for(|heard| heard.is_none_or(|heard| heard >= clock));
            let _ = tokio::time::timeout(patience, caught_up).await;
        }
        let mut state = self.lock();
        if state.ears == 0 {
            return Compared::Deaf;
        }
        // Lost while waiting: the next comparison follows at once.
        let Some(heard) = state.heard else { return Compared::Deaf };
        let behind = clock.saturating_sub(heard);
        if behind > 0 {
            state.heard = Some(clock);
            state.read = clock;
            state.log.restart(clock);
            self.progress.send_replace(state.heard);
        }
        drop(state);
        if behind > 0 {
            self.doubt();
        }
        let deadline = since + max_staleness;
        for listener in self.listeners().iter().filter_map(ListenerHandle::upgrade) {
            listener.trusted_until(deadline);
        }
        if (1..LEAP).contains(&behind) { Compared::Missed } else { Compared::Trusted }
    }

    /// Gives `heard` a value if it has none. Whether it can be waited for.
    fn begin_comparison(&self, clock: u64) -> bool {
        let mut state = self.lock();
        if state.ears == 0 {
            return false;
        }
        if state.heard.is_none() {
            let mut heard = clock;
            // What follows the clock without a hole was delivered when it came.
            for number in std::mem::take(&mut state.early) {
                if number == heard + 1 {
                    heard = number;
                }
            }
            state.heard = Some(heard);
            state.read = clock;
            state.log.restart(heard);
            self.progress.send_replace(state.heard);
            drop(state);
            self.doubt();
        }
        true
    }

    /// Memory forgets everything.
    pub(crate) fn doubt(&self) {
        for listener in self.listeners().iter().filter_map(ListenerHandle::upgrade) {
            listener.doubt();
        }
    }

    /// A clock was made anew: what was known of the old one doesn't count.
    pub(crate) fn restart(&self, clock: u64) {
        self.known.restart(clock);
        let mut state = self.lock();
        state.witness = None;
        // The same numbers may be given out again.
        state.recent = Recent::default();
        drop(state);
        self.lose_track();
    }

    /// An entry holds a stamp that the clock should have reached. If that can be true, a look at the clock is due.
    pub(crate) fn suspect(&self, stamp: u64) {
        if self.known.hear(stamp) {
            self.due.notify_one();
        }
    }

    /// Nothing is known any more until the next comparison, which is due.
    pub(crate) fn lose_track(&self) {
        self.forget(&mut self.lock());
        self.doubt();
        self.due.notify_one();
    }

    fn forget(&self, state: &mut State) {
        state.heard = None;
        state.early.clear();
        state.log.stop();
        state.asked_for = None;
        state.awaited.clear();
        self.progress.send_replace(None);
    }

    /// Whether [`judge`](Self::judge) can be expected to know.
    pub(crate) fn is_informed(&self) -> bool {
        self.lock().log.is_of_use()
    }

    /// What is known of an entry, without asking anyone, that was read after the call had begun, as was the clock.
    pub(crate) fn judge(&self, tags: &[HeldTag], moment: Option<Moment>) -> Judgement {
        let mut state = self.lock();
        let judgement = state.log.judge(tags, moment);
        if let (Judgement::Ask(_), Some(Moment { by, .. })) = (&judgement, moment)
            && state.log.is_stranger(by)
            && state.asked_for.replace(by) != Some(by)
        {
            self.due.notify_one();
        }
        judgement
    }

    /// What the buckets said, after the clock had been read.
    pub(crate) fn remember(&self, moment: Moment, said: impl IntoIterator<Item = (TagId, u64)>) {
        self.lock().log.remember(moment, said);
    }

    /// This invalidation has been recorded.
    pub(crate) fn witness(&self, number: u64, tags: &[TagId]) {
        let witness = tags.first().filter(|_| number > 0).map(|tag| (number, *tag));
        let mut state = self.lock();
        state.witness = state.witness.max(witness);
    }

    /// The last one that is known to have been.
    pub(crate) fn last_witnessed(&self) -> Option<(u64, TagId)> {
        self.lock().witness
    }

    /// Which of these connections, all that lead to the clock, haven't been introduced.
    pub(crate) fn strangers(&self, connections: &[ConnectionId]) -> Vec<ConnectionId> {
        let mut state = self.lock();
        let strangers = state.log.strangers(connections);
        state.awaited.clone_from(&strangers);
        strangers
    }

    /// What to publish through this connection to that server.
    pub(crate) fn introduction(&self, connection: ConnectionId, server: &str) -> Bytes {
        message::introduction(&self.origin, connection, server)
    }

    fn published(&self, payload: &[u8], heard_from: &str) {
        match Message::parse(payload) {
            Some(Message::Here { origin, connection, server }) => {
                let mut state = self.lock();
                let is_ours = origin == self.origin.as_bytes() && state.awaited.contains(&connection);
                if is_ours && server == heard_from.as_bytes() {
                    state.log.introduce(connection);
                }
            }
            Some(Message::Invalidated { author, number, tags }) => {
                if number != 0 && !self.lock().recent.insert(heard_from, payload) {
                    return;
                }
                if author != self.author().as_bytes() {
                    tell(&self.listeners(), &tags);
                }
                if self.known.hear(number) {
                    self.witness(number, &tags);
                }
                // Only after the delivery: invariant 1.
                self.advance(number, &tags);
            }
            None => {}
        }
    }

    fn advance(&self, number: u64, tags: &[TagId]) {
        let mut state = self.lock();
        let Some(heard) = state.heard else {
            if number != 0 {
                state.early.insert(number);
            }
            if state.early.len() > EARLY {
                state.early.pop_last();
            }
            return;
        };
        if number == heard + 1 {
            state.heard = Some(number);
            state.log.hear(number, tags.iter().copied());
            self.progress.send_replace(state.heard);
            return;
        }
        if number != 0 && number <= state.read && state.read - number < LEAP {
            // It was late.
            return;
        }
        // A gap; or the clock went back, or was deleted as there was no memory left; or somebody made the number up. The
        // server knows.
        state.heard = None;
        state.log.pause();
        self.progress.send_replace(None);
        drop(state);
        if let Some(missed) = number.checked_sub(heard + 1).filter(|missed| *missed < LEAP) {
            let message = format!("{missed} invalidations were not heard of");
            self.monitor.trouble(Operation::Heartbeat, TroubleKind::MissedMessages, message);
        }
        self.doubt();
        self.due.notify_one();
    }

    fn listeners(&self) -> Vec<ListenerHandle> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tell(listeners: &[ListenerHandle], tags: &[TagId]) {
    for listener in listeners.iter().filter_map(ListenerHandle::upgrade) {
        listener.invalidated(tags);
    }
}

/// An invalidation by this process. However it ends (done, failed, dropped), the listeners hear of it then: the cache
/// that asked for it has a memory of its own to clear, but other caches may share this handle.
#[must_use = "it ends when this is dropped"]
pub(crate) struct Own<'a> {
    bus: &'a Bus,
    /// In its messages, also in those that are sent after its end.
    pub(crate) author: String,
    tags: &'a [TagId],
    recorded: bool,
}

impl Own<'_> {
    /// It came to a good end.
    pub(crate) fn recorded(mut self) {
        self.recorded = true;
    }
}

impl Drop for Own<'_> {
    fn drop(&mut self) {
        // First this: a message that comes in between is delivered, one that came before is made good by what follows.
        if !self.recorded {
            self.bus.unsure.fetch_add(1, Ordering::AcqRel);
        }
        let mut listeners = self.bus.listeners();
        listeners.retain(|listener| listener.upgrade().is_some());
        if listeners.len() > 1 {
            tell(&listeners, self.tags);
        }
    }
}

impl Hear for Bus {
    fn begins(&self) {
        self.lock().ears += 1;
        self.lose_track();
        self.waiters.wake_all();
    }

    fn ends(&self) {
        let mut state = self.lock();
        state.ears = state.ears.saturating_sub(1);
        self.forget(&mut state);
        drop(state);
        self.due.notify_one();
        self.waiters.wake_all();
    }

    fn awaited(&self) -> watch::Receiver<bool> {
        self.waiters.any()
    }

    fn look_again(&self) {
        self.waiters.wake_all();
    }

    fn missed(&self) {
        self.monitor.trouble(
            Operation::Heartbeat,
            TroubleKind::MissedMessages,
            "too many messages came at once; some were lost".to_owned(),
        );
        self.lose_track();
        self.waiters.wake_all();
    }

    fn message(&self, server: &str, channel: &str, payload: &[u8]) {
        if channel == self.names.bus {
            self.published(payload, server);
        } else if let Some(hash) = parse_hash(payload).filter(|_| channel == self.names.wake) {
            self.waiters.wake(hash);
        }
    }

    fn event(&self, key: &[u8], what: &str) {
        // Taking and renewing a lease, and asking for a message, are no ends of it.
        if !matches!(what, "expire" | "append")
            && let Some(hash) = self.names.hash_of_lease(key)
        {
            self.waiters.wake(hash);
        }
    }
}

#[cfg(test)]
mod tests;

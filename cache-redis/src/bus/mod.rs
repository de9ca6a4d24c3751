//! What this process has heard of invalidations, and how long its memory may be trusted.
//!
//! Every invalidation is published with its number (the sequence's new value) and its tags. The bus delivers the tags to the
//! listeners, which are memory layers, and notices when a message was lost. *Doubt* tells the listeners to drop everything.
//!
//! | file | what it is about |
//! |---|---|
//! | [`message`] | the bytes of a message |
//! | [`recent`] | dropping the copies of a message that a cluster sends |
//! | [`published`] | what happens with a message that came in |
//! | [`compare`] | comparing the sequence, read from Redis, with what was heard |
//! | [`own`] | invalidations by this process |
//!
//! Invariants:
//!
//! 1. `heard` is a number. Every invalidation up to it was delivered to the listeners, or was made good by a doubt.
//! 2. Where that can't be guaranteed (a gap, a reconnect, lost messages), `heard` is `None` until the next comparison, and the
//!    listeners have been told to doubt. `heard` advances only to the next number, or to a value of the sequence that was read
//!    from Redis. Anyone may publish any number, so a number is no proof of those before it.
//! 3. A comparison extends the listeners' trust from the moment before the sequence was read. An invalidation after that
//!    moment may not have been heard.
//! 4. The log's span ends at `heard`. While `heard` is `None` there is no span.
//! 5. A message of this process isn't delivered, because whoever invalidated knows, and tells the other listeners. That
//!    holds only if the invalidation succeeded. One that failed may still be executed at any later time, and what is read
//!    until then is live. So after a failure the process changes its name as an author, and messages of earlier
//!    invalidations count as another process's.
//!
//! The bus also has each of its connections *introduced*: the process publishes a message through the connection, and if
//! the message comes back, the connection leads to the server whose messages are heard; see
//! [`invalidation_log`](crate::invalidation_log).

mod compare;
mod message;
mod own;
mod published;
mod recent;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use cache_core::backend::{HeldTag, ListenerHandle, TagId};
use tokio::sync::{Notify, watch};

pub(crate) use self::compare::Compared;
pub(crate) use self::message::Message;
#[cfg(test)]
pub(crate) use self::own::OwnInvalidation;
use self::recent::RecentMessages;
use crate::connection::ConnectionId;
use crate::health::Monitor;
use crate::invalidation_log::{InvalidationLog, Judgement, Moment};
use crate::keys::Names;
use crate::lease_waiters::LeaseWaiters;
use crate::sequence::KnownSequence;

/// The author of what belongs to nobody: scripts settle holds under this name, and every process takes notice.
pub(crate) const NOBODY: &[u8] = b"-";

/// How many numbers are remembered that came while `heard` was `None`.
const EARLY: usize = 4096;

#[derive(Debug, Default)]
struct State {
    /// Invariants 1 and 2.
    heard: Option<u64>,
    /// The sequence at the last comparison that set `heard`. A message with a number up to this is late; a doubt has made it
    /// good.
    read: u64,
    /// Numbers that came while `heard` was `None`. If there are too many, the lowest are kept.
    early: BTreeSet<u64>,
    recent: RecentMessages,
    /// How many subscribers are connected.
    subscribers: usize,
    /// Invariant 4.
    log: InvalidationLog,
    /// The last connection for which a heartbeat was requested so that it gets introduced.
    asked_for: Option<ConnectionId>,
    /// Connections whose introduction was published and may come back.
    awaited: Vec<ConnectionId>,
    /// The latest known invalidation, and one of its tags. A server that doesn't have it recorded has lost it.
    witness: Option<(u64, TagId)>,
}

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Bus {
    names: Arc<Names>,
    /// The random id of this process.
    origin: String,
    /// How many invalidations by this process have failed; part of the author's name (invariant 5).
    unsure: AtomicU64,
    pub(crate) known: KnownSequence,
    pub(crate) waiters: Arc<LeaseWaiters>,
    listeners: Mutex<Vec<ListenerHandle>>,
    state: Mutex<State>,
    /// A copy of `heard` that can be awaited. It is set once the listeners have been told.
    progress: watch::Sender<Option<u64>>,
    /// Wakes the heartbeat: a comparison is due.
    pub(crate) due: Notify,
    monitor: Arc<Monitor>,
}

impl Bus {
    pub(crate) fn new(names: Arc<Names>, origin: String, monitor: Arc<Monitor>) -> Self {
        Self {
            names,
            origin,
            unsure: AtomicU64::new(0),
            known: KnownSequence::default(),
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
        // The comparison tells the new listener how long it may trust its entries.
        self.due.notify_one();
    }

    /// The author named in messages of invalidations that begin now (invariant 5).
    pub(crate) fn author(&self) -> String {
        format!("{}.{}", self.origin, self.unsure.load(Ordering::Acquire))
    }

    /// Tells all listeners to drop everything.
    pub(crate) fn doubt(&self) {
        for listener in self.listeners().iter().filter_map(ListenerHandle::upgrade) {
            listener.doubt();
        }
    }

    /// A repair has restarted the sequence. What was known of the old one no longer counts.
    pub(crate) fn restart(&self, sequence: u64) {
        self.known.restart(sequence);
        let mut state = self.lock();
        state.witness = None;
        // The same numbers may be given out again.
        state.recent = RecentMessages::default();
        drop(state);
        self.lose_track();
    }

    /// An entry holds a stamp beyond the sequence that was read. If the stamp is plausible, the heartbeat has to read the
    /// sequence.
    pub(crate) fn suspect(&self, stamp: u64) {
        if self.known.hear(stamp) {
            self.due.notify_one();
        }
    }

    /// Forgets what was heard, until the next comparison, and requests one.
    pub(crate) fn lose_track(&self) {
        self.forget(&mut self.lock());
        self.doubt();
        self.due.notify_one();
    }

    /// Says how far everything was heard, once the listeners have been told.
    fn announce(&self) {
        let state = self.lock();
        self.progress.send_replace(state.heard);
    }

    /// Whether the listeners know of everything up to this number.
    pub(crate) fn has_delivered(&self, number: u64) -> bool {
        self.progress.borrow().is_some_and(|heard| heard >= number)
    }

    /// Up to which number the listeners know of everything.
    pub(crate) fn delivered(&self) -> watch::Receiver<Option<u64>> {
        self.progress.subscribe()
    }

    /// Whether messages can come in.
    pub(crate) fn is_listening(&self) -> bool {
        self.lock().subscribers > 0
    }

    fn forget(&self, state: &mut State) {
        state.heard = None;
        state.early.clear();
        state.log.stop();
        state.asked_for = None;
        state.awaited.clear();
        self.progress.send_replace(None);
    }

    /// Whether [`judge`](Self::judge) can usually answer without asking the buckets.
    pub(crate) fn is_informed(&self) -> bool {
        self.lock().log.is_of_use()
    }

    /// Judges an entry by what was heard, without asking Redis. The entry and the sequence (`moment`) must have been read after
    /// the call began.
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

    /// Remembers what the buckets said. They must have been read after the sequence.
    pub(crate) fn remember(&self, moment: Moment, said: impl IntoIterator<Item = (TagId, u64)>) {
        self.lock().log.remember(moment, said);
    }

    /// An invalidation with this number has been recorded in Redis.
    pub(crate) fn witness(&self, number: u64, tags: &[TagId]) {
        let witness = tags.first().filter(|_| number > 0).map(|tag| (number, *tag));
        let mut state = self.lock();
        state.witness = state.witness.max(witness);
    }

    /// The latest known invalidation, and one of its tags.
    pub(crate) fn last_witnessed(&self) -> Option<(u64, TagId)> {
        self.lock().witness
    }

    /// Which of these connections haven't been introduced. They must be all connections to the sequence's server.
    pub(crate) fn strangers(&self, connections: &[ConnectionId]) -> Vec<ConnectionId> {
        let mut state = self.lock();
        let strangers = state.log.strangers(connections);
        state.awaited.clone_from(&strangers);
        strangers
    }

    /// The message that introduces a connection when it is published through it.
    pub(crate) fn introduction(&self, connection: ConnectionId, server: &str) -> Bytes {
        message::introduction(&self.origin, connection, server)
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

#[cfg(test)]
mod tests;

//! Counts trouble, and decides for each kind when it begins and when it is over.
//!
//! An episode of a kind begins when trouble of that kind occurs, and has one or more sources: servers that don't answer,
//! operations that fail. It is over when each of its sources is over. A source whose operation nobody tries again counts as over
//! after [`QUIET`].

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::kind::{KINDS, TroubleKind};
use super::reporter::{Hooks, Report, Reporter};
use super::{Health, Recovery, Trouble};
use crate::error::Fault;

/// What is done with Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operation {
    Connect,
    Read,
    Lease,
    Wait,
    Store,
    Touch,
    Invalidate,
    Renew,
    Hold,
    Release,
    Heartbeat,
    Listen,
    Notifications,
    Layout,
}

impl Operation {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Connect => "connecting",
            Self::Read => "reading an entry",
            Self::Lease => "taking a lease",
            Self::Wait => "waiting for another process",
            Self::Store => "storing an entry",
            Self::Touch => "prolonging an entry's life",
            Self::Invalidate => "invalidating",
            Self::Renew => "renewing a lease",
            Self::Hold => "holding tags for a write",
            Self::Release => "releasing a lease",
            Self::Heartbeat => "reading the clock",
            Self::Listen => "listening to invalidations",
            Self::Notifications => "looking whether keyspace notifications are on",
            Self::Layout => "reading the cluster's layout",
        }
    }
}

/// Where trouble comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    /// It fails. Where there are several servers it may fail at one and succeed at another.
    Operation(Operation),
    /// Commands aren't answered by the server of this name.
    Server(Arc<str>),
    /// No messages are heard from it.
    Listening(Arc<str>),
    /// It doesn't send notifications.
    Notifications(Arc<str>),
    /// Our own.
    Thread,
}

#[derive(Debug)]
struct Met {
    last: Instant,
    /// It has succeeded since.
    succeeded: bool,
}

#[derive(Debug)]
struct Episode {
    since: Instant,
    faults: u64,
    sources: BTreeMap<Source, Met>,
}

/// An operation that succeeds so soon after it has failed may have succeeded elsewhere: the trouble goes on until there was
/// none for so long.
const SETTLED: Duration = Duration::from_millis(500);

/// What wasn't met for so long is over.
const QUIET: Duration = Duration::from_secs(60);

/// See the head of this file.
pub(crate) struct Monitor {
    counts: [AtomicU64; KINDS],
    pub(crate) reconnects: AtomicU64,
    episodes: Mutex<BTreeMap<TroubleKind, Episode>>,
    /// Spares the usual success the lock.
    any_episode: AtomicBool,
    reporter: Arc<Reporter>,
}

impl Monitor {
    pub(crate) fn new(hooks: Hooks) -> Self {
        Self {
            counts: Default::default(),
            reconnects: AtomicU64::new(0),
            episodes: Mutex::default(),
            any_episode: AtomicBool::new(false),
            reporter: Reporter::new(hooks),
        }
    }

    pub(crate) fn fault(&self, during: Operation, fault: &Fault) {
        let Some(kind) = fault.trouble() else { return };
        let source = match fault.server() {
            Some(server) if kind.is_of_connection() => Source::Server(Arc::clone(server)),
            _ => Source::Operation(during),
        };
        self.met(source, during, kind, || fault.report());
    }

    /// A fault of one server, which only that server can end.
    pub(crate) fn fault_at(&self, source: Source, during: Operation, fault: &Fault) {
        if let Some(kind) = fault.trouble() {
            self.met(source, during, kind, || fault.report());
        }
    }

    pub(crate) fn trouble(&self, during: Operation, kind: TroubleKind, message: String) {
        self.met(Source::Operation(during), during, kind, || message);
    }

    pub(crate) fn trouble_at(&self, source: Source, during: Operation, kind: TroubleKind, message: String) {
        self.met(source, during, kind, || message);
    }

    fn met(&self, source: Source, during: Operation, kind: TroubleKind, message: impl FnOnce() -> String) {
        if let Some(count) = self.counts.get(kind as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let (now, mut episodes) = (Instant::now(), self.lock());
        let episode =
            episodes.entry(kind).or_insert_with(|| Episode { since: now, faults: 0, sources: BTreeMap::new() });
        episode.faults += 1;
        episode.sources.insert(source, Met { last: now, succeeded: false });
        if episode.faults == 1 {
            // Under the lock: its end must not be told before.
            let trouble = Trouble { kind, during: during.name(), message: message() };
            self.reporter.tell(Report::Trouble(trouble));
        }
        self.any_episode.store(true, Ordering::Release);
    }

    /// The operation has succeeded.
    pub(crate) fn success(&self, of: Operation) {
        if self.has_episodes() {
            self.succeeded(of, Instant::now());
        }
    }

    fn succeeded(&self, of: Operation, now: Instant) {
        let heartbeat = of == Operation::Heartbeat;
        self.settle(now, |kind, source, met| {
            if let Source::Operation(operation) = source {
                met.succeeded |= *operation == of;
                // With whom is unknown, so any answer may be theirs.
                if kind.is_of_connection() {
                    return true;
                }
            }
            let since = now.saturating_duration_since(met.last);
            let settled = since >= SETTLED || *source == Source::Operation(Operation::Layout);
            let is_quiet = since >= QUIET && matches!(source, Source::Operation(_) | Source::Server(_));
            (met.succeeded && settled) || (heartbeat && is_quiet)
        });
    }

    /// The server has answered a command.
    pub(crate) fn answered(&self, server: &str) {
        if self.has_episodes() {
            self.settle(Instant::now(), |kind, source, _| {
                kind.is_of_connection() && matches!(source, Source::Server(name) if **name == *server)
            });
        }
    }

    /// What came from there is over, of whatever kind it is.
    pub(crate) fn over(&self, over: &Source) {
        self.settle(Instant::now(), |_, source, _| source == over);
    }

    /// These are all servers there are: nobody needs another.
    pub(crate) fn servers(&self, are: &[Arc<str>]) {
        self.settle(Instant::now(), |_, source, _| match source {
            Source::Operation(_) | Source::Thread => false,
            Source::Server(name) | Source::Listening(name) | Source::Notifications(name) => !are.contains(name),
        });
    }

    /// Takes away sources that are over, and ends episodes without any.
    fn settle(&self, now: Instant, mut is_over: impl FnMut(TroubleKind, &Source, &mut Met) -> bool) {
        let mut episodes = self.lock();
        episodes.retain(|kind, episode| {
            episode.sources.retain(|source, met| !is_over(*kind, source, met));
            if episode.sources.is_empty() {
                let lasted = now.saturating_duration_since(episode.since);
                self.reporter.tell(Report::Recovery(Recovery { kind: *kind, lasted, faults: episode.faults }));
            }
            !episode.sources.is_empty()
        });
        self.any_episode.store(!episodes.is_empty(), Ordering::Release);
    }

    fn has_episodes(&self) -> bool {
        self.any_episode.load(Ordering::Acquire)
    }

    pub(crate) fn snapshot(&self, connected: bool, listening: bool, keyspace_notifications: bool) -> Health {
        Health {
            remembered_invalidations: 0,
            connected,
            listening,
            keyspace_notifications,
            reconnects: self.reconnects.load(Ordering::Relaxed),
            troubles: std::array::from_fn(|kind| {
                self.counts.get(kind).map_or(0, |count| count.load(Ordering::Relaxed))
            }),
            ongoing: self.lock().keys().copied().collect(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<TroubleKind, Episode>> {
        self.episodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Monitor").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

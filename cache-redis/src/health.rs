//! What goes wrong is counted, and reported once per episode.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Fault;

/// A kind of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TroubleKind {
    /// No connection, or it broke.
    Unreachable,
    /// TLS failed.
    Tls,
    /// Redis did not answer in time.
    Timeout,
    /// Redis is loading its data, its cluster is down or being rearranged, or it has fewer replicas than it must have.
    NotReady,
    /// Redis is a replica.
    ReadOnly,
    /// `maxmemory` is reached and nothing may be evicted.
    OutOfMemory,
    /// Wrong password, or missing permissions.
    Denied,
    /// Invalidations of others were missed; memory layers were told to forget everything.
    MissedMessages,
    /// The clock of invalidations went back, as by a failover that lost writes; it was pushed forward.
    ClockWentBack,
    /// A background refresh of the cluster's layout failed.
    Layout,
    /// Another client of the server has switched keyspace notifications off. They are switched on again if that is
    /// permitted; meanwhile waiters are woken by messages.
    NotificationsOff,
    /// A key of ours held something else; it was replaced.
    WrongType,
    /// Anything else Redis answered.
    Other,
}

const KINDS: usize = ALL.len();

/// In their order.
const ALL: [TroubleKind; TroubleKind::Other as usize + 1] = [
    TroubleKind::Unreachable,
    TroubleKind::Tls,
    TroubleKind::Timeout,
    TroubleKind::NotReady,
    TroubleKind::ReadOnly,
    TroubleKind::OutOfMemory,
    TroubleKind::Denied,
    TroubleKind::MissedMessages,
    TroubleKind::ClockWentBack,
    TroubleKind::Layout,
    TroubleKind::NotificationsOff,
    TroubleKind::WrongType,
    TroubleKind::Other,
];

/// Something went wrong. Cached functions run their bodies meanwhile; nothing has to be done for that.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Trouble {
    /// What kind.
    pub kind: TroubleKind,
    /// What was being done.
    pub during: &'static str,
    /// The details: with whom, what the server said and what to do about it. Contains no password.
    pub message: String,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (during {})", self.message, self.during)
    }
}

/// How the connection to Redis fares: a snapshot, see [`Redis::health`](crate::Redis::health). `Debug` names every kind of
/// trouble that was met, with its count.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// Whether all servers are connected at this moment.
    pub connected: bool,
    /// Whether invalidations by others are heard at this moment.
    pub listening: bool,
    /// Whether waiters are woken by keyspace notifications; else by messages of those who release a lease.
    pub keyspace_notifications: bool,
    /// How often connections were lost and made again.
    pub reconnects: u64,
    troubles: [u64; KINDS],
}

impl Health {
    /// How often that kind of trouble was met.
    pub fn count(&self, kind: TroubleKind) -> u64 {
        self.troubles.get(kind as usize).copied().unwrap_or_default()
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let met = ALL.iter().map(|kind| (kind, self.count(*kind))).filter(|(_, count)| *count > 0);
        f.debug_struct("Health")
            .field("connected", &self.connected)
            .field("listening", &self.listening)
            .field("keyspace_notifications", &self.keyspace_notifications)
            .field("reconnects", &self.reconnects)
            .field("troubles", &met.collect::<BTreeMap<_, _>>())
            .finish()
    }
}

/// What is done with Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operation {
    Connect,
    Read,
    Lease,
    Wait,
    Store,
    Invalidate,
    Renew,
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
            Self::Invalidate => "invalidating",
            Self::Renew => "renewing a lease",
            Self::Release => "releasing a lease",
            Self::Heartbeat => "reading the clock",
            Self::Listen => "listening to invalidations",
            Self::Notifications => "looking whether keyspace notifications are on",
            Self::Layout => "reading the cluster's layout",
        }
    }
}

pub(crate) type OnError = Arc<dyn Fn(&Trouble) + Send + Sync>;

/// Counts and reports.
pub(crate) struct Monitor {
    counts: [AtomicU64; KINDS],
    pub(crate) reconnects: AtomicU64,
    /// Of each kind that is going on, the operations it was met in and that have not succeeded since. An episode of a
    /// kind begins with the first and ends when there is none left.
    episodes: Mutex<BTreeMap<TroubleKind, BTreeSet<Operation>>>,
    /// Spares the usual success the lock.
    any_episode: AtomicBool,
    on_error: Option<OnError>,
}

impl Monitor {
    pub(crate) fn new(on_error: Option<OnError>) -> Self {
        Self {
            counts: Default::default(),
            reconnects: AtomicU64::new(0),
            episodes: Mutex::default(),
            any_episode: AtomicBool::new(false),
            on_error,
        }
    }

    pub(crate) fn fault(&self, during: Operation, fault: &Fault) {
        if let Some(kind) = fault.trouble() {
            self.trouble(during, kind, fault.report());
        }
    }

    pub(crate) fn trouble(&self, during: Operation, kind: TroubleKind, message: String) {
        if let Some(count) = self.counts.get(kind as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let mut episodes = self.episodes.lock().unwrap_or_else(PoisonError::into_inner);
        let met_in = episodes.entry(kind).or_default();
        let begins = met_in.is_empty();
        met_in.insert(during);
        self.any_episode.store(true, Ordering::Release);
        drop(episodes);
        if let (true, Some(on_error)) = (begins, self.on_error.clone()) {
            let trouble = Trouble { kind, during: during.name(), message };
            // The user's code: it may block, panic, or call into the cache.
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                drop(runtime.spawn_blocking(move || on_error(&trouble)));
            }
        }
    }

    pub(crate) fn success(&self, of: Operation) {
        if !self.any_episode.load(Ordering::Acquire) {
            return;
        }
        let mut episodes = self.episodes.lock().unwrap_or_else(PoisonError::into_inner);
        episodes.retain(|kind, met_in| {
            // An answer, whatever it was asked for, shows that there is a connection.
            let over = matches!(kind, TroubleKind::Unreachable | TroubleKind::Tls | TroubleKind::Timeout)
                && of != Operation::Listen;
            met_in.remove(&of);
            if over {
                met_in.retain(|operation| *operation == Operation::Listen);
            }
            !met_in.is_empty()
        });
        self.any_episode.store(!episodes.is_empty(), Ordering::Release);
    }

    pub(crate) fn snapshot(&self, connected: bool, listening: bool, keyspace_notifications: bool) -> Health {
        Health {
            connected,
            listening,
            keyspace_notifications,
            reconnects: self.reconnects.load(Ordering::Relaxed),
            troubles: std::array::from_fn(|kind| {
                self.counts.get(kind).map_or(0, |count| count.load(Ordering::Relaxed))
            }),
        }
    }
}

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Monitor").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn once_per_episode() {
        let (sender, mut reports) = tokio::sync::mpsc::unbounded_channel();
        let monitor = Monitor::new(Some(Arc::new(move |trouble: &Trouble| {
            let _ = sender.send(trouble.kind);
        })));
        for _ in 0..3 {
            monitor.fault(Operation::Read, &Fault::TimedOut(None));
            monitor.fault(Operation::Store, &Fault::refused("OOM x"));
        }
        monitor.success(Operation::Read); // ends the timeouts only
        monitor.fault(Operation::Store, &Fault::refused("OOM x"));
        monitor.fault(Operation::Read, &Fault::TimedOut(None));
        let mut kinds = Vec::new();
        for _ in 0..3 {
            kinds.push(reports.recv().await.unwrap());
        }
        kinds.sort();
        assert_eq!(kinds, [TroubleKind::Timeout, TroubleKind::Timeout, TroubleKind::OutOfMemory]);
        assert!(reports.try_recv().is_err());
        let health = monitor.snapshot(true, true, false);
        assert_eq!(health.count(TroubleKind::OutOfMemory), 4);
        let shown = "Health { connected: true, listening: true, keyspace_notifications: false, reconnects: 0, \
                     troubles: {Timeout: 4, OutOfMemory: 4} }";
        assert_eq!(format!("{health:?}"), shown);
    }

    #[test]
    fn kinds_are_counted_each_in_its_place() {
        assert!(ALL.iter().enumerate().all(|(place, kind)| *kind as usize == place));
    }
}

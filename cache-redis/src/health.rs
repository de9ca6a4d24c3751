//! What goes wrong is counted, and reported when it begins and when it is over.

mod monitor;
mod reporter;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

pub(crate) use self::monitor::{Monitor, Operation, Source};
pub(crate) use self::reporter::Hooks;

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
    /// A thread of larder's own doesn't take up requests: it is stuck in code that it calls, or stopped by a debugger.
    Stuck,
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
    TroubleKind::Stuck,
    TroubleKind::NotificationsOff,
    TroubleKind::WrongType,
    TroubleKind::Other,
];

impl TroubleKind {
    fn name(self) -> &'static str {
        match self {
            Self::Unreachable => "missing connections to Redis",
            Self::Tls => "failing TLS with Redis",
            Self::Timeout => "answers of Redis that come too late",
            Self::NotReady => "Redis not being ready",
            Self::ReadOnly => "Redis being a replica",
            Self::OutOfMemory => "Redis being out of memory",
            Self::Denied => "missing permissions at Redis",
            Self::MissedMessages => "missed invalidations",
            Self::ClockWentBack => "a clock of invalidations that went back",
            Self::Layout => "an unknown layout of the cluster",
            Self::Stuck => "a thread of larder's that is stuck",
            Self::NotificationsOff => "missing keyspace notifications",
            Self::WrongType => "keys of larder's that another client overwrites",
            Self::Other => "other trouble with Redis",
        }
    }

    /// Whether it is about the way to a server: then any answer ends it.
    fn is_of_connection(self) -> bool {
        matches!(self, Self::Unreachable | Self::Tls | Self::Timeout)
    }
}

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

/// Trouble that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// What kind.
    pub kind: TroubleKind,
    /// How long it went on.
    pub lasted: Duration,
    /// How often it was met.
    pub faults: u64,
}

impl fmt::Display for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, lasted, faults } = self;
        let times = if *faults == 1 { "once" } else { "times" };
        let count = if *faults == 1 { String::new() } else { format!("{faults} ") };
        write!(f, "{} is over; it lasted {:.1} s and was met {count}{times}", kind.name(), lasted.as_secs_f64())
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
    /// How often a connection for commands was made again after it had been lost.
    pub reconnects: u64,
    troubles: [u64; KINDS],
    ongoing: Vec<TroubleKind>,
}

impl Health {
    /// How often that kind of trouble was met.
    pub fn count(&self, kind: TroubleKind) -> u64 {
        self.troubles.get(kind as usize).copied().unwrap_or_default()
    }

    /// Whether that kind of trouble is going on: it was met, and isn't known to be over.
    pub fn is_ongoing(&self, kind: TroubleKind) -> bool {
        self.ongoing.contains(&kind)
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
            .field("ongoing", &self.ongoing)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_counted_each_in_its_place() {
        assert!(ALL.iter().enumerate().all(|(place, kind)| *kind as usize == place));
    }

    #[test]
    fn recoveries_as_they_are_printed() {
        let recovery =
            |faults| Recovery { kind: TroubleKind::OutOfMemory, lasted: Duration::from_millis(1234), faults };
        let words = "Redis being out of memory is over; it lasted 1.2 s and was met ";
        assert_eq!(recovery(1).to_string(), format!("{words}once"));
        assert_eq!(recovery(17).to_string(), format!("{words}17 times"));
    }
}

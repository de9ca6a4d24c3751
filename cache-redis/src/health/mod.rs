//! Trouble with Redis: it is counted, and reported when it begins and when it is over.
//!
//! | file | what it is about |
//! |---|---|
//! | `kind` | the kinds of trouble, and which of them a fault is |
//! | `monitor` | counts, and decides when trouble begins and when it is over |
//! | `reporter` | calls the user's hooks, on a thread of their own |

mod kind;
mod monitor;
mod reporter;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

pub use self::kind::TroubleKind;
use self::kind::{ALL, KINDS};
pub(crate) use self::monitor::{Monitor, Operation, Source};
pub(crate) use self::reporter::Hooks;

/// Trouble that has begun. Cached functions keep working: they run their bodies where Redis can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Trouble {
    /// The kind of trouble.
    pub kind: TroubleKind,
    /// The operation that failed, for example "reading an entry".
    pub during: &'static str,
    /// The details: which server, what it answered, and what to do about it. Contains no password.
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
    /// The kind of trouble.
    pub kind: TroubleKind,
    /// How long it lasted.
    pub lasted: Duration,
    /// How often it occurred.
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

/// The state of the connection to Redis at one moment; see [`Redis::health`](crate::Redis::health). `Debug` shows every kind of
/// trouble that has occurred, with its count.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// Whether there is a connection to every server.
    pub connected: bool,
    /// Whether messages about invalidations by other processes are being received from every server.
    pub listening: bool,
    /// Whether processes that wait for a lease are woken by keyspace notifications. Otherwise they are woken by a message from
    /// the process that releases it.
    pub keyspace_notifications: bool,
    /// How often connections for commands were opened again after they had been lost.
    pub reconnects: u64,
    /// How many tags were invalidated by this process and aren't recorded in Redis yet, because Redis couldn't be reached or
    /// refused. They are recorded before this process reads from Redis again. Beyond 10,000 tags, and after a `reset`, it is one:
    /// everything.
    pub remembered_invalidations: usize,
    troubles: [u64; KINDS],
    ongoing: Vec<TroubleKind>,
}

impl Health {
    /// How often this kind of trouble has occurred.
    pub fn count(&self, kind: TroubleKind) -> u64 {
        self.troubles.get(kind as usize).copied().unwrap_or_default()
    }

    /// Whether this kind of trouble is going on: it has occurred, and isn't known to be over.
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
            .field("remembered_invalidations", &self.remembered_invalidations)
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

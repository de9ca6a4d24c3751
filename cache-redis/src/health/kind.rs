//! Kinds of trouble, and which of them a fault is.

use crate::error::{Fault, ServerError};

/// A kind of trouble with Redis. Cached functions keep working in all of them: they run their bodies where Redis can't be
/// used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TroubleKind {
    /// There is no connection to a server, or the connection broke.
    Unreachable,
    /// A TLS handshake failed: a certificate isn't trusted, or only one side uses TLS.
    Tls,
    /// Redis did not answer within the [timeout](crate::RedisBuilder::timeout).
    Timeout,
    /// Redis can't be used at the moment: it is loading its data, its cluster is down or moves slots, or it has fewer replicas
    /// than `min-replicas-to-write`.
    NotReady,
    /// The server is a read-only replica.
    ReadOnly,
    /// Redis has reached `maxmemory`, and its `maxmemory-policy` doesn't allow it to evict keys.
    OutOfMemory,
    /// The password is wrong, or the user lacks a permission.
    Denied,
    /// Messages about invalidations were lost, so this process dropped its entries from memory.
    MissedMessages,
    /// Redis has lost invalidations, for example in a failover: the number of the latest one, in the key `clock`, went back.
    /// It was moved forward, and all entries were dropped.
    ClockWentBack,
    /// The cluster's layout (which node has which slots) could not be read again. The last known layout stays in use.
    Layout,
    /// larder's own thread doesn't process requests: it is stuck in code that it calls, or a debugger has stopped it.
    Stuck,
    /// Another client has removed the flags that larder needs from the server's `notify-keyspace-events`, or the user has lost
    /// the permission to read that setting. larder adds the flags again if it may. Until then, a process that waits for a
    /// lease is woken by a message from the process that releases it, or asks Redis several times a second.
    NotificationsOff,
    /// A key of larder's held a value of another type, written by another client. It was replaced.
    WrongType,
    /// Redis gave an error that is none of the above.
    Other,
}

pub(super) const KINDS: usize = ALL.len();

/// In the order of their declaration: a kind's counter is found by its discriminant.
pub(super) const ALL: [TroubleKind; TroubleKind::Other as usize + 1] = [
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
    pub(super) fn name(self) -> &'static str {
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

    /// Whether it is trouble with the connection to a server. Any answer of that server ends it.
    pub(super) fn is_of_connection(self) -> bool {
        matches!(self, Self::Unreachable | Self::Tls | Self::Timeout)
    }
}

impl Fault {
    /// The kind under which the fault is counted and reported; `None` for faults that are the caller's own doing.
    pub(crate) fn trouble(&self) -> Option<TroubleKind> {
        Some(match self {
            Self::Closed | Self::Forked => return None,
            Self::Stuck => TroubleKind::Stuck,
            Self::Unreachable(..) | Self::Broken(..) => TroubleKind::Unreachable,
            Self::Untrusted(..) => TroubleKind::Tls,
            Self::Mismatch(_, mismatch, _) if mismatch.is_of_tls() => TroubleKind::Tls,
            Self::Mismatch(..) => TroubleKind::Unreachable,
            Self::TimedOut(_) => TroubleKind::Timeout,
            Self::Refused(refusal, _) => match refusal {
                ServerError::NotNow | ServerError::NoReplicas | ServerError::Moved | ServerError::Ask => {
                    TroubleKind::NotReady
                }
                ServerError::ReadOnly => TroubleKind::ReadOnly,
                ServerError::OutOfMemory => TroubleKind::OutOfMemory,
                ServerError::Denied => TroubleKind::Denied,
                ServerError::NoScript | ServerError::Other => TroubleKind::Other,
            },
            Self::MayNotListen(..) => TroubleKind::Denied,
            Self::Unexpected(_) => TroubleKind::Other,
        })
    }
}

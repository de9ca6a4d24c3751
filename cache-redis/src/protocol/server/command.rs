//! Commands and scripts with their arguments, replies, and published messages.

use std::rc::Rc;

use cache_core::backend::{HeldTag, TagId};

use crate::protocol::application::{Key, Value};

/// An entry as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    /// Unique, and never 0.
    pub(crate) id: u64,
    pub(crate) value: Value,
    pub(crate) tags: Vec<HeldTag>,
}

#[derive(Clone, Debug)]
pub(crate) enum Command {
    GetSequence,
    /// Tags of one bucket, read together with its floor.
    GetTags(Vec<TagId>),
    GetEntry(Key),
    GetLease(Key),
    Stamp {
        /// The greatest sequence that a server has told the caller.
        told: u64,
        tags: Vec<TagId>,
    },
    /// The earliest end of a hold.
    GetHolds,
    GetTime,
    /// Places or renews a hold.
    Hold {
        told: u64,
        author: String,
        token: u64,
        /// In microseconds.
        duration: u64,
        tags: Vec<TagId>,
        /// For the mistakes: the script does the same in both cases.
        renews: bool,
    },
    Invalidate {
        told: u64,
        author: String,
        /// The hold that ends well with it.
        end_of: Option<u64>,
        /// There is no memory to make a sequence.
        no_sequence: bool,
        tags: Vec<TagId>,
        /// The invalidation's id, for the checks.
        by: u64,
    },
    Repair {
        /// The value that the sequence should have reached.
        least: u64,
        author: String,
    },
    Lease {
        key: Key,
        /// The id of the entry that the caller saw.
        seen: u64,
        token: u64,
        duration: u64,
        /// Whoever holds it loses it.
        takes_over: bool,
    },
    Renew {
        key: Key,
        token: u64,
        duration: u64,
    },
    GiveUp {
        key: Key,
        token: u64,
    },
    Release {
        key: Key,
        token: u64,
        /// The run has left nothing.
        unstored: bool,
    },
    Store {
        key: Key,
        token: u64,
        entry: Rc<Stored>,
    },
    Publish(Vec<u8>),
}

impl Command {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::GetSequence => "GET clock",
            Self::GetTags(_) => "HMGET tags",
            Self::GetEntry(_) => "GET entry",
            Self::GetLease(_) => "GET lease",
            Self::Stamp { .. } => "STAMP",
            Self::GetHolds => "ZRANGE holds",
            Self::GetTime => "TIME",
            Self::Hold { .. } => "HOLD",
            Self::Invalidate { .. } => "INVALIDATE",
            Self::Repair { .. } => "REPAIR",
            Self::Lease { .. } => "LEASE",
            Self::Renew { .. } => "RENEW",
            Self::GiveUp { .. } => "GIVE UP",
            Self::Release { .. } => "RELEASE",
            Self::Store { .. } => "STORE",
            Self::Publish(_) => "PUBLISH",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Number(i64),
    Pair(i64, i64),
    Sequence(Option<u64>),
    /// The last invalidation of each tag; `None` if the bucket is lost.
    Tags(Vec<(TagId, Option<u64>)>),
    Entry(Option<Rc<Stored>>),
    /// The earliest end of a hold; `None` if the set is lost.
    Earliest(Option<u64>),
    Time(u64),
    /// The lease is held.
    Busy(Busy),
    /// The token of the lease's holder, and whether its end will be published.
    Holder(Option<(u64, bool)>),
    /// The write was refused because Redis is out of memory.
    OutOfMemory,
}

impl Reply {
    pub(crate) fn number(&self) -> Option<i64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Busy {
    pub(crate) holder: u64,
    /// The remaining life in microseconds.
    pub(crate) remaining: u64,
    /// The run before the holder's has left nothing.
    pub(crate) follows_unstored: bool,
}

/// A published message, by channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Published {
    Bus(Vec<u8>),
    Wake(Vec<u8>),
}

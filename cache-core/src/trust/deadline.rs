//! The trust deadline: until when an answer may be used although no backend vouches for it.

use crate::rt::clock::NEVER;

/// Until when something may be used though no backend vouches for this process's memory, in nanoseconds of the cache's
/// clock: `max_staleness` after its data was read. What is made of several things may be used only as long as the one
/// whose data was read first: else every level of nesting would add its own `max_staleness`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TrustDeadline {
    /// Moved on as far as the cache's own backends vouch for its memory.
    own: u64,
    /// For what is of other caches, whose backends aren't asked: for good.
    others: u64,
}

impl Default for TrustDeadline {
    fn default() -> Self {
        Self { own: NEVER, others: NEVER }
    }
}

impl TrustDeadline {
    pub(crate) fn new(until: u64) -> Self {
        Self { own: until, others: NEVER }
    }

    pub(crate) fn min(self, other: Self) -> Self {
        Self { own: self.own.min(other.own), others: self.others.min(other.others) }
    }

    /// When the cache's backends vouch for its memory.
    pub(crate) fn vouched(self, until: u64) -> Self {
        Self { own: self.own.max(until), ..self }
    }

    /// To what is in another cache.
    pub(crate) fn elsewhere(self) -> Self {
        Self { own: NEVER, others: self.until() }
    }

    pub(crate) fn until(self) -> u64 {
        self.own.min(self.others)
    }
}

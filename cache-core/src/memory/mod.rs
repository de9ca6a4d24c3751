//! The memory layer: its options, and the store that keeps the entries. Whether an entry may be used is not the store's
//! business; see `entry`.

#![cfg_attr(
    not(feature = "memory"),
    allow(dead_code, unreachable_pub, reason = "the options of a layer that isn't there")
)]

#[cfg(feature = "memory")]
mod deferred_drop;
#[cfg(feature = "memory")]
mod ends;
#[cfg(feature = "memory")]
mod ghosts;
#[cfg(feature = "memory")]
mod hit;
#[cfg(feature = "memory")]
mod recency;
#[cfg(feature = "memory")]
mod shard;
#[cfg(feature = "memory")]
mod store;
#[cfg(not(feature = "memory"))]
#[path = "no_store.rs"]
mod store;

use std::sync::Arc;
use std::time::Duration;

use crate::entry::CachedEntry;

#[cfg(feature = "memory")]
pub(crate) use self::deferred_drop::DeferredDrops;
#[cfg(feature = "memory")]
pub(crate) use self::hit::{hit, hit_long, hit_unusual};
pub(crate) use self::store::Store;
#[cfg(not(feature = "memory"))]
pub(crate) use self::store::{DeferredDrops, hit, hit_long, hit_unusual};

/// Options of the memory layer. Made by [`Memory::builder`]; given to
/// [`CacheBuilder::memory`](crate::CacheBuilder::memory).
///
/// ```
/// use std::time::Duration;
/// use cache_core::{Cache, Memory};
///
/// let cache = Cache::builder().memory(Memory::builder().max_entries(10_000).ttl(Duration::from_secs(60))).build()?;
/// # Ok::<(), cache_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Memory {
    pub(crate) bound: Bound,
    pub(crate) ttl: Option<Duration>,
}

impl Memory {
    /// How many entries the memory layer holds unless told otherwise.
    pub const DEFAULT_MAX_ENTRIES: u64 = 100_000;

    /// The default options, to be changed.
    pub fn builder() -> Self {
        Self { bound: Bound::Entries(Self::DEFAULT_MAX_ENTRIES), ttl: None }
    }

    /// The most entries that all functions without a bound of their own keep together; beyond, the least useful ones
    /// are dropped. Default: [`DEFAULT_MAX_ENTRIES`](Self::DEFAULT_MAX_ENTRIES).
    #[must_use]
    pub fn max_entries(mut self, entries: u64) -> Self {
        self.bound = Bound::Entries(entries);
        self
    }

    /// Nothing is dropped to make room: entries stay until their `ttl` is over or they are invalidated. For functions with a
    /// known number of results. Memory then grows with the number of different arguments.
    #[must_use]
    pub fn unlimited(self) -> Self {
        self.max_entries(u64::MAX)
    }

    /// The longest any entry stays in memory, whatever its function's `ttl`. Default: no limit.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::builder()
    }
}

/// What goes first where a bound is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Evict {
    /// What nobody has asked for again since it came in: S3-FIFO.
    #[default]
    Unasked,
    /// What was used least recently. The store is asked at each hit, as it has to know of all.
    Lru,
}

/// What became of an insertion into a store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inserted {
    pub(crate) has_room: bool,
    /// When the key was evicted, by [`Store::eviction_clock`], if that was not long ago.
    pub(crate) evicted_at: Option<u64>,
}

/// What a look into the store comes to that has no answer.
#[derive(Debug)]
pub(crate) enum NotFound {
    Absent,
    /// It had to make room for others a while ago.
    Evicted,
    /// What there is, of no use to who asks or not usable any more.
    Unusable(Arc<CachedEntry>),
}

/// The bound of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    Entries(u64),
    /// The sum of the entries' weights.
    Weight(u64),
}

//! The memory layer: moka keeps the entries within bounds and frees them when their lifetime ends. Whether an entry
//! may be used is not moka's business; see `stored`.

use std::hash::BuildHasherDefault;
use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::sync::Cache as Moka;

use crate::call_key::{CallKey, CallKeyRef};
use crate::clock::Clock;
use crate::freshness::IdHasher;
use crate::stored::{NEVER, Stored};

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

/// The bound of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    Entries(u64),
    /// The sum of the entries' weights.
    Weight(u64),
}

/// Entries in memory, of one function or of many.
#[derive(Clone)]
pub(crate) struct Store {
    entries: Moka<CallKey, Arc<Stored>, BuildHasherDefault<IdHasher>>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("entries", &self.entries.entry_count()).finish()
    }
}

impl Store {
    pub(crate) fn new(bound: Bound, clock: Clock) -> Self {
        let mut builder = Moka::builder().expire_after(Lifetime { clock });
        builder = match bound {
            Bound::Entries(entries) => builder.max_capacity(entries),
            Bound::Weight(weight) => {
                builder.max_capacity(weight).weigher(|_: &CallKey, entry: &Arc<Stored>| entry.meta.weight)
            }
        };
        Self { entries: builder.build_with_hasher(BuildHasherDefault::default()) }
    }

    #[inline]
    pub(crate) fn get(&self, key: &CallKeyRef<'_, '_>) -> Option<Arc<Stored>> {
        self.entries.get(key)
    }

    pub(crate) fn get_owned(&self, key: &CallKey) -> Option<Arc<Stored>> {
        self.entries.get(key)
    }

    pub(crate) fn insert(&self, key: CallKey, entry: Arc<Stored>) {
        self.entries.insert(key, entry);
    }

    /// Frees an entry that is no longer valid.
    pub(crate) fn remove(&self, key: &CallKey) {
        self.entries.invalidate(key);
    }

    /// Frees everything; what is in the store may be seen until it is found dead by its tags.
    pub(crate) fn clear(&self) {
        self.entries.invalidate_all();
    }

    /// Frees what is due, and counts the rest.
    pub(crate) fn maintain(&self) -> u64 {
        self.entries.run_pending_tasks();
        self.entries.entry_count()
    }
}

/// Tells moka when to free an entry. Reads don't depend on it: they look at the cache's own clock.
struct Lifetime {
    clock: Clock,
}

impl Lifetime {
    /// `None` leaves the entry to the bounds. moka goes by the operating system's clock, and hides what it finds due.
    fn left(&self, entry: &Stored) -> Option<Duration> {
        let expires = entry.meta.expires;
        (expires != NEVER && self.clock.is_system())
            .then(|| Duration::from_nanos(expires.saturating_sub(self.clock.nanos())))
    }
}

impl Expiry<CallKey, Arc<Stored>> for Lifetime {
    fn expire_after_create(&self, _: &CallKey, entry: &Arc<Stored>, _: Instant) -> Option<Duration> {
        self.left(entry)
    }

    fn expire_after_update(
        &self,
        _: &CallKey,
        entry: &Arc<Stored>,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        self.left(entry)
    }
}

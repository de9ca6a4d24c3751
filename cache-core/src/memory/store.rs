//! moka keeps the entries within bounds and frees them when their lifetime ends.

use std::hash::BuildHasherDefault;
use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::sync::Cache as Moka;
use moka::{Equivalent, Expiry};

use super::Bound;
use crate::call_key::{CallKey, CallKeyRef};
use crate::clock::Clock;
use crate::freshness::IdHasher;
use crate::stored::{NEVER, Stored};

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
    /// A new one; always, with the feature `memory`.
    #[allow(clippy::unnecessary_wraps, reason = "without the feature there is none")]
    pub(crate) fn open(bound: Bound, clock: &Clock) -> Option<Self> {
        let clock = clock.clone();
        let mut builder = Moka::builder().expire_after(Lifetime { clock });
        builder = match bound {
            Bound::Entries(entries) => builder.max_capacity(entries),
            Bound::Weight(weight) => {
                builder.max_capacity(weight).weigher(|_: &CallKey, entry: &Arc<Stored>| entry.meta.weight)
            }
        };
        Some(Self { entries: builder.build_with_hasher(BuildHasherDefault::default()) })
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
        let expires = entry.meta.lifespan.keep_until;
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

impl Equivalent<CallKey> for CallKeyRef<'_, '_> {
    #[inline]
    fn equivalent(&self, key: &CallKey) -> bool {
        key.matches(self)
    }
}

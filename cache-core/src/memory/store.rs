//! moka keeps the entries within bounds and frees them when their lifetime ends.

use std::hash::BuildHasherDefault;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use moka::sync::Cache as Moka;
use moka::{Equivalent, Expiry};

use super::deferred_drop::{Held, with_moka};
use super::{Bound, deferred_drop, hit};
use crate::entry::CachedEntry;
use crate::key::call_key::{CallKey, CallKeyRef};
use crate::rt::clock::Clock;
use crate::rt::clock::NEVER;
use crate::stats::Counters;
use crate::thread_cache::table::{GENERATIONS, MOST_SLOTS};
use crate::trust::validity::Validity;
use crate::util::id_hasher::IdHasher;

/// Entries in memory, of one function or of many. In front of it each thread has a table of what it asked for lately.
#[derive(Clone)]
pub(crate) struct Store {
    entries: Moka<CallKey, Held, BuildHasherDefault<IdHasher>>,
    /// Heavier entries aren't kept by the fronts.
    light: u32,
    /// Of a store that is bounded by weight.
    scales: Option<Arc<Scales>>,
}

/// What moka has taken in and not yet weighed.
#[derive(Debug)]
struct Scales {
    most: u64,
    unweighed: AtomicU64,
}

impl Scales {
    /// What moka may hold beyond the bound for a moment: one part in so many.
    const SHARE: u64 = 8;

    /// Whether there is room for an entry of this weight at all.
    fn hold(&self, weight: u32) -> bool {
        u64::from(weight) <= self.most
    }

    /// An entry comes in. Whether moka is to weigh those before: else it puts that off for up to hundreds of them.
    fn put_on(&self, weight: u32) -> bool {
        let before = self.unweighed.fetch_add(u64::from(weight), Ordering::Relaxed);
        let weigh = before >= self.most / Self::SHARE;
        if weigh {
            self.unweighed.store(u64::from(weight), Ordering::Relaxed);
        }
        weigh
    }
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
            Bound::Weight(weight) => builder
                .max_capacity(weight)
                .weigher(|_: &CallKey, held: &Held| held.get().map_or(0, |entry| entry.meta.weight())),
        };
        // So many may outlive their eviction in a thread that no longer calls.
        let light = match bound {
            Bound::Entries(_) => u32::MAX,
            Bound::Weight(weight) => u32::try_from(weight / MOST_SLOTS).unwrap_or(u32::MAX),
        };
        let scales = match bound {
            Bound::Entries(_) => None,
            Bound::Weight(most) => Some(Arc::new(Scales { most, unweighed: AtomicU64::new(0) })),
        };
        Some(Self { entries: builder.build_with_hasher(BuildHasherDefault::default()), light, scales })
    }

    /// Changes with each insertion of an entry of this hash, after the entry is in: who has read it before it looked, found
    /// nothing, and reads the same again, need not look again.
    #[inline]
    #[allow(clippy::unused_self, reason = "whoever has no store has no insertions")]
    pub(crate) fn generation(&self, hash: u64) -> u64 {
        GENERATIONS.now(hash)
    }

    /// Looks for an entry that `answer` can make something of.
    ///
    /// # Errors
    /// What there is, of no use to `answer` or not usable any more.
    pub(crate) fn look(
        &self,
        validity: &Validity,
        counters: &Counters,
        key: &CallKeyRef<'_, '_>,
        answer: &mut dyn FnMut(&CachedEntry) -> bool,
    ) -> Result<(), Option<Arc<CachedEntry>>> {
        // Before the store is asked: see `thread_cache`, invariant 1.
        let generation = GENERATIONS.now(key.hash_code());
        let Some(entry) = with_moka(|| self.entries.get(key)?.take()) else { return Err(None) };
        let usable = entry.usable(validity);
        let Some(usable) = usable.filter(|_| answer(&entry)) else { return Err(Some(entry)) };
        counters.memory_hit();
        if entry.meta.weight() <= self.light {
            hit::keep(counters, generation, key, &entry, usable);
        }
        Ok(())
    }

    pub(crate) fn get_owned(&self, key: &CallKey) -> Option<Arc<CachedEntry>> {
        with_moka(|| self.entries.get(key)?.take())
    }

    /// `false` if it has no room for such an entry; then it has none for the key.
    pub(crate) fn insert(&self, key: CallKey, entry: Arc<CachedEntry>) -> bool {
        let weight = entry.meta.weight();
        if self.scales.as_ref().is_some_and(|scales| !scales.hold(weight)) {
            // moka would answer with it until it weighs.
            self.withdraw(&key);
            return false;
        }
        with_moka(|| {
            let _changed = Changed(key.hash_code());
            // Before: what comes in is to answer the next calls, whatever moka thinks of it.
            if self.scales.as_ref().is_some_and(|scales| scales.put_on(weight)) {
                self.entries.run_pending_tasks();
            }
            self.entries.insert(key, Held::new(entry));
            deferred_drop::stored();
        });
        true
    }

    /// Takes an entry away that is valid, so that nobody gets it from here on.
    pub(crate) fn withdraw(&self, key: &CallKey) {
        with_moka(|| {
            let _changed = Changed(key.hash_code());
            self.entries.invalidate(key);
        });
    }

    /// Frees everything; what is in the store may be seen until it is found dead by its tags.
    pub(crate) fn clear(&self) {
        hit::clear_up();
        deferred_drop::clear_up();
        with_moka(|| self.entries.invalidate_all());
    }

    /// Frees what is due, and counts the rest.
    pub(crate) fn maintain(&self) -> u64 {
        hit::clear_up();
        deferred_drop::clear_up();
        with_moka(|| {
            self.entries.run_pending_tasks();
            self.entries.entry_count()
        })
    }
}

/// A change of what answers calls, which the fronts hear of at its end, however it ends.
struct Changed(u64);

impl Drop for Changed {
    fn drop(&mut self) {
        GENERATIONS.advance(self.0);
    }
}

/// Tells moka when to free an entry. Reads don't depend on it: they look at the cache's own clock.
struct Lifetime {
    clock: Clock,
}

impl Lifetime {
    /// `None` leaves the entry to the bounds. moka goes by the operating system's clock, and hides what it finds due.
    fn left(&self, entry: &CachedEntry) -> Option<Duration> {
        let expires = entry.meta.lifespan().keep_until;
        (expires != NEVER && self.clock.is_system())
            .then(|| Duration::from_nanos(expires.saturating_sub(self.clock.nanos())))
    }
}

impl Expiry<CallKey, Held> for Lifetime {
    fn expire_after_create(&self, _: &CallKey, held: &Held, _: Instant) -> Option<Duration> {
        self.left(held.get()?)
    }

    fn expire_after_update(&self, _: &CallKey, held: &Held, _: Instant, _: Option<Duration>) -> Option<Duration> {
        self.left(held.get()?)
    }
}

impl Equivalent<CallKey> for CallKeyRef<'_, '_> {
    #[inline]
    fn equivalent(&self, key: &CallKey) -> bool {
        key.matches(self)
    }
}

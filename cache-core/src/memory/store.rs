//! Entries in memory: in shards, each behind a lock that is held for no longer than a look takes.
//!
//! No code of the user's runs under a lock. Keys that only their own `Eq` can tell apart are compared outside, and what comes
//! out is dropped there.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use super::deferred_drop;
use super::shard::{New, Out, Shard};
use super::{Bound, DeferredDrops, Evict, Inserted, NotFound, hit};
use crate::entry::CachedEntry;
use crate::flight::per_key::{self, Asked};
use crate::key::call_key::{CallKey, CallKeyRef};
use crate::rt::clock::Clock;
use crate::stats::Counters;
use crate::stats::kinds::EvictionCause;
use crate::thread_cache::table::{GENERATIONS, MOST_SLOTS};
use crate::trust::validity::Validity;
use crate::util::sync::lock;

/// Entries in memory, of one function or of many. In front of it each thread has a table of what it asked for lately.
#[derive(Clone)]
pub(crate) struct Store(Arc<Inner>);

struct Inner {
    shards: Box<[Line]>,
    bound: Bound,
    /// Heavier entries aren't kept by the fronts.
    light: u32,
    /// By which entries end.
    clock: Clock,
    /// So many insertions are one unit of the time by which evictions are remembered.
    unit: u64,
    inserted: Count,
}

/// Counts insertions. Apart from what each look reads.
#[derive(Default)]
#[repr(align(128))]
struct Count(AtomicU64);

/// On cache lines of its own.
#[repr(align(128))]
struct Line(Mutex<Shard<CallKey, Arc<CachedEntry>>>);

/// Of a store for so many entries or fewer there is one shard: its bound is exact then.
const EXACT: u64 = 1_000;
const SHARDS: u64 = 16;
/// A bound is so many units of the time by which evictions are remembered.
const UNITS: u64 = 16;

/// A key that is looked for.
trait Wanted {
    fn hash(&self) -> u64;

    /// Whether it is that key, as far as can be told without code of the user's.
    fn is_known_to_be(&self, key: &CallKey) -> Option<bool>;

    /// Whether it is that key, by the user's word.
    fn is(&self, key: &CallKey) -> bool;
}

impl Wanted for CallKeyRef<'_, '_> {
    fn hash(&self) -> u64 {
        self.hash_code()
    }

    fn is_known_to_be(&self, key: &CallKey) -> Option<bool> {
        key.is_known_to_match(self)
    }

    fn is(&self, key: &CallKey) -> bool {
        key.matches(self)
    }
}

impl Wanted for CallKey {
    fn hash(&self) -> u64 {
        self.hash_code()
    }

    fn is_known_to_be(&self, key: &CallKey) -> Option<bool> {
        per_key::Key::is_known_to_be(key, self)
    }

    fn is(&self, key: &CallKey) -> bool {
        key == self
    }
}

/// A shard, and where a key is in it.
struct Located<'s> {
    shard: Locked<'s>,
    found: Option<u32>,
    /// Dropped after the lock.
    _asked: Asked<CallKey>,
}

type Locked<'s> = MutexGuard<'s, Shard<CallKey, Arc<CachedEntry>>>;

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("bound", &self.0.bound).finish_non_exhaustive()
    }
}

impl Store {
    /// A new one; always, with the feature `memory`.
    #[allow(clippy::unnecessary_wraps, reason = "without the feature there is none")]
    pub(crate) fn open(bound: Bound, evict: Evict, clock: &Clock) -> Option<Self> {
        let (shards, most) = match bound {
            Bound::Entries(most) if most <= EXACT => (1, most),
            Bound::Entries(u64::MAX) => (SHARDS, u64::MAX),
            Bound::Entries(most) => (SHARDS, most.div_ceil(SHARDS)),
            // One entry may weigh as much as all.
            Bound::Weight(most) => (1, most),
        };
        // So many may outlive their eviction in a thread that no longer calls.
        let light = match bound {
            // Hits that the fronts answer would be no uses.
            _ if evict == Evict::Lru => 0,
            Bound::Entries(_) => u32::MAX,
            Bound::Weight(weight) => u32::try_from(weight / MOST_SLOTS).unwrap_or(u32::MAX),
        };
        let unit = match bound {
            Bound::Entries(most) => (most / UNITS).max(1),
            Bound::Weight(_) => UNITS,
        };
        let shards = (0..shards).map(|_| Line(Mutex::new(Shard::new(most, evict)))).collect();
        let (clock, inserted) = (clock.clone(), Count::default());
        Some(Self(Arc::new(Inner { shards, bound, light, clock, unit, inserted })))
    }

    /// So many entries it holds at most, if it is bounded by their number.
    pub(crate) fn most_entries(&self) -> Option<u64> {
        match self.0.bound {
            Bound::Entries(most) => Some(most),
            Bound::Weight(_) => None,
        }
    }

    /// Changes with each insertion of an entry of this hash, after the entry is in: who has read it before it looked, found
    /// nothing, and reads the same again, need not look again.
    #[inline]
    #[allow(clippy::unused_self, reason = "whoever has no store has no generation")]
    pub(crate) fn generation(&self, hash: u64) -> u64 {
        GENERATIONS.now(hash)
    }

    /// The key's shard, and where the key is in it.
    fn locate(&self, wanted: &impl Wanted) -> Option<Located<'_>> {
        let hash = wanted.hash();
        let at = (hash >> 40) as usize % self.0.shards.len();
        let Line(shard) = self.0.shards.get(at)?;
        let mut asked = Asked::nothing();
        loop {
            let shard = lock(shard);
            let told = |key: &CallKey| wanted.is_known_to_be(key).or_else(|| asked.told(key));
            let unknown = match shard.find(hash, told) {
                Ok(found) => return Some(Located { shard, found, _asked: asked }),
                Err(unknown) => unknown.clone(),
            };
            drop(shard);
            let is = wanted.is(&unknown);
            asked.note(unknown, is);
        }
    }

    fn get(&self, wanted: &impl Wanted) -> Result<Arc<CachedEntry>, NotFound> {
        let mut located = self.locate(wanted).ok_or(NotFound::Absent)?;
        let Some(found) = located.found else {
            let was_evicted = located.shard.was_evicted(wanted.hash());
            return Err(if was_evicted { NotFound::Evicted } else { NotFound::Absent });
        };
        located.shard.get(found).cloned().ok_or(NotFound::Absent)
    }

    /// Looks for an entry that `answer` can make something of.
    ///
    /// # Errors
    /// If there is none.
    pub(crate) fn look(
        &self,
        validity: &Validity,
        counters: &Counters,
        key: &CallKeyRef<'_, '_>,
        answer: &mut dyn FnMut(&CachedEntry) -> bool,
    ) -> Result<(), NotFound> {
        // Before the store is asked: see `thread_cache`, invariant 1.
        let generation = GENERATIONS.now(key.hash_code());
        let entry = self.get(key)?;
        let usable = entry.usable(validity);
        let Some(usable) = usable.filter(|_| answer(&entry)) else { return Err(NotFound::Unusable(entry)) };
        counters.memory_hit();
        if entry.meta.weight() <= self.0.light {
            hit::keep(counters, generation, key, &entry, usable);
        }
        Ok(())
    }

    pub(crate) fn get_owned(&self, key: &CallKey) -> Option<Arc<CachedEntry>> {
        self.get(key).ok()
    }

    /// The time by which evictions are remembered; `None` if nothing is evicted.
    pub(crate) fn eviction_clock(&self) -> Option<u64> {
        let Inner { bound, unit, inserted, .. } = &*self.0;
        (*bound != Bound::Entries(u64::MAX)).then(|| inserted.0.load(Ordering::Relaxed) / unit)
    }

    /// If it has no room for such an entry, it has none for the key.
    pub(crate) fn insert(&self, key: CallKey, entry: Arc<CachedEntry>) -> Inserted {
        let Some(weight) = self.weight_of(&entry) else {
            self.withdraw(&key);
            return Inserted { has_room: false, evicted_at: None };
        };
        let now = if self.0.bound == Bound::Entries(u64::MAX) {
            0
        } else {
            self.0.inserted.0.fetch_add(1, Ordering::Relaxed) / self.0.unit
        };
        let mut evicted_at = None;
        let deferred = DeferredDrops::new();
        let hash = key.hash_code();
        let end = entry.meta.ends_at();
        let mut out = Out::new();
        if let Some(mut located) = self.locate(&key) {
            let (shard, found) = (&mut located.shard, located.found);
            let _changed = Changed(hash);
            if let Some(residents) = entry.residents() {
                residents.comes(entry.meta.weight());
            }
            evicted_at = shard.insert(found, New { hash, key, value: entry, weight, end, now }, &mut out);
            let mut replaced = found.is_some();
            for gone in out.iter() {
                // What it replaces comes out first.
                let cause = if std::mem::take(&mut replaced) { None } else { Some(EvictionCause::Capacity) };
                leave([gone], cause);
            }
            // After: it may be what was found.
            if shard.has_ends() {
                let before = out.iter().count();
                shard.take_due(self.0.clock.nanos(), end_of, &mut out);
                leave(out.iter().skip(before), Some(EvictionCause::Expired));
            }
        }
        deferred_drop::defer(out);
        deferred_drop::stored();
        drop(deferred);
        Inserted { has_room: true, evicted_at }
    }

    /// `None` if there is no room for such an entry at all.
    fn weight_of(&self, entry: &CachedEntry) -> Option<u32> {
        match self.0.bound {
            Bound::Entries(most) => (most > 0).then_some(1),
            Bound::Weight(most) => Some(entry.meta.weight()).filter(|weight| u64::from(*weight) <= most),
        }
    }

    /// Takes an entry away that is valid, so that nobody gets it from here on.
    pub(crate) fn withdraw(&self, key: &CallKey) {
        let mut out = Out::new();
        if let Some(mut located) = self.locate(key)
            && let Some(found) = located.found
        {
            let _changed = Changed(key.hash_code());
            located.shard.remove(found, &mut out);
        }
        leave(out.iter(), Some(EvictionCause::Removed));
        deferred_drop::defer(out);
    }

    /// Frees everything; what is in the store may be seen until it is found dead by its tags.
    pub(crate) fn clear(&self) {
        hit::clear_up();
        deferred_drop::clear_up();
        for Line(shard) in &self.0.shards {
            let out = lock(shard).clear();
            deferred_drop::defer(out.inspect(|gone| leave([gone], Some(EvictionCause::Removed))));
        }
    }

    /// Frees what is due, and counts the rest.
    pub(crate) fn maintain(&self) -> u64 {
        while self.keep_up() {}
        self.0.shards.iter().map(|Line(shard)| lock(shard).len() as u64).sum()
    }

    /// Frees a part of what is due: not so much that a caller would wait for it. Whether there may be more.
    pub(crate) fn keep_up(&self) -> bool {
        hit::clear_up();
        deferred_drop::clear_up();
        let now = self.0.clock.nanos();
        let mut more = false;
        for Line(shard) in &self.0.shards {
            let mut out = Out::new();
            more |= lock(shard).take_due(now, end_of, &mut out);
            leave(out.iter(), Some(EvictionCause::Expired));
            deferred_drop::defer(out);
        }
        more
    }
}

/// Counts what came out for the functions whose entries it is.
fn leave<'a>(out: impl IntoIterator<Item = &'a (CallKey, Arc<CachedEntry>)>, cause: Option<EvictionCause>) {
    for (_, entry) in out {
        if let Some(residents) = entry.residents() {
            residents.leaves(entry.meta.weight(), cause);
        }
    }
}

/// When an entry is to go.
fn end_of(entry: &Arc<CachedEntry>) -> u64 {
    entry.meta.ends_at()
}

/// A change of what answers calls, which the fronts hear of at its end, however it ends.
struct Changed(u64);

impl Drop for Changed {
    fn drop(&mut self) {
        GENERATIONS.advance(self.0);
    }
}

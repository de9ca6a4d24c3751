//! A thread's table: which entries it asked the memory layer for lately. See the [module](super) for what holds of it.

use std::cell::Cell;
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::generations::Generations;
use super::set::{Marks, Set, Taken};
use super::slot::Kept;
use crate::entry::{CachedEntry, Usable};
use crate::key::call_key::CallKeyRef;
use crate::rt::clock;
use crate::stats::{Counters, HitCell, ThreadHits};
use crate::util::id_hasher::IdHasher;
use crate::util::sync::lock;

/// Slots that a key can be in.
pub(super) const WAYS: usize = 8;
const FIRST_SETS: usize = 8;
const MOST_SETS: usize = 512;
/// Of one thread.
pub(crate) const MOST_SLOTS: u64 = (MOST_SETS * WAYS) as u64;
/// What the tables of all threads may hold together, beyond each one's first sets.
const ALL_SLOTS: usize = 1 << 18;
/// After so many hits one asks the store. One less than a prime, so that calls that go round in circles tell it of all
/// their keys.
const SAMPLE: i32 = 508;
/// Where a new entry would displace another, one in so many does: a scan over many keys should cost little here.
const ADMITTED: u32 = 4;

/// Slots beyond each thread's first sets.
static SLOTS: AtomicUsize = AtomicUsize::new(0);

/// Of the stores of this process.
pub(crate) static GENERATIONS: Generations = Generations::new();

/// What threads left that have ended: dropping it there would run user code while the thread's locals are destroyed, and
/// whatever uses one of them then aborts the process.
static LEFT_BEHIND: Mutex<Vec<Vec<Set>>> = Mutex::new(Vec::new());
static ANYTHING_LEFT: AtomicBool = AtomicBool::new(false);

/// What threads left that have ended, for whoever drops it.
pub(crate) fn take_left_behind() -> Vec<Vec<Set>> {
    if ANYTHING_LEFT.load(Ordering::Relaxed) && ANYTHING_LEFT.swap(false, Ordering::AcqRel) {
        mem::take(&mut *lock(&LEFT_BEHIND))
    } else {
        Vec::new()
    }
}

/// One thread's.
pub(crate) struct Front {
    /// A power of two of them, or none yet.
    sets: Vec<Set>,
    /// Of each set. Side by side, so that they stay in the nearest CPU cache.
    marks: Vec<Marks>,
    /// This thread's counter of each function in `sets`, by the address of the function's counters.
    hits: HashMap<usize, ThreadHits, BuildHasherDefault<IdHasher>>,
    /// When `hits` is next searched for functions that are gone.
    prune_at: usize,
    /// Hits until the store is asked.
    left: Cell<i32>,
    /// Counts calls of `keep`.
    pub(crate) kept: u32,
    /// The set that is being looked through for unused entries.
    hand: usize,
    /// The set that is next looked through for evicted entries.
    pub(crate) second_hand: usize,
    /// How many entries found no empty slot since the table grew last.
    crowded: usize,
}

impl Front {
    pub(crate) const fn new() -> Self {
        Self {
            sets: Vec::new(),
            marks: Vec::new(),
            hits: HashMap::with_hasher(BuildHasherDefault::new()),
            prune_at: 64,
            left: Cell::new(SAMPLE),
            kept: 0,
            hand: 0,
            second_hand: 0,
            crowded: 0,
        }
    }

    #[inline]
    fn set_number(&self, at: u64) -> usize {
        at as usize & self.sets.len().wrapping_sub(1)
    }

    /// The slots that may hold a key of this hash.
    #[inline]
    pub(crate) fn candidates(&self, hash: u64) -> Option<(&Set, impl Iterator<Item = usize> + use<>)> {
        let at = self.set_number(hash);
        let marks = *self.marks.get(at)?;
        Some((self.sets.get(at)?, marks.find(hash)))
    }

    /// The one that `holds` it.
    pub(crate) fn find(&self, hash: u64, holds: impl Fn(&Set, usize) -> bool) -> Option<(&Set, usize)> {
        let (set, mut candidates) = self.candidates(hash)?;
        Some((set, candidates.find(|way| holds(set, *way))?))
    }

    /// Counts a hit. `true` after [`SAMPLE`] of them: this one has to go to the store, which learns from it what is popular.
    /// Stays `true` until [`count_hit_and_restart`](Self::count_hit_and_restart).
    #[inline]
    pub(crate) fn count_hit(&self) -> bool {
        self.left.set(self.left.get().wrapping_sub(1));
        self.left.get() < 0
    }

    /// The same, and begins to count anew.
    pub(crate) fn count_hit_and_restart(&self) -> bool {
        let is_due = self.count_hit();
        if is_due {
            self.left.set(SAMPLE);
            // So that time which seems to stand still does so for a few hits only.
            clock::look();
        }
        is_due
    }

    /// What it displaces comes back.
    pub(crate) fn keep(
        &mut self,
        counters: &Counters,
        generation: u64,
        key: &CallKeyRef<'_, '_>,
        entry: &Arc<CachedEntry>,
        usable: Usable,
    ) -> Option<Taken> {
        if self.sets.is_empty() || self.crowded > self.sets.len() / 4 {
            self.grow();
        }
        self.kept = self.kept.wrapping_add(1);
        let ask = key.ask();
        let found = self.find(ask.hash, |set, way| set.holds(way, key)).map(|(_, way)| way);
        let at = self.set_number(ask.hash);
        let (set, marks) = (self.sets.get_mut(at)?, self.marks.get_mut(at)?);
        let way = match found {
            Some(way) => {
                if let Some((kept, rest)) = set.both(way)
                    && kept.entry(rest).is_some_and(|kept| Arc::ptr_eq(kept, entry))
                {
                    kept.confirm(rest, generation, usable);
                    return None;
                }
                way
            }
            None => match set.find_empty() {
                Some(empty) => empty,
                None => {
                    self.crowded += 1;
                    if !self.kept.is_multiple_of(ADMITTED) {
                        return None;
                    }
                    set.find_unused().unwrap_or_else(|| {
                        set.begin_to_watch();
                        self.kept as usize / ADMITTED as usize % WAYS
                    })
                }
            },
        };
        let hits = Self::hits(&mut self.hits, &mut self.prune_at, counters);
        let (kept, rest) = Kept::new(ask, entry, hits, generation, usable);
        let displaced = set.put(marks, way, kept, rest);
        displaced.0.is_some().then_some(displaced)
    }

    /// This thread's counter of the function.
    fn hits(
        all: &mut HashMap<usize, ThreadHits, BuildHasherDefault<IdHasher>>,
        prune_at: &mut usize,
        counters: &Counters,
    ) -> Arc<HitCell> {
        if all.len() >= *prune_at {
            all.retain(|_, hits| !hits.is_orphaned());
            *prune_at = (all.len() * 2).max(64);
        }
        let hits = all.entry(counters.address()).or_insert_with(|| counters.of_thread());
        if hits.is_orphaned() {
            // Another function's counters stand where those of one that is gone were.
            *hits = counters.of_thread();
        }
        hits.cell()
    }

    fn grow(&mut self) {
        self.crowded = 0;
        let before = self.sets.len();
        let after = (before * 2).max(FIRST_SETS);
        if after > MOST_SETS {
            return;
        }
        let more = if before == 0 { 0 } else { (after - before) * WAYS };
        if SLOTS.fetch_add(more, Ordering::Relaxed) + more > ALL_SLOTS {
            SLOTS.fetch_sub(more, Ordering::Relaxed);
            return;
        }
        self.marks = vec![Marks::default(); after];
        let new = std::iter::repeat_with(Set::default).take(after).collect();
        for (kept, rest) in mem::replace(&mut self.sets, new).into_iter().flat_map(Set::into_parts) {
            let at = self.set_number(rest.hash);
            let (Some(set), Some(marks)) = (self.sets.get_mut(at), self.marks.get_mut(at)) else { continue };
            // Those of one set are spread over two, so each finds room.
            if let Some(way) = set.find_empty() {
                kept.until.set_used(true);
                set.put(marks, way, kept, rest);
            }
        }
    }

    /// Looks through a set for an entry that nobody asked for since the last time. One that was evicted may be in other
    /// threads' tables as well.
    pub(crate) fn take_unused(&mut self) -> Option<Taken> {
        let taken = self.take(self.hand, |kept, entry| !kept.until.is_used() || Arc::strong_count(entry) == 1);
        if taken.is_none() {
            let at = self.set_number(self.hand as u64);
            self.sets.get(at)?.begin_to_watch();
            self.hand = self.hand.wrapping_add(1);
        }
        taken
    }

    /// Looks through a set for an entry that is here only.
    pub(crate) fn take_evicted(&mut self) -> Option<Taken> {
        let taken = self.take(self.second_hand, |_, entry| Arc::strong_count(entry) == 1);
        if taken.is_none() {
            self.second_hand = self.second_hand.wrapping_add(1);
        }
        taken
    }

    /// Takes an entry out of a set.
    fn take(&mut self, set: usize, wanted: impl Fn(&Kept, &Arc<CachedEntry>) -> bool) -> Option<Taken> {
        let at = self.set_number(set as u64);
        self.sets.get_mut(at)?.take(wanted)
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        let slots = self.sets.len() * WAYS;
        SLOTS.fetch_sub(slots.saturating_sub(FIRST_SETS * WAYS), Ordering::Relaxed);
        if !self.sets.is_empty() {
            lock(&LEFT_BEHIND).push(mem::take(&mut self.sets));
            ANYTHING_LEFT.store(true, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_of_all_threads_are_bounded_together() {
        const THREADS: usize = 2 * ALL_SLOTS / (MOST_SETS * WAYS);
        let full = || {
            let mut front = Front::new();
            (0..20).for_each(|_| front.grow());
            front
        };
        let fronts: Vec<_> = (0..THREADS).map(|_| full()).collect();
        let slots: usize = fronts.iter().map(|front| front.sets.len() * WAYS).sum();
        assert!(slots <= ALL_SLOTS + THREADS * FIRST_SETS * WAYS, "{slots} slots");
        assert!(fronts.iter().all(|front| (FIRST_SETS..=MOST_SETS).contains(&front.sets.len())));
        assert!(fronts.last().is_some_and(|front| front.sets.len() == FIRST_SETS), "there was room for all");
        // What ends makes room.
        drop(fronts);
        assert_eq!(full().sets.len(), MOST_SETS);
        drop(take_left_behind());
    }
}

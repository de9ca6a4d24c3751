//! The front: what this thread asked the store for lately, so that most hits share nothing with other threads.
//!
//! A small set-associative table per thread, for all functions together. It is no layer of its own: a slot answers only
//! for an entry the store was asked for, and only while that may be used (`Stored::usable`: tags, lifetimes, trust).
//! Five things hold:
//!
//! 1. **Nothing newer is hidden.** Each insertion into a store moves one of the generations, chosen by the key's hash,
//!    *after* the entry is in. A slot remembers the generation from *before* the store was asked. So once an insertion
//!    has returned, every slot of that key asks the store again.
//! 2. **Nothing dead is served.** A slot remembers an epoch at which its entry was found live, read before that was found
//!    out: while the epoch is the same the entry is live (`freshness`, invariant 3), and else it is looked at again. It
//!    remembers until when the entry could be used as things stood then: its lifetime, and what the backends vouched
//!    for. Both only become more, so what was right then is right until that moment.
//! 3. **No mix-ups.** A slot's `whose` and `words` are a short key and its function, without loss. Of a long key they are
//!    a hash, and the entry's own key decides.
//! 4. **Bounded.** A thread's table has at most [`MOST_SLOTS`] slots of 88 bytes, all tables together
//!    [`ALL_SLOTS`] beyond the first few of each thread. It grows when its sets are full. What a store has evicted may
//!    stay alive here until the thread has made some thousand further calls, or as long as the thread makes none; what a
//!    thread that ended held, until any thread stores something. Entries that are heavy for their store are not kept here.
//! 5. **The store still learns what is popular.** One in [`SAMPLE`] hits asks it.
//!
//! A hit writes to this thread's memory only, and takes no lock. Cloning a value or dropping an entry is user code, which
//! may come back here: hence the shared borrow during a hit, and no borrow while something is dropped. It may also panic:
//! then the hit isn't counted, and nothing else was changed.

mod set;

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::mem::{self, ManuallyDrop};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use self::set::{Kept, Set, Slot, Until, first_way};
use super::stamp::{Generations, Stamp};
use crate::cache::EPOCH;
use crate::call_key::{Ask, CallKeyRef};
use crate::context;
use crate::freshness::IdHasher;
use crate::key::ShortArgs;
use crate::stats::{Counters, HitCell, ThreadHits};
use crate::stored::{Stored, Usable};
use crate::sync::lock;

/// Slots that a key can be in.
const WAYS: usize = 8;
const FIRST_SETS: usize = 8;
const MOST_SETS: usize = 512;
/// Of one thread.
pub(super) const MOST_SLOTS: u64 = (MOST_SETS * WAYS) as u64;
/// What the tables of all threads may hold together, beyond each one's first sets.
const ALL_SLOTS: usize = 1 << 18;
/// One in so many hits asks the store. A prime, so that calls that go round in circles tell it of all their keys.
const SAMPLE: u32 = 127;
/// Where a new entry would displace another, one in so many does: a scan over many keys should cost little here.
const ADMITTED: u32 = 4;
/// How many entries come in, or are confirmed, before the next set is looked through for unused ones.
const AGE: u32 = 8;

thread_local! {
    // Emptied by `END`; a local that is dropped itself has to be asked first whether it is still there.
    static FRONT: ManuallyDrop<RefCell<Front>> = const { ManuallyDrop::new(RefCell::new(Front::new())) };
    static END: End = const { End };
}

/// Empties the table when the thread ends. Nothing is kept by a thread that has none, or whose has been dropped.
struct End;

impl Drop for End {
    fn drop(&mut self) {
        let front = FRONT.with(|front| front.try_borrow_mut().map(|mut front| mem::replace(&mut *front, Front::new())));
        drop(front);
    }
}

/// Slots beyond each thread's first sets.
static SLOTS: AtomicUsize = AtomicUsize::new(0);

pub(super) static GENERATIONS: Generations = Generations::new();

/// Answers a call with a short key from this thread's table, unless it is made in an unusual way. `whose` is without a
/// length.
#[inline]
pub(crate) fn hit<T: Any + Clone>(whose: u64, seed: u64, args: ShortArgs) -> Option<T> {
    let [first, second] = args.words;
    FRONT.with(|front| hit_in(front, whose | u64::from(args.len), seed, first, second))
}

/// Once per type, with arguments that need no memory.
#[inline(never)]
fn hit_in<T: Any + Clone>(front: &RefCell<Front>, whose: u64, seed: u64, first: u64, second: u64) -> Option<T> {
    let run = context::run_here()?;
    let hash = ShortArgs { words: [first, second], len: whose as u8 }.hash(seed);
    let front = front.try_borrow().ok()?;
    let set = front.set_of(hash)?;
    let mut way = first_way(hash);
    let mut kept = set.kept(way).filter(|kept| kept.fits(whose, first, second));
    if kept.is_none() {
        way = set.find(hash, whose, first, second, None);
        kept = set.kept(way);
    }
    let kept = kept?;
    if !front.may_answer(hash, set, way, kept) || (run != 0 && !set.counts_for(way, run)) {
        return None;
    }
    let value = kept.entry.value.downcast_ref::<T>()?.clone();
    kept.answered();
    Some(value)
}

/// Answers any key, if `answer` can make something of the entry.
pub(super) fn look(key: &CallKeyRef<'_, '_>, answer: &mut dyn FnMut(&Stored) -> bool) -> bool {
    let Ask { hash, whose, words: [first, second] } = *key.ask();
    let mut look = |front: &Front| {
        let set = front.set_of(hash)?;
        let way = set.find(hash, whose, first, second, Some(key));
        let kept = set.kept(way)?;
        let answered = front.may_answer(hash, set, way, kept) && answer(&kept.entry);
        answered.then(|| kept.answered())
    };
    FRONT.with(|front| look(&*front.try_borrow().ok()?)).is_some()
}

/// Keeps an entry that the store has just given, and that was `usable`. `generation` was read before.
pub(super) fn keep(
    counters: &Counters,
    generation: u64,
    key: &CallKeyRef<'_, '_>,
    entry: &Arc<Stored>,
    usable: Usable,
) {
    if key.ask().is_nobodys() || END.try_with(|_| ()).is_err() {
        return;
    }
    // What comes out is dropped here, outside the borrow.
    drop(change(|front| front.keep(counters, generation, key, entry, usable)));
    while change(Front::take_unused).is_some() {}
}

/// Looks through a part of the table for entries that nobody else holds any more. Called when something is stored, which
/// is what evicts.
pub(super) fn let_go_of_evicted() {
    while change(Front::take_evicted).is_some() {}
    clear_up();
}

/// What threads left that have ended: dropping it there would run user code while the thread's locals are destroyed, and
/// whatever uses one of them then aborts the process.
static LEFT_BEHIND: Mutex<Vec<Vec<Set>>> = Mutex::new(Vec::new());
static ANYTHING_LEFT: AtomicBool = AtomicBool::new(false);

/// Drops what threads left that have ended.
pub(super) fn clear_up() {
    if ANYTHING_LEFT.swap(false, Ordering::AcqRel) {
        let left = mem::take(&mut *lock(&LEFT_BEHIND));
        drop(left); // after the lock: it runs user code
    }
}

fn change<R>(change: impl FnOnce(&mut Front) -> Option<R>) -> Option<R> {
    FRONT.with(|front| change(&mut *front.try_borrow_mut().ok()?))
}

struct Front {
    /// A power of two of them, or none yet.
    sets: Vec<Set>,
    /// This thread's counter of each function in `sets`, by the address of the function's counters.
    hits: HashMap<usize, ThreadHits, BuildHasherDefault<IdHasher>>,
    /// When `hits` is next searched for functions that are gone.
    prune_at: usize,
    /// Hits until the store is asked.
    left: Cell<u32>,
    /// Counts calls of `keep`.
    kept: u32,
    /// The set that is being looked through for unused entries.
    hand: usize,
    /// The set that is next looked through for evicted entries.
    second_hand: usize,
    /// How many entries weren't put where they are looked for first since the table grew last.
    crowded: usize,
}

impl Front {
    const fn new() -> Self {
        Self {
            sets: Vec::new(),
            hits: HashMap::with_hasher(BuildHasherDefault::new()),
            prune_at: 64,
            left: Cell::new(SAMPLE),
            kept: 0,
            hand: 0,
            second_hand: 0,
            crowded: 0,
        }
    }

    fn set_number(&self, at: usize) -> usize {
        at & self.sets.len().wrapping_sub(1)
    }

    #[inline]
    fn set_of(&self, hash: u64) -> Option<&Set> {
        self.sets.get((hash >> 3) as usize & self.sets.len().wrapping_sub(1))
    }

    /// Whether a slot answers without the store.
    #[inline]
    fn may_answer(&self, hash: u64, set: &Set, way: usize, kept: &Kept) -> bool {
        let left = self.left.get().wrapping_sub(1);
        self.left.set(left);
        if left == 0 {
            self.left.set(SAMPLE);
            return false;
        }
        let (generation, epoch) = (GENERATIONS.now(hash), EPOCH.now());
        if !kept.stamp.is(generation, epoch) && !set.is_still_live(way, generation, epoch) {
            return false;
        }
        kept.until.is_to_come()
    }

    /// What it displaces comes back.
    fn keep(
        &mut self,
        counters: &Counters,
        generation: u64,
        key: &CallKeyRef<'_, '_>,
        entry: &Arc<Stored>,
        usable: Usable,
    ) -> Option<Kept> {
        if self.sets.is_empty() || self.crowded > self.sets.len() * WAYS / 4 {
            self.grow();
        }
        self.kept = self.kept.wrapping_add(1);
        let Ask { hash, whose, words: [first, second] } = *key.ask();
        let at = self.set_number((hash >> 3) as usize);
        let set = self.sets.get_mut(at)?;
        let own = |slot: &Slot| slot.0.as_ref().is_some_and(|kept| kept.is_of(whose, first, second, Some(key)));
        let way = match set.slots.iter().position(own) {
            Some(way) => {
                if let Some(kept) = set.slots[way].0.as_ref()
                    && Arc::ptr_eq(&kept.entry, entry)
                {
                    kept.stamp.set(generation, usable.epoch);
                    kept.until.move_to(usable.until);
                    set.generations[way].set(generation);
                    return None;
                }
                way
            }
            None => match set.place(hash, |way| set.is_empty(way)) {
                Some(free) => free,
                None => {
                    if !self.kept.is_multiple_of(ADMITTED) {
                        return None;
                    }
                    set.place(hash, |way| set.is_unused(way)).unwrap_or_else(|| {
                        set.begin_to_watch();
                        first_way(hash)
                    })
                }
            },
        };
        let hits = Self::hits(&mut self.hits, &mut self.prune_at, counters);
        let kept = Kept {
            entry: Arc::clone(entry),
            hits,
            whose,
            words: [first, second],
            stamp: Stamp::new(generation, usable.epoch),
            until: Until::new(usable.until, false),
        };
        // Whoever isn't where it is looked for first takes longer to find.
        self.crowded += usize::from(way != first_way(hash));
        set.put(way, kept, hash, generation)
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
        let new = std::iter::repeat_with(Set::default).take(after).collect();
        for Set { slots, hashes, generations, .. } in mem::replace(&mut self.sets, new) {
            for ((slot, hash), generation) in slots.into_iter().zip(hashes).zip(generations) {
                let (Some(kept), hash) = (slot.0, u64::from(hash)) else { continue };
                let at = self.set_number((hash >> 3) as usize);
                let Some(set) = self.sets.get_mut(at) else { continue };
                // Those of one set are spread over two, so each finds room.
                if let Some(way) = set.place(hash, |way| set.is_empty(way)) {
                    kept.until.set_used(true);
                    set.put(way, kept, hash, generation.get());
                }
            }
        }
    }

    /// Now and then looks through a set for an entry that nobody asked for since the last time.
    fn take_unused(&mut self) -> Option<Kept> {
        if !self.kept.is_multiple_of(AGE) {
            return None;
        }
        let taken = self.take(self.hand, |kept| !kept.until.is_used() || Arc::strong_count(&kept.entry) == 1);
        if taken.is_none() {
            let at = self.set_number(self.hand);
            self.sets.get(at)?.begin_to_watch();
            self.hand = self.hand.wrapping_add(1);
        }
        taken
    }

    /// Looks through a set for an entry that is here only.
    fn take_evicted(&mut self) -> Option<Kept> {
        let taken = self.take(self.second_hand, |kept| Arc::strong_count(&kept.entry) == 1);
        if taken.is_none() {
            self.second_hand = self.second_hand.wrapping_add(1);
        }
        taken
    }

    /// Takes an entry out of a set.
    fn take(&mut self, set: usize, wanted: impl Fn(&Kept) -> bool) -> Option<Kept> {
        let at = self.set_number(set);
        let slots = &mut self.sets.get_mut(at)?.slots;
        slots.iter_mut().find_map(|slot| slot.0.take_if(|kept| wanted(kept)))
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
        clear_up();
    }

    #[test]
    fn a_slot_is_a_cache_line() {
        assert_eq!(size_of::<Slot>(), 64);
        assert!(size_of::<Set>() <= 88 * WAYS);
    }
}

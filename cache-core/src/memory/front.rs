//! The front: what this thread asked the store for lately, so that most hits share nothing with other threads.
//!
//! A small set-associative table per thread, for all functions together. It is no layer of its own: a slot answers only
//! for an entry the store was asked for, and whether that may still be used is found out as for any other
//! (`Stored::is_usable`: tags, lifetimes, trust). Three things hold:
//!
//! 1. **Nothing newer is hidden.** Each insertion into a store moves one of its generations, chosen by the key's hash,
//!    *after* the entry is in. A slot remembers the generation from *before* the store was asked. So once an insertion
//!    has returned, every slot of that key asks the store again.
//! 2. **Bounded.** A thread's table has at most [`MOST_SLOTS`] slots of 64 bytes, all tables together
//!    [`ALL_SLOTS`] beyond the first few of each thread. It grows when its sets are full. What a store has evicted may
//!    stay alive here until the thread has made some thousand further calls, or as long as the thread makes none; what a
//!    thread that ended held, until any thread stores something. Entries that are heavy for their store are not kept here.
//! 3. **The store still learns what is popular.** One in [`SAMPLE`] hits asks it.
//!
//! A hit writes to this thread's memory only, and takes no lock. Cloning a value or dropping an entry is user code, which
//! may come back here: hence the shared borrow during a hit, and no borrow while something is dropped.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::call_key::CallKeyRef;
use crate::freshness::IdHasher;
use crate::key::ShortArgs;
use crate::stats::{Counters, HitCell, ThreadHits};
use crate::stored::Stored;
use crate::sync::lock;

/// Slots that a key can be in.
const WAYS: usize = 8;
const FIRST_SETS: usize = 8;
const MOST_SETS: usize = 512;
/// Of one thread.
pub(super) const MOST_SLOTS: u64 = (MOST_SETS * WAYS) as u64;
/// What the tables of all threads may hold together, beyond each one's first sets.
const ALL_SLOTS: usize = 1 << 18;
/// One in so many hits asks the store.
const SAMPLE: u32 = 128;
/// Where a new entry would displace another, one in so many does: a scan over many keys should cost little here.
const ADMITTED: u32 = 4;
/// How many entries come in, or are confirmed, before the next set is looked through for unused ones.
const AGE: u32 = 8;

thread_local! {
    static FRONT: RefCell<Front> = const { RefCell::new(Front::new()) };
}

/// Slots beyond each thread's first sets.
static SLOTS: AtomicUsize = AtomicUsize::new(0);

/// Answers from this thread's table, if `answer` can make something of the entry there.
#[inline]
pub(super) fn look<R>(
    function: u64,
    generation: u32,
    key: &CallKeyRef<'_, '_>,
    answer: impl FnOnce(&Stored) -> Option<R>,
) -> Option<R> {
    FRONT.try_with(|front| front.try_borrow().ok()?.look(function, generation, key, answer)).ok()?
}

/// Keeps an entry that the store has just given. `generation` was read before.
pub(super) fn keep(counters: &Counters, function: u64, generation: u32, key: &CallKeyRef<'_, '_>, entry: &Arc<Stored>) {
    // What comes out is dropped here, outside the borrow.
    drop(change(|front| front.keep(counters, function, generation, key, entry)));
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
static LEFT_BEHIND: Mutex<Vec<Vec<Slot>>> = Mutex::new(Vec::new());
static ANYTHING_LEFT: AtomicBool = AtomicBool::new(false);

/// Drops what threads left that have ended.
pub(super) fn clear_up() {
    if ANYTHING_LEFT.swap(false, Ordering::AcqRel) {
        let left = std::mem::take(&mut *lock(&LEFT_BEHIND));
        drop(left); // after the lock: it runs user code
    }
}

fn change<R>(change: impl FnOnce(&mut Front) -> Option<R>) -> Option<R> {
    FRONT.try_with(|front| change(&mut *front.try_borrow_mut().ok()?)).ok()?
}

struct Front {
    /// A power of two of them, or none yet.
    sets: Vec<Set>,
    slots: Vec<Slot>,
    /// This thread's counter of each function in `slots`, by the address of the function's counters.
    hits: HashMap<usize, ThreadHits, BuildHasherDefault<IdHasher>>,
    /// When `hits` is next searched for functions that are gone.
    prune_at: usize,
    /// Counts hits.
    turn: Cell<u32>,
    /// Counts calls of `keep`.
    kept: u32,
    /// The set that is being looked through for unused entries.
    hand: usize,
    /// The set that is next looked through for evicted entries.
    second_hand: usize,
    /// How many entries found their set full since the table grew last.
    crowded: usize,
}

/// Which slots of a set to look at.
#[derive(Clone, Default)]
struct Set {
    /// A byte of each slot's hash, compared all at once.
    marks: [u8; WAYS],
    /// A bit per slot that answered since the set was last looked through.
    used: Cell<u8>,
}

/// One cache line.
#[derive(Default)]
#[repr(align(64))]
struct Slot(Option<Kept>);

struct Kept {
    entry: Arc<Stored>,
    hits: Arc<HitCell>,
    function: u64,
    instance: u32,
    generation: u32,
    /// The lowest bits of the key's hash.
    hash: u32,
    /// The parts of its [`ShortArgs`].
    short: [u64; 2],
    short_len: u8,
}

impl Set {
    /// The slots that may hold the key, as the highest bits of bytes: all whose mark it is, and now and then another.
    #[inline]
    fn candidates(&self, mark: u8) -> u64 {
        const ONES: u64 = u64::MAX / 0xff;
        // Which bytes are zero: "Determine if a word has a zero byte" in Anderson's Bit Twiddling Hacks.
        let different = u64::from_le_bytes(self.marks) ^ (ONES * u64::from(mark));
        different.wrapping_sub(ONES) & !different & (ONES << 7)
    }
}

impl Kept {
    #[inline]
    fn short(&self) -> ShortArgs {
        ShortArgs::from_parts(self.short, self.short_len)
    }

    #[inline]
    fn is_of(&self, function: u64, key: &CallKeyRef<'_, '_>) -> bool {
        self.function == function
            && self.instance == key.instance()
            && if self.short().is_all() || key.short().is_all() {
                self.short() == key.short()
            } else {
                self.entry.meta.key.as_ref().is_some_and(|own| own.matches(key))
            }
    }
}

#[inline]
fn mark(hash: u64) -> u8 {
    (hash >> 56) as u8
}

impl Front {
    const fn new() -> Self {
        Self {
            sets: Vec::new(),
            slots: Vec::new(),
            hits: HashMap::with_hasher(BuildHasherDefault::new()),
            prune_at: 64,
            turn: Cell::new(0),
            kept: 0,
            hand: 0,
            second_hand: 0,
            crowded: 0,
        }
    }

    #[inline]
    fn set_of(&self, hash: u64) -> usize {
        hash as usize & self.sets.len().wrapping_sub(1)
    }

    #[inline]
    fn look<R>(
        &self,
        function: u64,
        generation: u32,
        key: &CallKeyRef<'_, '_>,
        answer: impl FnOnce(&Stored) -> Option<R>,
    ) -> Option<R> {
        let at = self.set_of(key.hash_code());
        let set = self.sets.get(at)?;
        let mut candidates = set.candidates(mark(key.hash_code()));
        while candidates != 0 {
            let way = candidates.trailing_zeros() as usize / 8;
            candidates &= candidates - 1;
            let Some(Slot(Some(kept))) = self.slots.get(at * WAYS + way) else { continue };
            if !kept.is_of(function, key) {
                continue;
            }
            let turn = self.turn.get().wrapping_add(1);
            self.turn.set(turn);
            if kept.generation != generation || turn.is_multiple_of(SAMPLE) {
                return None;
            }
            let answer = answer(&kept.entry)?;
            set.used.set(set.used.get() | 1 << way);
            kept.hits.one();
            return Some(answer);
        }
        None
    }

    /// What it displaces comes back.
    fn keep(
        &mut self,
        counters: &Counters,
        function: u64,
        generation: u32,
        key: &CallKeyRef<'_, '_>,
        entry: &Arc<Stored>,
    ) -> Option<Kept> {
        if self.sets.is_empty() || self.crowded > self.slots.len() {
            self.grow();
        }
        self.kept = self.kept.wrapping_add(1);
        let at = self.set_of(key.hash_code());
        let mark = mark(key.hash_code());
        let set = self.sets.get_mut(at)?;
        let slots = self.slots.get_mut(at * WAYS..(at + 1) * WAYS)?;
        let own = |slot: &Slot| slot.0.as_ref().is_some_and(|kept| kept.is_of(function, key));
        let way = match slots.iter().position(own) {
            Some(way) => {
                if let Some(kept) = slots.get_mut(way).and_then(|slot| slot.0.as_mut())
                    && Arc::ptr_eq(&kept.entry, entry)
                {
                    kept.generation = generation;
                    return None;
                }
                way
            }
            None => match slots.iter().position(|slot| slot.0.is_none()) {
                Some(free) => free,
                None => {
                    self.crowded += 1;
                    if !self.kept.is_multiple_of(ADMITTED) {
                        return None;
                    }
                    let used = set.used.get();
                    // All in use: they have to prove themselves anew.
                    if used == u8::MAX {
                        set.used.set(0);
                    }
                    (!used).trailing_zeros() as usize % WAYS
                }
            },
        };
        let hits = Self::hits(&mut self.hits, &mut self.prune_at, counters);
        let (short, short_len) = key.short().parts();
        let (instance, hash) = (key.instance(), key.hash_code() as u32);
        let kept = Kept { entry: Arc::clone(entry), hits, function, instance, generation, hash, short, short_len };
        *set.marks.get_mut(way)? = mark;
        slots.get_mut(way)?.0.replace(kept)
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
        let old =
            std::mem::replace(&mut self.slots, std::iter::repeat_with(Slot::default).take(after * WAYS).collect());
        let sets = std::mem::replace(&mut self.sets, vec![Set::default(); after]);
        let marks = sets.iter().flat_map(|set| set.marks);
        for (kept, own_mark) in old.into_iter().zip(marks).filter_map(|(slot, mark)| Some((slot.0?, mark))) {
            // Those of one set are spread over two, so each finds room.
            let at = self.set_of(u64::from(kept.hash));
            let slots = self.slots.get_mut(at * WAYS..(at + 1) * WAYS).unwrap_or_default();
            if let (Some(way), Some(set)) = (slots.iter().position(|slot| slot.0.is_none()), self.sets.get_mut(at)) {
                set.marks[way] = own_mark;
                set.used.set(set.used.get() | 1 << way);
                slots[way].0 = Some(kept);
            }
        }
    }

    /// Now and then looks through a set for an entry that nobody asked for since the last time.
    fn take_unused(&mut self) -> Option<Kept> {
        if !self.kept.is_multiple_of(AGE) {
            return None;
        }
        let taken = self.take(self.hand, |kept, used| !used || Arc::strong_count(&kept.entry) == 1);
        if taken.is_none() {
            let at = self.set_of(self.hand as u64);
            self.sets.get(at)?.used.set(0);
            self.hand = self.hand.wrapping_add(1);
        }
        taken
    }

    /// Looks through a set for an entry that is here only.
    fn take_evicted(&mut self) -> Option<Kept> {
        let taken = self.take(self.second_hand, |kept, _| Arc::strong_count(&kept.entry) == 1);
        if taken.is_none() {
            self.second_hand = self.second_hand.wrapping_add(1);
        }
        taken
    }

    /// Takes an entry out of a set; `wanted` is told whether it was used lately.
    fn take(&mut self, set: usize, wanted: impl Fn(&Kept, bool) -> bool) -> Option<Kept> {
        let at = self.set_of(set as u64);
        let used = self.sets.get(at)?.used.get();
        let slots = self.slots.get_mut(at * WAYS..(at + 1) * WAYS)?;
        let found = |(way, slot): (usize, &mut Slot)| slot.0.take_if(|kept| wanted(kept, used & 1 << way != 0));
        slots.iter_mut().enumerate().find_map(found)
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        SLOTS.fetch_sub(self.slots.len().saturating_sub(FIRST_SETS * WAYS), Ordering::Relaxed);
        if !self.slots.is_empty() {
            lock(&LEFT_BEHIND).push(std::mem::take(&mut self.slots));
            ANYTHING_LEFT.store(true, Ordering::Release);
        }
    }
}

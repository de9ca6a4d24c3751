//! The front: what this thread asked the store for lately, so that most hits share nothing with other threads.
//!
//! A small set-associative table per thread, for all functions together. It is no layer of its own: a slot answers only
//! for an entry the store was asked for, and only while that may be used (`Stored::usable`: tags, lifetimes, trust).
//! Five things hold:
//!
//! 1. **Nothing newer is hidden.** Each insertion into a store moves one of the generations, chosen by the key's hash,
//!    *after* the entry is in; so does taking a valid entry away. A slot remembers the generation from *before* the store
//!    was asked. So once an insertion has returned, every slot of that key asks the store again.
//! 2. **Nothing dead is served.** A slot remembers an epoch at which its entry was found live, read before that was found
//!    out: while the epoch is the same the entry is live (`freshness`, invariant 3), and else it is looked at again. It
//!    remembers until when the entry could be used as things stood then: its lifetime, and what the backends vouched
//!    for. Both only become more, so what was right then is right until that moment.
//! 3. **No mix-ups.** A slot's `whose` and `words` are a short key and its function, without loss. Of a long key they are
//!    a hash, and the entry's own key decides.
//! 4. **Bounded.** A thread's table has at most [`MOST_SLOTS`] slots of 113 bytes, all tables together
//!    [`ALL_SLOTS`] beyond the first few of each thread. It grows when its sets are full. What a store has evicted may
//!    stay alive here until the thread has made some thousand further calls, or as long as the thread makes none; what a
//!    thread that ended held, until any thread stores something or looks into a store. Entries that are heavy for their
//!    store are not kept here.
//! 5. **The store still learns what is popular.** After [`SAMPLE`] hits, one asks it. So what it evicts because too few asked
//!    is computed again once in so many calls, at most.
//!
//! A hit writes to this thread's memory only, and takes no lock. Cloning a value or dropping an entry is user code, which
//! may come back here: hence the shared borrow during a hit, and no borrow while something is dropped. It may also panic:
//! then the hit isn't counted, and nothing else was changed.
//!
//! What a hit costs is decided by how many cache lines it reads and how often the CPU guesses wrong, so: it reads a mark
//! per slot, all marks of a set at once and those of all sets side by side, then one slot, whose line has all that the
//! usual hit needs, a value that is a word ([`word`]) included.

mod set;
mod slot;
mod word;

use std::any::Any;
use std::cell::{Cell, Ref};
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use self::set::{Marks, Set, Taken};
use self::slot::{Kept, Rest};
use super::stamp::Generations;
use crate::cache::Engine;
use crate::call_key::{Ask, CallKeyRef};
use crate::clock;
use crate::context::{self, OUTSIDE};
use crate::freshness::IdHasher;
use crate::key::{KeyBuf, ShortArgs};
use crate::stats::{Counters, HitCell, ThreadHits};
use crate::stored::{Stored, Usable};
use crate::sync::lock;
use crate::thread::{self, Thread};

/// Slots that a key can be in.
const WAYS: usize = 8;
const FIRST_SETS: usize = 8;
const MOST_SETS: usize = 512;
/// Of one thread.
pub(super) const MOST_SLOTS: u64 = (MOST_SETS * WAYS) as u64;
/// What the tables of all threads may hold together, beyond each one's first sets.
const ALL_SLOTS: usize = 1 << 18;
/// After so many hits one asks the store. One less than a prime, so that calls that go round in circles tell it of all
/// their keys.
const SAMPLE: i32 = 508;
/// Where a new entry would displace another, one in so many does: a scan over many keys should cost little here.
const ADMITTED: u32 = 4;
/// How many entries come in, are confirmed, or are stored before the next set is looked through for unused ones.
const AGE: u32 = 8;

thread_local! {
    static END: End = const { End };
}

/// Empties the table when the thread ends. Nothing is kept by a thread that has none, or whose has been dropped.
struct End;

impl Drop for End {
    fn drop(&mut self) {
        // What it holds is left behind.
        drop(change(|front| Some(mem::replace(front, Front::new()))));
    }
}

/// Slots beyond each thread's first sets.
static SLOTS: AtomicUsize = AtomicUsize::new(0);

pub(super) static GENERATIONS: Generations = Generations::new();

/// Answers a call with a short key from this thread's table if all is as usual: the key is in the first place that it
/// could be in, and nothing was inserted or invalidated since it was asked for last. `whose` is without a length. If it
/// doesn't, [`hit_unusual`] has to be asked.
#[inline]
pub(crate) fn hit<T: Any + Clone>(thread: &Thread, whose: u64, seed: u64, args: ShortArgs) -> Option<T> {
    let [first, second] = args.words;
    hit_in(thread, whose | u64::from(args.len), seed, first, second)
}

/// Once per type, with arguments that need no memory. Where the value is a word and has no lifetime, it calls nothing.
#[inline(never)]
fn hit_in<T: Any + Clone>(thread: &Thread, whose: u64, seed: u64, first: u64, second: u64) -> Option<T> {
    if thread.here.get() != OUTSIDE {
        return answer(usual_in_run(thread, whose, seed, first, second)?, true);
    }
    let kept = usual(thread, whose, seed, [first, second], |_, _| true)?;
    if word::is_word::<T>() && kept.until.is_never() { kept.answer() } else { answer(kept, false) }
}

/// The same as [`hit`] for a key that isn't short, or in a scope.
pub(crate) fn hit_long<T: Any + Clone>(
    thread: &Thread,
    whose: u64,
    seed: u64,
    scope: &[u8],
    args: &KeyBuf<'_>,
) -> Option<T> {
    answer(usual_long(thread, whose, seed, scope, args)?, true)
}

/// Answers any key that is in the table, for a call of this run, which may be [`OUTSIDE`] of any.
pub(crate) fn hit_unusual<T: Any + Clone>(
    thread: &Thread,
    key: &CallKeyRef<'_, '_>,
    run: u64,
    engine: &Engine,
) -> Option<T> {
    answer(unusual(thread, key, run, engine)?, true)
}

/// `in_time`: it is known that its end is to come, which takes longest to find out.
#[inline(never)]
#[allow(clippy::needless_pass_by_value, reason = "nothing is left for the caller to do")]
fn answer<T: Any + Clone>(kept: Ref<'_, Kept>, in_time: bool) -> Option<T> {
    if in_time || kept.until.is_to_come() { kept.answer() } else { None }
}

// What follows is without types, so that it is compiled once where code isn't optimized.

#[inline(never)]
fn usual_in_run(thread: &Thread, whose: u64, seed: u64, first: u64, second: u64) -> Option<Ref<'_, Kept>> {
    let run = context::run_here(thread)?;
    let counts = |kept: &Kept, rest: &Rest| kept.until.is_to_come() && kept.counts_for(rest, run, None);
    usual(thread, whose, seed, [first, second], counts)
}

#[cfg_attr(not(debug_assertions), inline(always))]
fn usual(
    thread: &Thread,
    whose: u64,
    seed: u64,
    words: [u64; 2],
    counts: impl FnOnce(&Kept, &Rest) -> bool,
) -> Option<Ref<'_, Kept>> {
    let hash = ShortArgs { words, len: whose as u8 }.hash(seed);
    let kept = Ref::filter_map(thread.front.try_borrow().ok()?, |front| {
        let (set, mut candidates) = front.candidates(hash)?;
        let (kept, rest) = set.both(candidates.next()?)?;
        let is_usual = kept.fits(whose, words) && kept.is_as_it_was(hash) && counts(kept, rest);
        if !is_usual || front.is_to_ask_the_store() { None } else { Some(kept) }
    });
    kept.ok()
}

#[inline(never)]
fn usual_long<'t>(thread: &'t Thread, whose: u64, seed: u64, scope: &[u8], args: &KeyBuf<'_>) -> Option<Ref<'t, Kept>> {
    let run = context::run_here(thread)?;
    let Ask { hash, whose, words } = Ask::long(whose, seed, scope, args);
    let kept = Ref::filter_map(thread.front.try_borrow().ok()?, |front| {
        let (set, mut candidates) = front.candidates(hash)?;
        let (kept, rest) = set.both(candidates.next()?)?;
        let is_usual = kept.fits(whose, words)
            && kept.is_as_it_was(hash)
            && rest.key.as_ref()?.is_of(scope, args)
            && kept.until.is_to_come()
            && (run == OUTSIDE || kept.counts_for(rest, run, None));
        if !is_usual || front.is_to_ask_the_store() { None } else { Some(kept) }
    });
    kept.ok()
}

#[inline(never)]
fn unusual<'t>(thread: &'t Thread, key: &CallKeyRef<'_, '_>, run: u64, engine: &Engine) -> Option<Ref<'t, Kept>> {
    let kept = Ref::filter_map(thread.front.try_borrow().ok()?, |front| {
        let (set, way) = front.find(key.hash_code(), |set, way| set.holds(way, key))?;
        let (kept, rest) = set.both(way)?;
        let answers = !front.asks_the_store() && kept.is_live(rest) && kept.until.is_to_come();
        (answers && (run == OUTSIDE || kept.counts_for(rest, run, Some(engine)))).then_some(kept)
    });
    kept.ok()
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
    // What comes out is dropped outside the borrow.
    if let Some(displaced) = change(|front| front.keep(counters, generation, key, entry, usable)) {
        context::let_go([displaced]);
    }
    let_go_of_unused(|front| front.kept);
    clear_up();
}

/// Now and then, by this count of events, looks through a part of the table for entries that nobody asks for any more.
fn let_go_of_unused(events: fn(&Front) -> u32) {
    while let Some(unused) = change(|front| if events(front).is_multiple_of(AGE) { front.take_unused() } else { None })
    {
        context::let_go([unused]);
    }
}

/// Looks through a part of the table for entries that nobody else holds any more. Called when something is stored, which
/// is what evicts.
pub(super) fn let_go_of_evicted() {
    while let Some(evicted) = change(Front::take_evicted) {
        context::let_go([evicted]);
    }
    let_go_of_unused(|front| front.second_hand as u32);
    clear_up();
}

/// What threads left that have ended: dropping it there would run user code while the thread's locals are destroyed, and
/// whatever uses one of them then aborts the process.
static LEFT_BEHIND: Mutex<Vec<Vec<Set>>> = Mutex::new(Vec::new());
static ANYTHING_LEFT: AtomicBool = AtomicBool::new(false);

/// Drops what threads left that have ended.
pub(super) fn clear_up() {
    if ANYTHING_LEFT.load(Ordering::Relaxed) && ANYTHING_LEFT.swap(false, Ordering::AcqRel) {
        let left = mem::take(&mut *lock(&LEFT_BEHIND));
        // After the lock: it runs user code.
        context::let_go(left.into_iter().flatten().flat_map(Set::into_parts));
    }
}

fn change<R>(mut change: impl FnMut(&mut Front) -> Option<R>) -> Option<R> {
    let mut changed = None;
    thread::with(&mut |thread| changed = thread.front.try_borrow_mut().ok().and_then(|mut front| change(&mut front)));
    changed
}

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
    kept: u32,
    /// The set that is being looked through for unused entries.
    hand: usize,
    /// The set that is next looked through for evicted entries.
    second_hand: usize,
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
    fn candidates(&self, hash: u64) -> Option<(&Set, impl Iterator<Item = usize> + use<>)> {
        let at = self.set_number(hash);
        let marks = *self.marks.get(at)?;
        Some((self.sets.get(at)?, marks.find(hash)))
    }

    /// The one that `holds` it.
    fn find(&self, hash: u64, holds: impl Fn(&Set, usize) -> bool) -> Option<(&Set, usize)> {
        let (set, mut candidates) = self.candidates(hash)?;
        Some((set, candidates.find(|way| holds(set, *way))?))
    }

    /// After [`SAMPLE`] times. Stays so until [`asks_the_store`](Self::asks_the_store).
    #[inline]
    fn is_to_ask_the_store(&self) -> bool {
        self.left.set(self.left.get().wrapping_sub(1));
        self.left.get() < 0
    }

    fn asks_the_store(&self) -> bool {
        let asks = self.is_to_ask_the_store();
        if asks {
            self.left.set(SAMPLE);
            // So that time which seems to stand still does so for a few hits only.
            clock::look();
        }
        asks
    }

    /// What it displaces comes back.
    fn keep(
        &mut self,
        counters: &Counters,
        generation: u64,
        key: &CallKeyRef<'_, '_>,
        entry: &Arc<Stored>,
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
    fn take_unused(&mut self) -> Option<Taken> {
        let taken = self.take(self.hand, |kept, entry| !kept.until.is_used() || Arc::strong_count(entry) == 1);
        if taken.is_none() {
            let at = self.set_number(self.hand as u64);
            self.sets.get(at)?.begin_to_watch();
            self.hand = self.hand.wrapping_add(1);
        }
        taken
    }

    /// Looks through a set for an entry that is here only.
    fn take_evicted(&mut self) -> Option<Taken> {
        let taken = self.take(self.second_hand, |_, entry| Arc::strong_count(entry) == 1);
        if taken.is_none() {
            self.second_hand = self.second_hand.wrapping_add(1);
        }
        taken
    }

    /// Takes an entry out of a set.
    fn take(&mut self, set: usize, wanted: impl Fn(&Kept, &Arc<Stored>) -> bool) -> Option<Taken> {
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
        clear_up();
    }
}

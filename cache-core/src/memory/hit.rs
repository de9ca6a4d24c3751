//! Hits that this thread's table answers, before the store is asked; and what the table lets go of, which is dropped here.
//!
//! See [`thread_cache`](crate::thread_cache) for what holds of the table.

use std::any::Any;
use std::cell::Ref;
use std::mem;
use std::sync::Arc;

use crate::context;
use crate::entry::{CachedEntry, Usable};
use crate::key::call_key::{Ask, CallKeyRef};
use crate::key::{KeyBuf, ShortArgs};
use crate::stats::Counters;
use crate::thread_cache::set::Set;
use crate::thread_cache::slot::{Kept, Rest};
use crate::thread_cache::table::{Front, take_left_behind};
use crate::thread_cache::thread::{self, OUTSIDE, Thread};
use crate::thread_cache::word;
use crate::trust::validity::Validity;

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
    validity: &Validity,
) -> Option<T> {
    answer(unusual(thread, key, run, validity)?, true)
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
    let run = thread.run_here()?;
    let counts = |kept: &Kept, rest: &Rest| {
        kept.until.is_to_come() && kept.counts_for(rest, run, |entry| context::inherit_here(entry, None))
    };
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
        if !is_usual || front.count_hit() { None } else { Some(kept) }
    });
    kept.ok()
}

#[inline(never)]
fn usual_long<'t>(thread: &'t Thread, whose: u64, seed: u64, scope: &[u8], args: &KeyBuf<'_>) -> Option<Ref<'t, Kept>> {
    let run = thread.run_here()?;
    let Ask { hash, whose, words } = Ask::long(whose, seed, scope, args);
    let kept = Ref::filter_map(thread.front.try_borrow().ok()?, |front| {
        let (set, mut candidates) = front.candidates(hash)?;
        let (kept, rest) = set.both(candidates.next()?)?;
        let is_usual = kept.fits(whose, words)
            && kept.is_as_it_was(hash)
            && rest.key.as_ref()?.is_of(scope, args)
            && kept.until.is_to_come()
            && (run == OUTSIDE || kept.counts_for(rest, run, |entry| context::inherit_here(entry, None)));
        if !is_usual || front.count_hit() { None } else { Some(kept) }
    });
    kept.ok()
}

#[inline(never)]
fn unusual<'t>(thread: &'t Thread, key: &CallKeyRef<'_, '_>, run: u64, validity: &Validity) -> Option<Ref<'t, Kept>> {
    let kept = Ref::filter_map(thread.front.try_borrow().ok()?, |front| {
        let (set, way) = front.find(key.hash_code(), |set, way| set.holds(way, key))?;
        let (kept, rest) = set.both(way)?;
        let answers = !front.count_hit_and_restart() && kept.is_live(rest) && kept.until.is_to_come();
        (answers
            && (run == OUTSIDE || kept.counts_for(rest, run, |entry| context::inherit_here(entry, Some(validity)))))
        .then_some(kept)
    });
    kept.ok()
}

/// Keeps an entry that the store has just given, and that was `usable`. `generation` was read before.
pub(super) fn keep(
    counters: &Counters,
    generation: u64,
    key: &CallKeyRef<'_, '_>,
    entry: &Arc<CachedEntry>,
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

/// Drops what threads left that have ended.
pub(super) fn clear_up() {
    let left = take_left_behind();
    if !left.is_empty() {
        context::let_go(left.into_iter().flatten().flat_map(Set::into_parts));
    }
}

fn change<R>(mut change: impl FnMut(&mut Front) -> Option<R>) -> Option<R> {
    let mut changed = None;
    thread::with(&mut |thread| changed = thread.front.try_borrow_mut().ok().and_then(|mut front| change(&mut front)));
    changed
}

//! What an observed block of code was answered with, as it is collected.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use crate::context::run_frame::NEXT_NUMBER;
use crate::entry::Meta;
use crate::entry::birth::{Birth, Born};
use crate::freshness::dependencies::Dependencies;
use crate::rt::clock::{Clock, NEVER};
use crate::util::sync::lock;

/// Where a value came from, from the shortest way to the longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Source {
    /// This process's memory.
    Memory,
    /// A backend.
    Backend,
    /// The run of another call in this process, which this one waited for.
    Waited,
    /// A run of the function's body, whose result was kept.
    Ran,
    /// A run of the function's body, whose result was not kept: it is an `Err`, an option or `dont_cache` kept it out, or the
    /// call was made with caching off.
    Uncached,
}

/// Collects what the calls made directly in a block of code were answered with.
///
/// Each answer is noted once for each entry: a thread's table, which tells runs by their numbers what they depend on, tells
/// observers in the same way.
#[derive(Debug)]
pub(crate) struct Observer {
    /// Of no other observer, and of no run.
    pub(crate) number: u64,
    /// The observer of a block around this one.
    outer: Option<Arc<Self>>,
    seen: Mutex<Seen>,
}

/// After so many notes, what is depended on is searched for duplicates.
const COMPACT_AT: usize = 64;

#[derive(Debug, Default)]
struct Seen {
    answers: Option<Answers>,
    /// The first is apart, as most blocks have one call.
    first: Option<Dependencies>,
    others: Vec<Dependencies>,
    compact_at: usize,
    closed: bool,
}

/// The answers in sum. Moments are in nanoseconds of the clock.
#[derive(Clone, Debug)]
struct Answers {
    source: Source,
    stale: bool,
    clock: Clock,
    /// When the oldest value was computed.
    oldest: Birth,
    /// When the first one expires.
    expires: u64,
}

/// What was seen, once the block is over. Durations are in nanoseconds.
#[derive(Debug)]
pub(crate) struct Observation {
    pub(crate) source: Source,
    pub(crate) age: u64,
    pub(crate) expires_in: Option<u64>,
    pub(crate) stale: bool,
    pub(crate) first: Option<Dependencies>,
    pub(crate) others: Vec<Dependencies>,
}

impl Default for Observation {
    /// Of a block without calls.
    fn default() -> Self {
        Self { source: Source::Uncached, age: 0, expires_in: None, stale: false, first: None, others: Vec::new() }
    }
}

impl Observer {
    /// Of a block within another one that is observed, perhaps.
    pub(crate) fn within(outer: Option<Arc<Self>>) -> Self {
        Self { number: NEXT_NUMBER.fetch_add(1, Ordering::Relaxed), outer, seen: Mutex::default() }
    }

    /// Collects for one that may take it over, or not.
    pub(crate) fn apart() -> Self {
        Self::within(None)
    }

    /// An entry was the answer, or the result of the run that was.
    pub(crate) fn note(&self, source: Source, clock: &Clock, meta: &Meta) {
        if source == Source::Uncached {
            return self.note_unkept(source, clock, meta.dependencies());
        }
        let expires = meta.own_end();
        let stale = source <= Source::Waited && meta.may_be_stale() && expires <= clock.nanos();
        self.add(&Answers { source, stale, clock: clock.clone(), oldest: meta.born(), expires }, meta.dependencies());
    }

    /// What isn't kept was the answer.
    pub(crate) fn note_unkept(&self, source: Source, clock: &Clock, dependencies: &Dependencies) {
        let now = clock.nanos();
        let oldest = Birth::new(Born::at(now), false);
        self.add(&Answers { source, stale: false, clock: clock.clone(), oldest, expires: now }, dependencies);
    }

    fn add(&self, answers: &Answers, dependencies: &Dependencies) {
        let mut seen = lock(&self.seen);
        if seen.closed {
            return;
        }
        seen.add(answers, dependencies);
        drop(seen);
        if let Some(outer) = &self.outer {
            outer.add(answers, dependencies);
        }
    }

    /// Takes over what another one has collected, which collects nothing more.
    pub(crate) fn take_over(&self, other: &Self) {
        let mut taken = other.close();
        if let Some(answers) = &taken.answers {
            taken.first.iter().chain(&taken.others).for_each(|dependencies| self.add(answers, dependencies));
        }
        taken.others.clear();
    }

    /// Makes it as good as a new one. `false` if there is one around it.
    pub(crate) fn renew(&mut self) -> bool {
        self.number = NEXT_NUMBER.fetch_add(1, Ordering::Relaxed);
        self.seen = Mutex::default();
        self.outer.is_none()
    }

    fn close(&self) -> Seen {
        std::mem::replace(&mut *lock(&self.seen), Seen { closed: true, ..Seen::default() })
    }

    /// The block is over: what comes later doesn't count.
    pub(crate) fn end(&self) -> Observation {
        let Seen { answers, first, others, .. } = self.close();
        let Some(Answers { source, stale, clock, oldest, expires }) = answers else { return Observation::default() };
        let now = clock.nanos();
        let age = oldest.age(now);
        let expires_in = (expires != NEVER).then(|| expires.saturating_sub(now));
        Observation { source, age, expires_in, stale, first, others }
    }
}

impl Seen {
    fn add(&mut self, answers: &Answers, dependencies: &Dependencies) {
        match &mut self.answers {
            Some(before) => before.and(answers),
            None => self.answers = Some(answers.clone()),
        }
        match &self.first {
            None => self.first = Some(dependencies.clone()),
            Some(first) if first.is_same(dependencies) => {}
            Some(_) => self.others.push(dependencies.clone()),
        }
        if self.others.len() >= self.compact_at.max(COMPACT_AT) {
            // A loop over the same few calls must not grow it.
            self.others.sort_unstable_by_key(Dependencies::place);
            self.others.dedup_by(|a, b| a.is_same(b));
            self.compact_at = self.others.len() * 4;
        }
    }
}

impl Answers {
    fn and(&mut self, other: &Self) {
        self.source = self.source.max(other.source);
        self.stale |= other.stale;
        // In the time of this one's clock, which may be another's.
        let (now, others) = (self.clock.nanos(), other.clock.nanos());
        let age = self.oldest.age(now).max(other.oldest.age(others));
        self.oldest = Birth::new(Born { now, age }, false);
        if other.expires != NEVER {
            self.expires = self.expires.min(now.saturating_add(other.expires.saturating_sub(others)));
        }
    }
}

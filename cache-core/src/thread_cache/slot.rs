//! What a slot of a thread's table remembers of an entry.

use std::any::Any;
use std::cell::Cell;
use std::sync::Arc;

use super::generations::Stamp;
use super::table::GENERATIONS;
use super::thread::OUTSIDE;
use super::word;
use crate::entry::{CachedEntry, Usable};
use crate::freshness::epoch::EPOCH;
use crate::key::call_key::{Ask, LongKey};
use crate::rt::clock;
use crate::rt::clock::NEVER;
use crate::stats::HitCell;
use crate::trust::deadline::TrustDeadline;

/// What a hit needs.
pub(crate) struct Kept {
    value: Value,
    hits: Arc<HitCell>,
    whose: u64,
    words: [u64; 2],
    stamp: Stamp,
    pub(crate) until: Until,
}

/// What a slot answers with.
enum Value {
    /// A value that is no larger; its entry is in [`Rest`].
    Word(u64),
    Entry(Arc<CachedEntry>),
}

/// What a hit doesn't need.
#[derive(Default)]
pub(crate) struct Rest {
    /// Where the slot has the value only.
    entry: Option<Arc<CachedEntry>>,
    /// The generation in the slot's stamp.
    generation: Cell<u64>,
    /// The run that the entry counts for already.
    run: Cell<u64>,
    /// The entry's own key, if it isn't short.
    pub(crate) key: Option<Arc<LongKey>>,
    pub(crate) hash: u64,
}

/// Until when a slot answers, and whether it did since its set was last looked through: in one word, so that a slot is one
/// cache line.
pub(crate) struct Until(Cell<u64>);

impl Until {
    const USED: u64 = 1;

    /// In nanoseconds of the operating system's clock; an odd one may count as the one before.
    pub(crate) fn new(until: u64, used: bool) -> Self {
        Self(Cell::new(until & !Self::USED | u64::from(used)))
    }

    pub(crate) fn move_to(&self, until: u64) {
        self.0.set(Self::new(until, self.is_used()).0.get());
    }

    /// Whether it answers as long as the entry is live.
    #[inline]
    pub(crate) fn is_never(&self) -> bool {
        self.0.get() | Self::USED == NEVER
    }

    #[inline]
    pub(crate) fn is_to_come(&self) -> bool {
        self.is_never() || clock::is_to_come(self.0.get() & !Self::USED)
    }

    #[inline]
    pub(crate) fn is_used(&self) -> bool {
        self.0.get() & Self::USED != 0
    }

    #[inline]
    pub(crate) fn set_used(&self, used: bool) {
        self.0.set(self.0.get() & !Self::USED | u64::from(used));
    }
}

impl Kept {
    /// Of an entry that the store gave.
    pub(crate) fn new(
        ask: &Ask,
        entry: &Arc<CachedEntry>,
        hits: Arc<HitCell>,
        generation: u64,
        usable: Usable,
    ) -> (Self, Rest) {
        let Ask { hash, whose, words } = *ask;
        let (value, aside) = match word::to_word(&entry.value) {
            Some(word) => (Value::Word(word), Some(Arc::clone(entry))),
            None => (Value::Entry(Arc::clone(entry)), None),
        };
        let stamp = Stamp::new(generation, usable.epoch);
        let rest = Rest {
            entry: aside,
            generation: Cell::new(generation),
            run: Cell::new(OUTSIDE),
            key: entry.meta.key.clone(),
            hash,
        };
        (Self { value, hits, whose, words, stamp, until: Until::new(usable.until, false) }, rest)
    }

    #[inline]
    pub(crate) fn answered(&self) {
        self.until.set_used(true);
        self.hits.one();
    }

    /// The value.
    #[inline]
    pub(crate) fn answer<T: Any + Clone>(&self) -> Option<T> {
        let value = match &self.value {
            Value::Word(word) if word::is_word::<T>() => word::from_word(*word)?,
            Value::Entry(entry) if !word::is_word::<T>() => entry.value.downcast_ref::<T>()?.clone(),
            // Can't be.
            _ => return None,
        };
        self.answered();
        Some(value)
    }

    /// The entry.
    pub(crate) fn entry<'k>(&'k self, rest: &'k Rest) -> Option<&'k Arc<CachedEntry>> {
        match &self.value {
            Value::Entry(entry) => Some(entry),
            Value::Word(_) => rest.entry.as_ref(),
        }
    }

    /// What was confirmed by the store is good from here on.
    pub(crate) fn confirm(&self, rest: &Rest, generation: u64, usable: Usable) {
        self.stamp.set(generation, usable.epoch);
        self.until.move_to(usable.until);
        rest.generation.set(generation);
    }

    /// Whether it is live, if the store has nothing newer.
    pub(crate) fn is_live(&self, rest: &Rest) -> bool {
        self.is_as_it_was(rest.hash) || self.is_still_live(rest)
    }

    #[cold]
    #[inline(never)]
    fn is_still_live(&self, rest: &Rest) -> bool {
        // Read before the entry is looked at: see `freshness`, invariant 3.
        let (generation, epoch) = (GENERATIONS.now(rest.hash), EPOCH.now());
        let is_live = |entry: &Arc<CachedEntry>| rest.generation.get() == generation && entry.is_live_at(epoch);
        let live = self.entry(rest).is_some_and(is_live);
        if live {
            self.stamp.set(generation, epoch);
        }
        live
    }

    /// Whether nothing was inserted or invalidated since the entry was found live.
    #[inline]
    pub(crate) fn is_as_it_was(&self, hash: u64) -> bool {
        self.stamp.is(GENERATIONS.now(hash), EPOCH.now())
    }

    /// Has the run that is calling depend on the entry, by `inherit` if it doesn't yet. `false` if that can't be done.
    pub(crate) fn counts_for(&self, rest: &Rest, run: u64, inherit: impl FnOnce(&CachedEntry) -> bool) -> bool {
        // A run holds what it depends on until it ends: once is enough.
        if rest.run.get() == run {
            return true;
        }
        let Some(entry) = self.entry(rest) else { return false };
        let counts = inherit(entry);
        // How far backends vouch for an entry may be more the next time.
        if counts && entry.meta.trust_deadline() == TrustDeadline::default() {
            rest.run.set(run);
        }
        counts
    }

    #[inline]
    pub(crate) fn fits(&self, whose: u64, words: [u64; 2]) -> bool {
        self.words == words && self.whose == whose
    }
}

impl Rest {
    pub(crate) fn into_entry(self) -> Option<Arc<CachedEntry>> {
        self.entry
    }
}

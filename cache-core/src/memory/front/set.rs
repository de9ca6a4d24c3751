//! The places that a key can be in, and what is remembered of the entry there.

use std::cell::Cell;
use std::sync::Arc;

use super::super::stamp::Stamp;
use super::WAYS;
use crate::call_key::{CallKeyRef, is_long};
use crate::clock;
use crate::context;
use crate::stats::HitCell;
use crate::stored::{NEVER, Stored};

/// The places a key can be in. Its hash says which of them is looked at first, so that the usual hit compares nothing
/// else, and reads one cache line.
#[derive(Default)]
pub(super) struct Set {
    pub(super) slots: [Slot; WAYS],
    /// A byte of each slot's hash, compared all at once.
    marks: [u8; WAYS],
    /// The lowest bits of it: as many as are looked at.
    pub(super) hashes: [u32; WAYS],
    /// The generation in each slot's stamp.
    pub(super) generations: [Cell<u64>; WAYS],
    /// The run that each slot's entry counts for already.
    runs: [Cell<u64>; WAYS],
}

/// One cache line.
#[derive(Default)]
#[repr(align(64))]
pub(super) struct Slot(pub(super) Option<Kept>);

pub(super) struct Kept {
    pub(super) entry: Arc<Stored>,
    pub(super) hits: Arc<HitCell>,
    pub(super) whose: u64,
    pub(super) words: [u64; 2],
    pub(super) stamp: Stamp,
    pub(super) until: Until,
}

/// Until when a slot answers, and whether it did since its set was last looked through: in one word, so that a slot is one
/// cache line.
pub(super) struct Until(Cell<u64>);

impl Until {
    const USED: u64 = 1;

    /// In nanoseconds of the operating system's clock; an odd one counts as the one before.
    pub(super) fn new(until: u64, used: bool) -> Self {
        Self(Cell::new(until & !Self::USED | u64::from(used)))
    }

    pub(super) fn move_to(&self, until: u64) {
        self.0.set(Self::new(until, self.is_used()).0.get());
    }

    #[inline]
    pub(super) fn is_to_come(&self) -> bool {
        let until = self.0.get() | Self::USED;
        until == NEVER || clock::system_is_before(until & !Self::USED)
    }

    #[inline]
    pub(super) fn is_used(&self) -> bool {
        self.0.get() & Self::USED != 0
    }

    #[inline]
    pub(super) fn set_used(&self, used: bool) {
        self.0.set(self.0.get() & !Self::USED | u64::from(used));
    }
}

#[inline]
fn mark(hash: u64) -> u8 {
    (hash >> 24) as u8
}

/// The place that is looked at first.
#[inline]
pub(super) fn first_way(hash: u64) -> usize {
    hash as usize % WAYS
}

impl Set {
    /// The slots that may hold the key, as the highest bits of bytes: all whose mark it is, and now and then another.
    #[inline]
    pub(super) fn candidates(&self, mark: u8) -> u64 {
        const ONES: u64 = u64::MAX / 0xff;
        // Which bytes are zero: "Determine if a word has a zero byte" in Anderson's Bit Twiddling Hacks.
        let different = u64::from_le_bytes(self.marks) ^ (ONES * u64::from(mark));
        different.wrapping_sub(ONES) & !different & (ONES << 7)
    }

    /// Which slot holds the key; [`WAYS`] if none does.
    #[inline(never)]
    pub(super) fn find(
        &self,
        hash: u64,
        whose: u64,
        first: u64,
        second: u64,
        key: Option<&CallKeyRef<'_, '_>>,
    ) -> usize {
        let mut candidates = self.candidates(mark(hash));
        while candidates != 0 {
            let way = candidates.trailing_zeros() as usize / 8;
            if self.kept(way).is_some_and(|kept| kept.is_of(whose, first, second, key)) {
                return way;
            }
            candidates &= candidates - 1;
        }
        WAYS
    }

    #[inline]
    pub(super) fn kept(&self, way: usize) -> Option<&Kept> {
        self.slots.get(way)?.0.as_ref()
    }

    /// Where a new entry goes: the place that is looked at first, if that `is_free`, else any that is.
    pub(super) fn place(&self, hash: u64, is_free: impl Fn(usize) -> bool) -> Option<usize> {
        let first = first_way(hash);
        if is_free(first) { Some(first) } else { (0..WAYS).find(|way| is_free(*way)) }
    }

    pub(super) fn is_empty(&self, way: usize) -> bool {
        self.slots.get(way).is_some_and(|slot| slot.0.is_none())
    }

    pub(super) fn is_unused(&self, way: usize) -> bool {
        self.kept(way).is_some_and(|kept| !kept.until.is_used())
    }

    /// All have to prove themselves anew.
    pub(super) fn begin_to_watch(&self) {
        self.slots.iter().flat_map(|slot| &slot.0).for_each(|kept| kept.until.set_used(false));
    }

    pub(super) fn put(&mut self, way: usize, kept: Kept, hash: u64, generation: u64) -> Option<Kept> {
        self.marks[way] = mark(hash);
        self.hashes[way] = hash as u32;
        self.generations[way].set(generation);
        self.runs[way].set(0);
        self.slots[way].0.replace(kept)
    }
}

impl Kept {
    #[inline]
    pub(super) fn answered(&self) {
        self.until.set_used(true);
        self.hits.one();
    }

    #[inline]
    pub(super) fn fits(&self, whose: u64, first: u64, second: u64) -> bool {
        self.words == [first, second] && self.whose == whose
    }

    pub(super) fn is_of(&self, whose: u64, first: u64, second: u64, key: Option<&CallKeyRef<'_, '_>>) -> bool {
        let own = || self.entry.meta.key.as_ref().zip(key).is_some_and(|(own, key)| own.matches(key));
        self.fits(whose, first, second) && (!is_long(whose) || own())
    }
}

impl Set {
    /// After something was invalidated or inserted since the slot was last looked at.
    #[cold]
    #[inline(never)]
    pub(super) fn is_still_live(&self, way: usize, generation: u64, epoch: u64) -> bool {
        let Some(kept) = self.kept(way) else { return false };
        // The epoch was read before: see `freshness`, invariant 3.
        let live = self.generations[way % WAYS].get() == generation && kept.entry.is_live_at(epoch);
        if live {
            kept.stamp.set(generation, epoch);
        }
        live
    }

    /// Has the run that is calling depend on the entry. `false` if that can't be done here.
    #[inline]
    pub(super) fn counts_for(&self, way: usize, run: u64) -> bool {
        // A run holds what it depends on until it ends: once is enough.
        self.runs[way % WAYS].get() == run || self.begin_to_count(way, run)
    }

    #[inline(never)]
    pub(super) fn begin_to_count(&self, way: usize, run: u64) -> bool {
        let counts = self.kept(way).is_some_and(|kept| context::inherit_here(&kept.entry.meta));
        if counts {
            self.runs[way % WAYS].set(run);
        }
        counts
    }
}

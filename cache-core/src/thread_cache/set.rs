//! The places that a key can be in, and what is remembered of the entry there.

use std::mem;
use std::sync::Arc;

use super::slot::{Kept, Rest};
use super::table::WAYS;
use crate::entry::CachedEntry;
use crate::key::call_key::{Ask, CallKeyRef, is_long};

/// The places a key can be in, beside the marks by which it is found. A hit reads its slot, which is one cache line; the
/// rest is for what is rare.
#[derive(Default)]
pub(crate) struct Set {
    slots: [Slot; WAYS],
    rest: [Rest; WAYS],
}

/// One cache line.
#[derive(Default)]
#[repr(align(64))]
struct Slot(Option<Kept>);

/// The marks of a set's slots, a byte of each one's hash, all of which are compared at once.
#[derive(Clone, Copy, Default)]
pub(crate) struct Marks(u64);

impl Marks {
    fn of(hash: u64) -> u64 {
        hash >> 24 & 0xff
    }

    fn put(&mut self, way: usize, hash: u64) {
        let mut bytes = self.0.to_le_bytes();
        bytes[way % WAYS] = Self::of(hash) as u8;
        self.0 = u64::from_le_bytes(bytes);
    }

    /// The slots that may hold a key of this hash: all whose mark it has, and now and then another.
    #[inline]
    pub(crate) fn find(self, hash: u64) -> impl Iterator<Item = usize> {
        const ONES: u64 = u64::MAX / 0xff;
        // Which bytes are zero: "Determine if a word has a zero byte" in Anderson's Bit Twiddling Hacks.
        let different = self.0 ^ (ONES * Self::of(hash));
        let mut found = different.wrapping_sub(ONES) & !different & (ONES << 7);
        std::iter::from_fn(move || {
            let way = (found != 0).then(|| found.trailing_zeros() as usize / 8);
            found &= found.wrapping_sub(1);
            way
        })
    }
}

/// What comes out of a slot: to be dropped where nothing of the table is borrowed.
pub(crate) type Taken = (Option<Kept>, Option<Arc<CachedEntry>>);

impl Set {
    #[inline]
    pub(crate) fn kept(&self, way: usize) -> Option<&Kept> {
        self.slots.get(way)?.0.as_ref()
    }

    #[inline]
    pub(crate) fn rest(&self, way: usize) -> Option<&Rest> {
        self.rest.get(way)
    }

    #[inline]
    pub(crate) fn both(&self, way: usize) -> Option<(&Kept, &Rest)> {
        self.kept(way).zip(self.rest(way))
    }

    fn entry(&self, way: usize) -> Option<&Arc<CachedEntry>> {
        self.both(way).and_then(|(kept, rest)| kept.entry(rest))
    }

    /// Whether a slot holds this key.
    pub(crate) fn holds(&self, way: usize, key: &CallKeyRef<'_, '_>) -> bool {
        let Ask { whose, words, .. } = *key.ask();
        let own = |rest: &Rest| rest.key.as_ref().is_some_and(|own| own.matches(key));
        self.both(way).is_some_and(|(kept, rest)| kept.fits(whose, words) && (!is_long(whose) || own(rest)))
    }

    pub(crate) fn find_empty(&self) -> Option<usize> {
        self.slots.iter().position(|slot| slot.0.is_none())
    }

    pub(crate) fn find_unused(&self) -> Option<usize> {
        self.slots.iter().position(|slot| slot.0.as_ref().is_some_and(|kept| !kept.until.is_used()))
    }

    /// All have to prove themselves anew.
    pub(crate) fn begin_to_watch(&self) {
        self.slots.iter().flat_map(|slot| &slot.0).for_each(|kept| kept.until.set_used(false));
    }

    /// What is displaced comes back.
    pub(crate) fn put(&mut self, marks: &mut Marks, way: usize, kept: Kept, rest: Rest) -> Taken {
        let way = way % WAYS;
        marks.put(way, rest.hash);
        let before = mem::replace(&mut self.rest[way], rest);
        (self.slots[way].0.replace(kept), before.into_entry())
    }

    /// All that it holds.
    pub(crate) fn into_parts(self) -> impl Iterator<Item = (Kept, Rest)> {
        self.slots.into_iter().zip(self.rest).filter_map(|(slot, rest)| Some((slot.0?, rest)))
    }

    /// Takes out an entry.
    pub(crate) fn take(&mut self, wanted: impl Fn(&Kept, &Arc<CachedEntry>) -> bool) -> Option<Taken> {
        let is_wanted =
            |way: &usize| self.kept(*way).zip(self.entry(*way)).is_some_and(|(kept, entry)| wanted(kept, entry));
        let way = (0..WAYS).find(is_wanted)?;
        Some((self.slots[way].0.take(), mem::take(&mut self.rest[way]).into_entry()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_a_cache_line() {
        assert_eq!(size_of::<Slot>(), 64);
        assert!(size_of::<Set>() + size_of::<Marks>() <= 113 * WAYS);
    }

    #[test]
    fn marks_find_every_slot_of_a_hash() {
        let mut random = 1_u64;
        for _ in 0..10_000 {
            let mut marks = Marks::default();
            let hashes: [u64; WAYS] = std::array::from_fn(|_| {
                random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                // Few different marks, neighbours among them, so that many slots have the same and bits carry over.
                ((random >> 60) % 3) << 24 | random >> 40
            });
            hashes.iter().enumerate().for_each(|(way, hash)| marks.put(way, *hash));
            for hash in hashes {
                let found: Vec<_> = marks.find(hash).collect();
                let same = (0..WAYS).filter(|way| Marks::of(hashes[*way]) == Marks::of(hash));
                assert!(found.is_sorted() && same.clone().all(|way| found.contains(&way)), "{found:?}");
                assert_eq!(found.first().copied(), same.clone().next(), "the first is never a wrong one");
            }
        }
    }
}

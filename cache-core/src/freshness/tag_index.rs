//! Finds the number of a tag's cell by a hash of the tag.
//!
//! There is at least one tag per entry, most are looked for once when an entry is stored and once when it goes, and in a
//! large table each line of memory that is read then has to be fetched from afar. So it is open addressing with linear
//! probing (D. Knuth, The Art of Computer Programming 3, 6.4, algorithms L and R): what tells tags apart lies beside their
//! numbers, so that a look reads one line or two, and a removal leaves no tombstone.

/// Numbers by 32 bits of their tags' hashes, which needn't be all different.
#[derive(Debug)]
pub(crate) struct TagIndex {
    /// A power of two of them, or none yet: in the upper half the bits of the hash, in the lower one more than the number.
    slots: Vec<u64>,
    len: usize,
}

const EMPTY: u64 = 0;
const FEWEST_SLOTS: usize = 8;

impl TagIndex {
    pub(crate) const fn new() -> Self {
        Self { slots: Vec::new(), len: 0 }
    }

    /// Where the number is that has these bits and that `is` the one.
    pub(crate) fn find(&self, bits: u32, mut is: impl FnMut(u32) -> bool) -> Option<Place> {
        let mut at = self.home(bits);
        loop {
            let slot = *self.slots.get(at)?;
            if slot == EMPTY {
                return None;
            }
            if bits_of(slot) == bits && is(number_of(slot)) {
                return Some(Place { at, number: number_of(slot) });
            }
            at = self.after(at);
        }
    }

    /// Adds a number that isn't there. The greatest number of all there is no room for.
    pub(crate) fn insert(&mut self, bits: u32, number: u32) {
        // At most 13 of 16 are taken: beyond, ways get long.
        if (self.len + 1) * 16 > self.slots.len() * 13 {
            self.resize((self.slots.len() * 2).max(FEWEST_SLOTS));
        }
        self.put(u64::from(bits) << 32 | (u64::from(number) + 1));
        self.len += 1;
    }

    /// Removes what was found, if nothing was changed since.
    pub(crate) fn remove(&mut self, place: Place) {
        let (mut hole, mut at) = (place.at, place.at);
        loop {
            at = self.after(at);
            let slot = self.slots.get(at).copied().unwrap_or(EMPTY);
            if slot == EMPTY {
                break;
            }
            // Whoever would be looked for from the hole or from before it has to be found there.
            if self.way(self.home(bits_of(slot)), at) >= self.way(hole, at) {
                self.set(hole, slot);
                hole = at;
            }
        }
        self.set(hole, EMPTY);
        self.len -= 1;
        if self.len * 8 < self.slots.len() && self.slots.len() > 32 * FEWEST_SLOTS {
            self.resize((self.len * 2).next_power_of_two());
        }
    }

    fn resize(&mut self, slots: usize) {
        let before = std::mem::replace(&mut self.slots, vec![EMPTY; slots]);
        before.into_iter().filter(|slot| *slot != EMPTY).for_each(|slot| self.put(slot));
    }

    fn put(&mut self, slot: u64) {
        let mut at = self.home(bits_of(slot));
        while self.slots.get(at).is_some_and(|taken| *taken != EMPTY) {
            at = self.after(at);
        }
        self.set(at, slot);
    }

    fn set(&mut self, at: usize, slot: u64) {
        if let Some(place) = self.slots.get_mut(at) {
            *place = slot;
        }
    }

    fn home(&self, bits: u32) -> usize {
        bits as usize & self.slots.len().wrapping_sub(1)
    }

    fn after(&self, at: usize) -> usize {
        (at + 1) & self.slots.len().wrapping_sub(1)
    }

    /// How far it is from one slot to another.
    fn way(&self, from: usize, to: usize) -> usize {
        to.wrapping_sub(from) & self.slots.len().wrapping_sub(1)
    }
}

/// Where a number was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    at: usize,
    pub(crate) number: u32,
}

fn bits_of(slot: u64) -> u32 {
    (slot >> 32) as u32
}

fn number_of(slot: u64) -> u32 {
    (slot as u32).wrapping_sub(1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Against a map, with bits that often collide, in tables that grow and shrink.
    #[test]
    fn it_holds_what_was_inserted_and_not_removed() {
        for few in [3, 200, u32::MAX] {
            let (mut index, mut expected) = (TagIndex::new(), BTreeMap::new());
            let mut drawn = 1_u64;
            let mut draw = || {
                drawn = drawn.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                (drawn >> 33) as u32
            };
            for step in 0..60_000_u32 {
                // Mostly in at first, mostly out in the end.
                let number = draw() % 3_000;
                let goes_in = draw() % 60_000 > step;
                match (expected.get(&number).copied(), goes_in) {
                    (None, true) => {
                        let bits = draw() % few;
                        index.insert(bits, number);
                        expected.insert(number, bits);
                    }
                    (Some(bits), false) => {
                        let place = index.find(bits, |found| found == number).unwrap();
                        index.remove(place);
                        expected.remove(&number);
                        assert_eq!(index.find(bits, |found| found == number), None);
                    }
                    _ => {}
                }
                assert_eq!(index.len, expected.len());
                if step % 5_000 == 0 {
                    for (number, bits) in &expected {
                        assert!(index.find(*bits, |found| found == *number).is_some(), "{number} at step {step}");
                    }
                }
            }
            assert!(index.slots.len() <= (index.len * 8).max(32 * FEWEST_SLOTS), "it shrinks");
        }
    }

    #[test]
    fn what_has_the_same_bits_is_told_apart_by_who_asks() {
        let mut index = TagIndex::new();
        assert_eq!(index.find(7, |_| true), None);
        for number in [0, 1, u32::MAX - 1] {
            index.insert(7, number);
        }
        for number in [0, 1, u32::MAX - 1] {
            assert_eq!(index.find(7, |found| found == number).map(|place| place.number), Some(number));
        }
        assert_eq!(index.find(7, |_| false), None);
        assert_eq!(index.find(8, |_| true), None);
    }
}

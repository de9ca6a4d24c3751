//! A bounded map that drops what is least useful: one shard of a store, without its lock.
//!
//! S3-FIFO, from "FIFO queues are all you need for cache eviction" (Yang et al., SOSP 2023): what comes in waits in a small
//! queue. What is asked for before its turn comes goes on to the main queue, where each use since the last turn buys one more;
//! the rest goes, and leaves the hash of its key, by which it gets into the main queue at once if it comes back soon. What came
//! in last always stays. With `evict = lru` there are no queues: what was used least recently goes.
//!
//! No code of the user's runs in here: who calls compares keys, and drops what comes out.

use std::collections::VecDeque;
use std::mem;

use hashbrown::HashTable;

use super::Evict;
use super::ends::Ends;
use super::ghosts::{Ghost, Ghosts};
use super::recency::Recency;

/// Which slot, and which of those who had it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    slot: u32,
    tenant: u32,
}

#[derive(Debug)]
struct Slot<K, V> {
    tenant: u32,
    hash: u32,
    weight: u32,
    /// Since its last turn, up to [`MOST_USES`].
    uses: u8,
    is_in_main: bool,
    /// The first tick for which [`Ends`] has it; 0 for none.
    ends: u64,
    taken: Option<(K, V)>,
}

const MOST_USES: u8 = 3;

/// The small queue has one part in so many of the room.
const SMALL: u64 = 10;

/// See the module.
#[derive(Debug)]
pub(super) struct Shard<K, V> {
    index: HashTable<u32>,
    slots: Vec<Slot<K, V>>,
    free: Vec<u32>,
    small: VecDeque<Place>,
    main: VecDeque<Place>,
    /// How much of the weight is in the small queue.
    small_weight: u64,
    weight: u64,
    most: u64,
    ghosts: Ghosts,
    ends: Ends<Place>,
    /// With [`Evict::Lru`]. Then all slots are said to be in the main queue, and the queues stay empty.
    recency: Option<Recency>,
    /// When something was last inserted, in units that the store chooses.
    now: u64,
}

/// What comes out, to be dropped where nothing is locked.
#[derive(Debug)]
pub(super) struct Out<K, V> {
    first: Option<(K, V)>,
    more: Vec<(K, V)>,
}

impl<K, V> Out<K, V> {
    pub(super) fn new() -> Self {
        Self { first: None, more: Vec::new() }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &(K, V)> {
        self.first.iter().chain(&self.more)
    }

    fn push(&mut self, one: (K, V)) {
        if self.first.is_none() {
            self.first = Some(one);
        } else {
            self.more.push(one);
        }
    }

    #[cfg(test)]
    fn is_empty(&self) -> bool {
        self.first.is_none()
    }
}

impl<K, V> IntoIterator for Out<K, V> {
    type Item = (K, V);
    type IntoIter = std::iter::Chain<std::option::IntoIter<(K, V)>, std::vec::IntoIter<(K, V)>>;

    fn into_iter(self) -> Self::IntoIter {
        self.first.into_iter().chain(self.more)
    }
}

/// What the index knows of a hash.
fn fold(hash: u64) -> u32 {
    (hash ^ hash >> 32) as u32
}

/// The index looks at the first bits and at the last.
fn spread(folded: u32) -> u64 {
    u64::from(folded).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// What comes in.
pub(super) struct New<K, V> {
    pub(super) hash: u64,
    pub(super) key: K,
    pub(super) value: V,
    pub(super) weight: u32,
    /// When it is to go, in nanoseconds; `u64::MAX` for never.
    pub(super) end: u64,
    /// When it comes in, in the units by which evictions are remembered.
    pub(super) now: u64,
}

impl<K, V> Shard<K, V> {
    /// `most` is the weight that it holds; `u64::MAX` for any.
    pub(super) fn new(most: u64, evict: Evict) -> Self {
        Self {
            index: HashTable::new(),
            slots: Vec::new(),
            free: Vec::new(),
            small: VecDeque::new(),
            main: VecDeque::new(),
            small_weight: 0,
            weight: 0,
            most,
            ghosts: Ghosts::default(),
            ends: Ends::default(),
            recency: (evict == Evict::Lru).then(Recency::default),
            now: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// The first one of this hash that `is` it, or that it can't tell (`None`) without whoever made the key: then that key.
    pub(super) fn find(&self, hash: u64, is: impl Fn(&K) -> Option<bool>) -> Result<Option<u32>, &K> {
        let folded = fold(hash);
        let mut unknown = None;
        let found = self.index.find(spread(folded), |slot| {
            let Some(slot) = self.slots.get(*slot as usize).filter(|slot| slot.hash == folded) else { return false };
            let Some((key, _)) = &slot.taken else { return false };
            match is(key) {
                Some(is) => is,
                None => {
                    unknown = Some(key);
                    true
                }
            }
        });
        match unknown {
            Some(key) => Err(key),
            None => Ok(found.copied()),
        }
    }

    /// Whether a key of this hash had to make room a while ago.
    pub(super) fn was_evicted(&self, hash: u64) -> bool {
        let folded = fold(hash);
        self.ghosts.has(folded, spread(folded))
    }

    /// What is there; a use of it.
    pub(super) fn get(&mut self, slot: u32) -> Option<&V> {
        if let Some(recency) = &mut self.recency {
            recency.touch(slot);
        }
        let slot = self.slots.get_mut(slot as usize)?;
        slot.uses = MOST_USES.min(slot.uses + 1);
        slot.taken.as_ref().map(|(_, value)| value)
    }

    /// Puts it into the slot `found`, if the key is there, or else into a new one. When the key was evicted, if that was not long
    /// ago.
    pub(super) fn insert(&mut self, found: Option<u32>, new: New<K, V>, out: &mut Out<K, V>) -> Option<u64> {
        let New { hash, key, value, weight, end, now } = new;
        self.now = now;
        if let Some(number) = found {
            self.replace(number, (key, value), weight, out);
            self.note_end(number, end);
            self.make_room(0, Some(number), out);
            return None;
        }
        self.make_room(u64::from(weight), None, out);
        let folded = fold(hash);
        let is_bounded = self.most != u64::MAX;
        let ghost = if is_bounded { self.ghosts.take(folded, spread(folded), now) } else { None };
        let is_in_main = self.recency.is_some() || ghost.is_some_and(|ghost| !ghost.was_in_main);
        let taken = Some((key, value));
        let number = match self.free.pop() {
            Some(number) => {
                if let Some(slot) = self.slots.get_mut(number as usize) {
                    *slot = Slot { hash: folded, weight, uses: 0, is_in_main, ends: 0, taken, tenant: slot.tenant };
                }
                number
            }
            None => {
                let slot = Slot { tenant: 0, hash: folded, weight, uses: 0, is_in_main, ends: 0, taken };
                self.slots.push(slot);
                self.slots.len() as u32 - 1
            }
        };
        let slots = &self.slots;
        self.index.insert_unique(spread(folded), number, |slot| {
            spread(slots.get(*slot as usize).map_or(0, |slot| slot.hash))
        });
        self.weight += u64::from(weight);
        if let Some(recency) = &mut self.recency {
            recency.add(number);
        } else if is_bounded {
            let place = self.place(number);
            if is_in_main {
                self.main.push_back(place);
            } else {
                self.small.push_back(place);
                self.small_weight += u64::from(weight);
            }
            self.sweep();
        }
        self.note_end(number, end);
        ghost.map(|ghost| ghost.evicted_at)
    }

    fn replace(&mut self, number: u32, new: (K, V), weight: u32, out: &mut Out<K, V>) {
        let Some(slot) = self.slots.get_mut(number as usize) else { return };
        let before = u64::from(mem::replace(&mut slot.weight, weight));
        self.weight = self.weight - before + u64::from(weight);
        if !slot.is_in_main && self.most != u64::MAX {
            self.small_weight = self.small_weight - before + u64::from(weight);
        }
        slot.uses = MOST_USES.min(slot.uses + 1);
        slot.taken.replace(new).into_iter().for_each(|old| out.push(old));
        if let Some(recency) = &mut self.recency {
            recency.touch(number);
        }
    }

    /// Takes it out.
    pub(super) fn remove(&mut self, number: u32, out: &mut Out<K, V>) {
        let Some(slot) = self.slots.get_mut(number as usize) else { return };
        let Some(taken) = slot.taken.take() else { return };
        // What the queues and the ends have of it is void.
        slot.tenant = slot.tenant.wrapping_add(1);
        let (hash, weight, is_in_main) = (slot.hash, u64::from(slot.weight), slot.is_in_main);
        if let Ok(entry) = self.index.find_entry(spread(hash), |other| *other == number) {
            entry.remove();
        }
        self.weight -= weight;
        if !is_in_main && self.most != u64::MAX {
            self.small_weight -= weight;
        }
        if let Some(recency) = &mut self.recency {
            recency.remove(number);
        }
        self.free.push(number);
        out.push(taken);
    }

    /// Everything comes out.
    pub(super) fn clear(&mut self) -> impl Iterator<Item = (K, V)> + use<K, V> {
        let evict = if self.recency.is_some() { Evict::Lru } else { Evict::Unasked };
        let before = mem::replace(self, Self::new(self.most, evict));
        before.slots.into_iter().filter_map(|slot| slot.taken)
    }

    fn place(&self, slot: u32) -> Place {
        Place { slot, tenant: self.slots.get(slot as usize).map_or(0, |slot| slot.tenant) }
    }

    fn tenant(&mut self, place: Place) -> Option<&mut Slot<K, V>> {
        let slot = self.slots.get_mut(place.slot as usize)?;
        (slot.tenant == place.tenant && slot.taken.is_some()).then_some(slot)
    }

    /// Drops entries until so much more fits. `new` is one that has just been given a new value: it stays.
    fn make_room(&mut self, weight: u64, new: Option<u32>, out: &mut Out<K, V>) {
        // Beyond this, used entries are dropped as well: an insertion doesn't wait until all of them have had a turn.
        const MOST_TURNS: usize = 64;
        let mut turns = 0;
        if self.recency.is_some() {
            return self.make_room_by_recency(weight, new, out);
        }
        while self.weight.saturating_add(weight) > self.most {
            let from_small = self.small_weight.saturating_mul(SMALL) >= self.most || self.main.is_empty();
            let queue = if from_small { &mut self.small } else { &mut self.main };
            let Some(place) = queue.pop_front() else { return };
            let Some(slot) = self.tenant(place) else { continue };
            let (uses, weight, hash) = (slot.uses, u64::from(slot.weight), slot.hash);
            let is_new = new == Some(place.slot);
            if uses > 0 && turns < MOST_TURNS || is_new {
                turns += 1;
                slot.uses = if from_small || is_new { 0 } else { uses - 1 };
                slot.is_in_main = true;
                self.main.push_back(place);
                if from_small {
                    self.small_weight -= weight;
                }
                if is_new && self.len() == 1 {
                    return;
                }
                continue;
            }
            self.evict(place.slot, hash, !from_small, out);
        }
    }

    /// The same where what was used least recently goes first.
    fn make_room_by_recency(&mut self, weight: u64, new: Option<u32>, out: &mut Out<K, V>) {
        while self.weight.saturating_add(weight) > self.most {
            // The new one is the last of them.
            let oldest = self.recency.as_ref().and_then(Recency::oldest).filter(|oldest| new != Some(*oldest));
            let Some(oldest) = oldest else { return };
            let hash = self.slots.get(oldest as usize).map_or(0, |slot| slot.hash);
            self.evict(oldest, hash, true, out);
        }
    }

    fn evict(&mut self, slot: u32, hash: u32, was_in_main: bool, out: &mut Out<K, V>) {
        let ghost = Ghost { was_in_main, evicted_at: self.now };
        self.ghosts.add(hash, spread(hash), ghost, self.index.len());
        self.remove(slot, out);
    }

    /// What was taken out leaves holes in the queues.
    fn sweep(&mut self) {
        if self.small.len() + self.main.len() > 2 * self.index.len() + 64 {
            let slots = &self.slots;
            let stays = |place: &Place| slots.get(place.slot as usize).is_some_and(|slot| slot.tenant == place.tenant);
            self.small.retain(stays);
            self.main.retain(stays);
        }
    }

    fn note_end(&mut self, number: u32, end: u64) {
        let place = self.place(number);
        if let Some(slot) = self.slots.get_mut(number as usize)
            && let Some(tick) = Ends::<Place>::tick(end)
            && (slot.ends == 0 || tick < slot.ends)
        {
            slot.ends = tick;
            self.ends.add(tick, place);
            // What was taken out, or given an earlier end, leaves holes here as well.
            if self.ends.len() > 2 * self.index.len() + 64 {
                let slots = &self.slots;
                self.ends.retain(|tick, place| {
                    let of = slots.get(place.slot as usize);
                    of.is_some_and(|slot| slot.tenant == place.tenant && slot.ends == tick)
                });
            }
        }
    }

    /// Whether anything may be due.
    pub(super) fn has_ends(&self) -> bool {
        !self.ends.is_empty()
    }

    /// Takes out what has ended by now, or a part of it: `true` if there may be more. `end` says when an entry is to go.
    pub(super) fn take_due(&mut self, now: u64, end: impl Fn(&V) -> u64, out: &mut Out<K, V>) -> bool {
        const AT_ONCE: usize = 64;
        for _ in 0..AT_ONCE {
            let Some((tick, place)) = self.ends.take_due(now) else { return false };
            let Some(slot) = self.tenant(place).filter(|slot| slot.ends == tick) else { continue };
            slot.ends = 0;
            let Some(end) = slot.taken.as_ref().map(|(_, value)| end(value)) else { continue };
            if end <= now {
                self.remove(place.slot, out);
            } else {
                self.note_end(place.slot, end);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests;

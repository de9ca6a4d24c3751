//! The tags in use: one interned cell each, found by id, freed when nobody holds it any more.
//!
//! There is at least one per entry, so a cell is small and takes no allocation of its own: cells are made in batches and
//! used again for other tags. They stay with the process; what is held by nobody is 24 bytes for a tag to come.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::ops::Deref;

use crate::freshness::epoch::Groups;
use crate::freshness::tag_index::TagIndex;
use crate::tag::TagId;
use crate::util::id_hasher::IdHasher;
use crate::util::seed::process_seed;
use crate::util::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::util::sync::{Mutex, in_process, lock};

in_process! {
    /// Of all caches.
    static TABLE: TagTable = TagTable::new();
}

/// One tag of one cache; in use while a [`TagRef`] to it is alive.
///
/// What it is the cell of changes only while nobody holds it, and whoever holds it got it after that: through the lock
/// of its shard, or from somebody else. So it is read without any ordering of its own.
#[derive(Debug)]
pub(crate) struct TagCell {
    id: AtomicU64,
    /// Of its last invalidation.
    stamp: AtomicU64,
    /// And, in the last bits, the number of its group.
    cache: AtomicU32,
    /// How many references there are. Gets from 0 to 1 and from 1 to 0 under the shard's lock only.
    holders: AtomicU32,
}

impl TagCell {
    fn unused() -> Self {
        Self { id: AtomicU64::new(0), stamp: AtomicU64::new(0), cache: AtomicU32::new(0), holders: AtomicU32::new(0) }
    }

    pub(crate) fn id(&self) -> TagId {
        TagId(self.id.load(Ordering::Relaxed))
    }

    fn cache(&self) -> u32 {
        self.cache.load(Ordering::Relaxed) >> GROUP_BITS
    }

    /// Stays the same while it is in use.
    pub(crate) fn group(&self) -> Groups {
        Groups::of((self.cache.load(Ordering::Relaxed) % (1 << GROUP_BITS)) as u8)
    }

    fn is_of(&self, cache: u32, id: TagId) -> bool {
        self.id() == id && self.cache() == cache
    }

    #[inline]
    pub(crate) fn is_newer_than(&self, held: u64) -> bool {
        self.stamp.load(Ordering::Acquire) > held
    }

    /// An invalidation, in the order of this process.
    pub(crate) fn mark(&self, stamp: u64) {
        self.stamp.fetch_max(stamp, Ordering::AcqRel);
    }
}

const GROUP_BITS: u32 = Groups::COUNT.ilog2();

/// Keeps a tag in use.
#[derive(Debug)]
pub(crate) struct TagRef(&'static TagCell);

impl TagRef {
    /// Whether it is the same tag of the same cache.
    pub(crate) fn is(&self, other: &Self) -> bool {
        std::ptr::eq(self.0, other.0)
    }

    /// Where the cell is: no other tag's in use.
    pub(crate) fn place(&self) -> usize {
        std::ptr::from_ref(self.0) as usize
    }
}

impl Deref for TagRef {
    type Target = TagCell;
    #[inline]
    fn deref(&self) -> &TagCell {
        self.0
    }
}

impl Clone for TagRef {
    fn clone(&self) -> Self {
        // There is a holder, so nobody else is about to free it.
        self.0.holders.fetch_add(1, Ordering::Relaxed);
        Self(self.0)
    }
}

impl Drop for TagRef {
    fn drop(&mut self) {
        let another = |holders: u32| (holders > 1).then(|| holders - 1);
        if self.0.holders.fetch_update(Ordering::Release, Ordering::Relaxed, another).is_err() {
            TABLE.let_go(self.0);
        }
    }
}

const SHARDS: usize = 16;
/// How many cells are made at once, at most. A power of two.
const BATCH: u32 = 128;

#[derive(Debug)]
struct TagTable([Mutex<Shard>; SHARDS]);

#[derive(Debug)]
struct Shard {
    /// The numbers of the cells in use.
    index: TagIndex,
    /// All cells, by their numbers: see [`batch_of`].
    batches: Vec<&'static [TagCell]>,
    /// The numbers of those that are held by nobody.
    free: Vec<u32>,
    /// How many of those in use are of this cache.
    of_cache: HashMap<u32, usize, BuildHasherDefault<IdHasher>>,
}

impl TagTable {
    const fn new() -> Self {
        Self([const { Mutex::new(Shard::new()) }; SHARDS])
    }

    fn shard(&self, id: TagId) -> &Mutex<Shard> {
        // Not among the bits that are looked for in the index.
        &self.0[(id.0 >> 40) as usize % SHARDS]
    }

    /// Called by the last holder, as far as it can see.
    #[cold]
    fn let_go(&self, cell: &'static TagCell) {
        let mut shard = lock(self.shard(cell.id()));
        // Somebody may have found it meanwhile.
        if cell.holders.fetch_sub(1, Ordering::AcqRel) == 1 {
            shard.free(cell);
        }
    }
}

/// What a tag is looked for by. Ids are hashes already, but by no secret, as they are the same in all processes; and caches
/// have many tags in common.
fn bits(cache: u32, id: TagId) -> u32 {
    let seed = process_seed();
    // Odd, so that no bit of the id is lost. Both halves of the product, so that all bits count; and these scattered.
    let product = u128::from(id.0 ^ seed) * u128::from((seed.rotate_left(32) ^ (u64::from(cache) << 1)) | 1);
    let folded = product as u64 ^ (product >> 64) as u64;
    (folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32
}

/// In which batch the cell of this number is, and where there. The first batches are of 1, 2, 4, ... cells, the others of
/// [`BATCH`].
fn batch_of(number: u32) -> (usize, usize) {
    let from_one = number.wrapping_add(1);
    let (batch, at) = match from_one.checked_ilog2() {
        Some(batch) if from_one < BATCH => (batch, from_one - (1 << batch)),
        _ => (BATCH.ilog2() + (from_one - BATCH) / BATCH, from_one % BATCH),
    };
    (batch as usize, at as usize)
}

impl Shard {
    const fn new() -> Self {
        let of_cache = HashMap::with_hasher(BuildHasherDefault::new());
        Self { index: TagIndex::new(), batches: Vec::new(), free: Vec::new(), of_cache }
    }

    fn cell(&self, number: u32) -> Option<&'static TagCell> {
        let (batch, at) = batch_of(number);
        self.batches.get(batch)?.get(at)
    }

    fn find(&self, bits: u32, is: impl Fn(&TagCell) -> bool) -> Option<&'static TagCell> {
        self.cell(self.index.find(bits, |number| self.cell(number).is_some_and(&is))?.number)
    }

    /// A cell that nobody holds.
    fn take_free(&mut self) -> (u32, &'static TagCell) {
        loop {
            if let Some(found) = self.free.pop().and_then(|number| Some((number, self.cell(number)?))) {
                return found;
            }
            let made = 1 << (self.batches.len() as u32).min(BATCH.ilog2());
            let first = self.batches.iter().map(|batch| batch.len() as u32).sum::<u32>();
            self.batches.push((0..made).map(|_| TagCell::unused()).collect::<Vec<_>>().leak());
            self.free.extend((first..first + made).rev());
        }
    }

    fn free(&mut self, cell: &'static TagCell) {
        let (cache, id) = (cell.cache(), cell.id());
        let is = |number| self.cell(number).is_some_and(|found| std::ptr::eq(found, cell));
        let Some(place) = self.index.find(bits(cache, id), is) else { return };
        self.index.remove(place);
        self.free.push(place.number);
        if let Some(count) = self.of_cache.get_mut(&cache) {
            *count -= 1;
            if *count == 0 {
                self.of_cache.remove(&cache);
            }
        }
    }
}

/// The cell of a tag. If nobody held it, its stamp is `floor`, which is read when that is known, and its group that of
/// `head`.
pub(crate) fn intern(cache: u32, id: TagId, head: Option<TagId>, floor: &AtomicU64) -> TagRef {
    let cache = number(cache);
    let bits = bits(cache, id);
    let mut shard = lock(TABLE.shard(id));
    if let Some(cell) = shard.find(bits, |cell| cell.is_of(cache, id)) {
        cell.holders.fetch_add(1, Ordering::Relaxed);
        return TagRef(cell);
    }
    let (number, cell) = shard.take_free();
    cell.id.store(id.0, Ordering::Relaxed);
    cell.cache.store(cache << GROUP_BITS | u32::from(Groups::number_of(head)), Ordering::Relaxed);
    cell.stamp.store(floor.load(Ordering::Acquire), Ordering::Release);
    cell.holders.store(1, Ordering::Relaxed);
    shard.index.insert(bits, number);
    *shard.of_cache.entry(cache).or_default() += 1;
    TagRef(cell)
}

/// What there is room for. Which of two caches of one number is meant is lost: too much is invalidated then, never too
/// little.
fn number(cache: u32) -> u32 {
    cache << GROUP_BITS >> GROUP_BITS
}

/// How many tags of this cache are in use.
pub(crate) fn in_use(cache: u32) -> usize {
    let cache = number(cache);
    TABLE.0.iter().map(|shard| lock(shard).of_cache.get(&cache).copied().unwrap_or(0)).sum()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Whoever names tags can try until their ids have bits in common.
    #[test]
    fn tags_that_were_prepared_lie_apart() {
        for same in [0, 16, 32, 48] {
            let ids = (0..1 << 12).map(|number: u64| TagId(number.rotate_left(same) ^ 0x5851_f42d_4c95_7f2d));
            let homes: BTreeSet<_> = ids.map(|id| bits(7, id) % (1 << 12)).collect();
            // 63 in 100 if they were drawn.
            assert!(homes.len() > 1 << 11, "{} different ones at {same}", homes.len());
        }
        let caches: BTreeSet<_> = (0..1 << 12).map(|cache| bits(cache, TagId(1)) % (1 << 12)).collect();
        assert!(caches.len() > 1 << 11, "{} different ones", caches.len());
    }
}

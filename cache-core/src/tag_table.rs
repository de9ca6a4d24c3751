//! The tags in use: one interned cell each, found by id, freed when nobody holds it any more.
//!
//! There is at least one per entry, so a cell is small and takes no allocation of its own: cells are made in batches and
//! used again for other tags. They stay with the process; what is held by nobody is 24 bytes for a tag to come.

use std::borrow::Borrow;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::ops::Deref;

use crate::backend::TagId;
use crate::freshness::IdHasher;
use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::sync::{Mutex, in_process, lock};

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
    cache: AtomicU32,
    /// How many references there are. Gets from 0 to 1 and from 1 to 0 under the shard's lock only.
    holders: AtomicU32,
}

impl TagCell {
    fn new(cache: u32, id: TagId) -> Self {
        Self {
            id: AtomicU64::new(id.0),
            stamp: AtomicU64::new(0),
            cache: AtomicU32::new(cache),
            holders: AtomicU32::new(0),
        }
    }

    pub(crate) fn id(&self) -> TagId {
        TagId(self.id.load(Ordering::Relaxed))
    }

    fn cache(&self) -> u32 {
        self.cache.load(Ordering::Relaxed)
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

impl PartialEq for TagCell {
    fn eq(&self, other: &Self) -> bool {
        (self.id(), self.cache()) == (other.id(), other.cache())
    }
}

impl Eq for TagCell {}

impl Hash for TagCell {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Ids are hashes already; caches have many tags in common.
        state.write_u64(self.id().0 ^ u64::from(self.cache()).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    }
}

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

/// A cell in the table: found by what it is the cell of.
#[derive(Debug)]
struct Interned(&'static TagCell);

impl PartialEq for Interned {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Interned {}

impl Hash for Interned {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl Borrow<TagCell> for Interned {
    fn borrow(&self) -> &TagCell {
        self.0
    }
}

const SHARDS: usize = 16;
/// How many cells are made at once, at most.
const BATCH: usize = 128;

#[derive(Debug)]
struct TagTable([Mutex<Shard>; SHARDS]);

#[derive(Debug)]
struct Shard {
    cells: HashSet<Interned, BuildHasherDefault<IdHasher>>,
    /// Held by nobody.
    free: Vec<&'static TagCell>,
    /// How many of `cells` are of this cache.
    of_cache: HashMap<u32, usize, BuildHasherDefault<IdHasher>>,
}

impl TagTable {
    const fn new() -> Self {
        Self([const { Mutex::new(Shard::new()) }; SHARDS])
    }

    fn shard(&self, id: TagId) -> &Mutex<Shard> {
        // The set inside uses the low bits, and the highest ones to tell apart what is side by side.
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

impl Shard {
    const fn new() -> Self {
        let (cells, of_cache) = (BuildHasherDefault::new(), BuildHasherDefault::new());
        Self { cells: HashSet::with_hasher(cells), free: Vec::new(), of_cache: HashMap::with_hasher(of_cache) }
    }

    fn make(&mut self) -> &'static TagCell {
        if let Some(cell) = self.free.pop() {
            return cell;
        }
        let batch = self.cells.len().clamp(1, BATCH);
        let cells: Vec<_> = (0..batch).map(|_| TagCell::new(0, TagId(0))).collect();
        self.free.extend(cells.leak().iter());
        self.free.pop().unwrap_or_else(|| Box::leak(Box::new(TagCell::new(0, TagId(0)))))
    }

    fn free(&mut self, cell: &'static TagCell) {
        self.cells.remove(cell);
        if self.cells.len() * 4 < self.cells.capacity() && self.cells.capacity() > 256 {
            self.cells.shrink_to_fit();
        }
        if let Some(count) = self.of_cache.get_mut(&cell.cache()) {
            *count -= 1;
            if *count == 0 {
                self.of_cache.remove(&cell.cache());
            }
        }
        self.free.push(cell);
    }
}

/// The cell of a tag. If nobody held it, its stamp is `floor`, which is read when that is known.
pub(crate) fn intern(cache: u32, id: TagId, floor: &AtomicU64) -> TagRef {
    let mut shard = lock(TABLE.shard(id));
    let wanted = TagCell::new(cache, id);
    if let Some(Interned(cell)) = shard.cells.get(&wanted) {
        cell.holders.fetch_add(1, Ordering::Relaxed);
        return TagRef(cell);
    }
    let cell = shard.make();
    cell.id.store(id.0, Ordering::Relaxed);
    cell.cache.store(cache, Ordering::Relaxed);
    cell.stamp.store(floor.load(Ordering::Acquire), Ordering::Release);
    cell.holders.store(1, Ordering::Relaxed);
    shard.cells.insert(Interned(cell));
    *shard.of_cache.entry(cache).or_default() += 1;
    TagRef(cell)
}

/// How many tags of this cache are in use.
pub(crate) fn in_use(cache: u32) -> usize {
    TABLE.0.iter().map(|shard| lock(shard).of_cache.get(&cache).copied().unwrap_or(0)).sum()
}

//! Validity without an index: tags as interned atomic stamps, and the epoch that lets a hit skip them.
//!
//! # Invariants
//!
//! 1. An invalidation first marks its tags with a stamp, then moves the epoch. A run takes its stamp from the epoch.
//!    So a run that could have read data from before the invalidation holds an older stamp than the mark.
//! 2. An entry is live iff no tag's stamp is newer than the one the entry holds for that tag.
//! 3. An entry that was found live *after* the epoch was read as `e` stays live while the epoch is `e`: whoever marks a
//!    tag later moves the epoch after. (The other way round an entry could be found live for ever.)
//! 4. Of one tag id at most one [`TagCell`](crate::tag_table::TagCell) is in use. A cell nobody holds is freed; it comes back with the stamp
//!    `floor`. So a marked cell is kept for as long as a run is under way that began before the mark: that run may add
//!    the tag at its end and must find it marked.
//!
//! # Why a run with a stamp not older than the mark reads new data
//!
//! Functions may read their data through atomics that order nothing, so that the order has to come from here. An
//! invalidation writes to the epoch twice: it adds 0 to take its mark, one more than the `v` found there, and it adds 1
//! after the tags are marked. Both are read-modify-write operations that release, and nothing else is ever written to an
//! epoch. So in the epoch's modification order the first of them heads a release sequence that goes on for ever. Whoever
//! reads a number greater than `v`, and acquires, reads from that sequence: what the invalidating thread had written before
//! happens before what the reader reads next. So a run either has a stamp of at most `v`, and the mark kills it, or it reads
//! the new data.
//!
//! To *load* the epoch for the mark is not enough. Two invalidations at the same time may load the same `v`, and the first
//! moves the epoch to `v + 1`. A run that takes this for its stamp has synchronized with the first one only: it may read
//! the data of the second from before its write, and the second one's mark, `v + 1` as well, is not newer than its stamp.
//!
//! `tests/interleavings.rs` checks the invariants for all schedules of a few threads, `tests/memory_order.rs` for all
//! values that the memory model allows a load to see.

use std::collections::VecDeque;
use std::hash::Hasher;

use crate::backend::TagId;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Arc, Mutex, lock};
use crate::tag_table::{self, TagRef};

/// The invalidation order of this process. All caches share one, so that an entry of one cache may depend on another's.
#[derive(Debug)]
pub(crate) struct Epoch(AtomicU64);

impl Epoch {
    pub(crate) const fn new() -> Self {
        Self(AtomicU64::new(1))
    }

    #[inline]
    pub(crate) fn now(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// The mark of an invalidation that begins now. It is written as it is read: see the head of this file.
    fn mark(&self) -> u64 {
        self.0.fetch_add(0, Ordering::AcqRel) + 1
    }

    fn advance(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

/// Remembers the epoch at which something was last found live; invariant 3.
#[derive(Debug)]
pub(crate) struct LastFoundLive(AtomicU64);

impl LastFoundLive {
    /// Not looked at yet: no epoch is 0.
    pub(crate) fn never() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Whether it is live at this epoch, which was read before. `look` finds out if it isn't known yet.
    #[inline]
    pub(crate) fn is_live(&self, epoch: u64, look: impl FnOnce() -> bool) -> bool {
        if self.0.load(Ordering::Acquire) == epoch {
            return true;
        }
        let live = look();
        if live {
            self.0.store(epoch, Ordering::Release);
        }
        live
    }
}

/// The runs under way, and what was invalidated meanwhile.
#[derive(Debug, Default)]
struct Runs {
    /// Stamps with how many runs hold them, the oldest first. Few: runs that begin between two invalidations share one.
    active: VecDeque<(u64, usize)>,
    /// Marked cells with their stamp, kept for runs that began before.
    remembered: VecDeque<(u64, TagRef)>,
}

impl Runs {
    fn add(&mut self, stamp: u64) {
        // Stamps are taken under the lock, so there is no newer one.
        match self.active.back_mut() {
            Some((newest, count)) if *newest == stamp => *count += 1,
            _ => self.active.push_back((stamp, 1)),
        }
    }

    /// Whether it was the last one of this stamp.
    fn remove(&mut self, stamp: u64) -> bool {
        let Ok(at) = self.active.binary_search_by_key(&stamp, |(stamp, _)| *stamp) else { return false };
        let Some((_, count)) = self.active.get_mut(at) else { return false };
        *count -= 1;
        let last = *count == 0;
        if last {
            self.active.remove(at);
        }
        last
    }

    fn oldest(&self) -> Option<u64> {
        self.active.front().map(|(stamp, _)| *stamp)
    }
}

/// How many marked cells are kept for runs under way. Beyond, the oldest are forgotten by raising the floor, which
/// costs the oldest runs their place in the cache, and never freshness.
const REMEMBERED: usize = 1 << 16;

/// The tags of one cache.
#[derive(Debug)]
pub(crate) struct Freshness {
    /// Static, so that a hit finds it without a detour.
    epoch: &'static Epoch,
    /// In the table of tags.
    cache: u32,
    /// The stamp of a tag that nobody holds.
    floor: AtomicU64,
    runs: Mutex<Runs>,
}

impl Freshness {
    pub(crate) fn new(epoch: &'static Epoch) -> Self {
        // Which of two caches of one number is meant would be lost: too much is invalidated then, never too little.
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let cache = NEXT.fetch_add(1, Ordering::Relaxed);
        Self { epoch, cache, floor: AtomicU64::new(0), runs: Mutex::new(Runs::default()) }
    }

    /// Where the invalidation order stands.
    #[inline]
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.now()
    }

    /// How many tags are in use.
    pub(crate) fn tags_in_use(&self) -> usize {
        tag_table::in_use(self.cache)
    }

    /// The cell of a tag; in use while someone holds it.
    pub(crate) fn intern(&self, id: TagId) -> TagRef {
        tag_table::intern(self.cache, id, &self.floor)
    }

    /// Makes every entry worthless that holds one of these tags with an older stamp.
    pub(crate) fn invalidate(&self, ids: &[TagId]) {
        let stamp = self.epoch.mark();
        let cells: Vec<_> = ids.iter().map(|id| self.intern(*id)).collect();
        for cell in &cells {
            cell.mark(stamp);
        }
        self.epoch.advance();
        // After the epoch: a run that isn't registered yet takes a stamp that is not older than the mark.
        self.remember(stamp, cells);
    }

    fn remember(&self, stamp: u64, cells: Vec<TagRef>) {
        let mut forgotten = Vec::new(); // dropped after the lock: a cell's drop takes the table's
        let mut runs = lock(&self.runs);
        if runs.oldest().is_some_and(|oldest| oldest < stamp) {
            runs.remembered.extend(cells.into_iter().map(|cell| (stamp, cell)));
            while runs.remembered.len() > REMEMBERED {
                if let Some((stamp, cell)) = runs.remembered.pop_front() {
                    self.floor.fetch_max(stamp, Ordering::AcqRel);
                    forgotten.push(cell);
                }
            }
        } else {
            forgotten = cells;
        }
        drop(runs);
        drop(forgotten);
    }

    /// Registers a run, or a read of a backend, that starts now. Until the guard is dropped, no invalidation is
    /// forgotten that is newer than its stamp.
    pub(crate) fn begin(self: &Arc<Self>) -> RunGuard {
        let mut runs = lock(&self.runs);
        let stamp = self.epoch.now();
        runs.add(stamp);
        drop(runs);
        RunGuard { freshness: Arc::clone(self), stamp }
    }
}

/// A run under way; see [`Freshness::begin`].
#[derive(Debug)]
pub(crate) struct RunGuard {
    freshness: Arc<Freshness>,
    stamp: u64,
}

impl RunGuard {
    /// Taken when the run was registered.
    pub(crate) fn stamp(&self) -> u64 {
        self.stamp
    }

    /// See [`Freshness::intern`].
    pub(crate) fn intern(&self, id: TagId) -> TagRef {
        self.freshness.intern(id)
    }
}

impl Drop for RunGuard {
    fn drop(&mut self) {
        let mut forgotten = Vec::new();
        let mut runs = lock(&self.freshness.runs);
        if runs.remove(self.stamp) {
            let oldest = runs.oldest().unwrap_or(u64::MAX);
            while runs.remembered.front().is_some_and(|(stamp, _)| *stamp <= oldest) {
                forgotten.extend(runs.remembered.pop_front());
            }
            if runs.remembered.is_empty() {
                runs.remembered.shrink_to_fit();
            }
        }
        drop(runs);
        drop(forgotten);
    }
}

/// Tag ids are hashes already.
#[derive(Clone, Debug, Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
    fn write_u64(&mut self, id: u64) {
        self.0 = id;
    }
    fn write_usize(&mut self, place: usize) {
        // Places are aligned, and a map looks at the low and the highest bits.
        self.0 = (place as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    }
}

//! The tags of one cache, their invalidation, and the runs under way. The [module](super) argues why it is correct.

use std::collections::VecDeque;

use crate::freshness::epoch::{Epoch, Groups};
use crate::freshness::tags_in_use::{self, TagRef};
use crate::tag::TagId;
use crate::util::sync::atomic::{AtomicU64, Ordering};
use crate::util::sync::{Arc, Mutex, lock};

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
        tags_in_use::in_use(self.cache)
    }

    /// The cell of a tag; in use while someone holds it.
    pub(crate) fn intern(&self, id: TagId) -> TagRef {
        self.intern_below(id, None)
    }

    /// The same for a tag whose head is known.
    pub(crate) fn intern_below(&self, id: TagId, head: Option<TagId>) -> TagRef {
        tags_in_use::intern(self.cache, id, head, &self.floor)
    }

    pub(crate) fn order(&self) -> &'static Epoch {
        self.epoch
    }

    /// Makes every entry worthless that holds one of these tags with an older stamp.
    pub(crate) fn invalidate(&self, ids: &[TagId]) {
        let stamp = self.epoch.mark();
        let cells: Vec<_> = ids.iter().map(|id| self.intern(*id)).collect();
        for cell in &cells {
            cell.mark(stamp);
        }
        // After the marks: see invariant 5.
        self.epoch.mark_groups(cells.iter().map(|cell| cell.group()).fold(Groups::default(), Groups::and));
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

    /// See [`Freshness::intern_below`].
    pub(crate) fn intern_below(&self, id: TagId, head: Option<TagId>) -> TagRef {
        self.freshness.intern_below(id, head)
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

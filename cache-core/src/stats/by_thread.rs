//! Counting without sharing: each thread has counters of its own, which the function's statistics add up.

#![cfg_attr(not(feature = "memory"), allow(dead_code, reason = "for the memory layer"))]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

use crate::util::sync::lock;

/// Hits counted by one thread and read by others: no two threads write to one cache line.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct HitCell(AtomicU64);

impl HitCell {
    /// Called by its own thread only, so nothing is lost between the load and the store.
    #[inline]
    pub(crate) fn one(&self) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }
}

/// What the threads that call a function counted.
#[derive(Debug, Default)]
pub(super) struct ByThread {
    /// Of threads that have ended.
    ended: u64,
    running: Vec<Arc<HitCell>>,
}

impl ByThread {
    pub(super) fn sum(&self) -> u64 {
        self.running.iter().fold(self.ended, |sum, cell| sum.wrapping_add(cell.0.load(Ordering::Relaxed)))
    }
}

/// A thread's own counter of one function. When it is dropped, the function takes over what it counted.
#[derive(Debug)]
pub(crate) struct ThreadHits {
    cell: Arc<HitCell>,
    all: Weak<Mutex<ByThread>>,
}

impl ThreadHits {
    pub(crate) fn cell(&self) -> Arc<HitCell> {
        Arc::clone(&self.cell)
    }

    /// Whether the function's cache is gone.
    pub(crate) fn is_orphaned(&self) -> bool {
        self.all.strong_count() == 0
    }
}

impl Drop for ThreadHits {
    fn drop(&mut self) {
        if let Some(all) = self.all.upgrade() {
            let mut all = lock(&all);
            all.running.retain(|cell| !Arc::ptr_eq(cell, &self.cell));
            all.ended = all.ended.wrapping_add(self.cell.0.load(Ordering::Relaxed));
        }
    }
}

/// A counter for the calling thread.
pub(super) fn of_thread(all: &Arc<Mutex<ByThread>>) -> ThreadHits {
    let cell = Arc::<HitCell>::default();
    lock(all).running.push(Arc::clone(&cell));
    ThreadHits { cell, all: Arc::downgrade(all) }
}

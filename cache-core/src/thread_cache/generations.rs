//! When what a thread remembers of the store still stands: nothing was put into the store meanwhile, and nothing was
//! invalidated.

use std::cell::Cell;

use crate::util::sync::atomic::{AtomicU64, Ordering};

/// Moved by insertions into the stores of this process, so that the fronts notice; one per class of keys. Of 64 bits, so
/// that none ever comes round.
pub(crate) struct Generations<const CLASSES: usize = 512>([AtomicU64; CLASSES]);

impl<const CLASSES: usize> Generations<CLASSES> {
    pub(crate) const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; CLASSES])
    }

    #[inline]
    fn of(&self, hash: u64) -> &AtomicU64 {
        // Bits that no table looks at.
        &self.0[(hash >> 12) as usize % CLASSES]
    }

    #[inline]
    pub(crate) fn now(&self, hash: u64) -> u64 {
        self.of(hash).load(Ordering::Acquire)
    }

    /// To be called when something new is in.
    pub(crate) fn advance(&self, hash: u64) {
        self.of(hash).fetch_add(1, Ordering::Release);
    }
}

/// The generation from before the store was asked, and an epoch at which what it gave was live, in one number: neither
/// ever goes back, so their sum stays the same only if both do.
#[derive(Debug)]
pub(crate) struct Stamp(Cell<u64>);

impl Stamp {
    #[inline]
    fn sum(generation: u64, epoch: u64) -> u64 {
        generation.wrapping_add(epoch)
    }

    pub(crate) fn new(generation: u64, epoch: u64) -> Self {
        Self(Cell::new(Self::sum(generation, epoch)))
    }

    #[inline]
    pub(crate) fn is(&self, generation: u64, epoch: u64) -> bool {
        self.0.get() == Self::sum(generation, epoch)
    }

    pub(crate) fn set(&self, generation: u64, epoch: u64) {
        self.0.set(Self::sum(generation, epoch));
    }
}

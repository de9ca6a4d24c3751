//! The invalidation order of this process, and what was found live at which point of it.

use crate::util::sync::atomic::{AtomicU64, Ordering};

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

    /// The mark of an invalidation that begins now. It is written as it is read: see the head of `freshness`.
    pub(super) fn mark(&self) -> u64 {
        self.0.fetch_add(0, Ordering::AcqRel) + 1
    }

    pub(super) fn advance(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

/// Of the process. Static, so that a hit finds it without a detour.
pub(crate) static EPOCH: Epoch = Epoch::new();

/// Remembers the epoch at which something was last found live; invariant 3 of `freshness`.
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

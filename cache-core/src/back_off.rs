//! When an entry that is due to be renewed may be tried again after its run failed.
//!
//! It is part of the entry, so it takes no table of its own, and goes with the entry: a new one starts without.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The pause after the first failure, in nanoseconds. Each further one doubles it.
const FIRST: u64 = 100_000_000;

/// Of one entry.
#[derive(Debug, Default)]
pub(crate) struct BackOff {
    failures: AtomicU32,
    /// In nanoseconds of the cache's clock.
    until: AtomicU64,
}

impl BackOff {
    /// Whether a run may begin.
    pub(crate) fn is_over(&self, now: u64) -> bool {
        self.until.load(Ordering::Relaxed) <= now
    }

    /// A run failed. The pause is not longer than `longest`. Two runs of one entry don't fail at once: there is one flight.
    pub(crate) fn failed(&self, now: u64, longest: u64) {
        let before = self.failures.load(Ordering::Relaxed);
        self.failures.store(before.saturating_add(1), Ordering::Relaxed);
        let pause = FIRST.saturating_mul(1_u64.checked_shl(before).unwrap_or(u64::MAX)).min(longest);
        self.until.store(now.saturating_add(pause), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let back_off = BackOff::default();
        assert!(back_off.is_over(0));
        for (longest, pause) in [(u64::MAX, 1), (u64::MAX, 2), (u64::MAX, 4), (6 * FIRST, 6)] {
            back_off.failed(1_000, longest);
            assert!(!back_off.is_over(999 + pause * FIRST) && back_off.is_over(1_000 + pause * FIRST));
        }
        (0..100).for_each(|_| back_off.failed(0, 7));
        assert!(back_off.is_over(7) && !back_off.is_over(6));
    }
}

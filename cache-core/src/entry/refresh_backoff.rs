//! The back-off after a failed refresh: how soon another run may try to replace an entry.
//!
//! It is part of the entry, so a new entry starts without one. Entries that are only in a backend have theirs in a small
//! table.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::backend::Seen;
use crate::util::sync::lock;

/// The pause after the first failure, in nanoseconds. Each further one doubles it.
const FIRST: u64 = 100_000_000;
/// No pause is longer.
const LONGEST: u64 = 60_000_000_000;

/// For so many keys of a function it is known what became of their last runs.
const KEYS: usize = 1_024;

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

    /// A run failed. The pause is not longer than `longest`. Of two runs that fail at once one may not be counted.
    pub(crate) fn failed(&self, now: u64, longest: u64) {
        let before = self.failures.load(Ordering::Relaxed);
        self.failures.store(before.saturating_add(1), Ordering::Relaxed);
        let pause = FIRST.saturating_mul(1_u64.checked_shl(before).unwrap_or(u64::MAX)).min(LONGEST).min(longest);
        self.until.store(now.saturating_add(pause), Ordering::Relaxed);
    }
}

/// Of one function's entries in backends, by the hashes of their keys. Which entry is meant tells what was seen there: a new
/// one starts without.
#[derive(Debug, Default)]
pub(crate) struct BackOffs(Mutex<HashMap<u64, (Seen, BackOff)>>);

impl BackOffs {
    /// Whether a run may begin.
    pub(crate) fn is_over(&self, key: u64, seen: Seen, now: u64) -> bool {
        lock(&self.0).get(&key).is_none_or(|(of, back_off)| *of != seen || back_off.is_over(now))
    }

    /// As [`BackOff::failed`].
    pub(crate) fn failed(&self, key: u64, seen: Seen, now: u64, longest: u64) {
        let mut all = lock(&self.0);
        if all.len() >= KEYS && !all.contains_key(&key) {
            all.retain(|_, (_, back_off)| !back_off.is_over(now));
            if all.len() >= KEYS {
                // These try a little earlier.
                all.clear();
            }
        }
        let (of, back_off) = all.entry(key).or_default();
        if *of != seen {
            (*of, *back_off) = (seen, BackOff::default());
        }
        back_off.failed(now, longest);
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
        back_off.failed(0, u64::MAX);
        assert!(back_off.is_over(LONGEST) && !back_off.is_over(LONGEST - 1), "a source that is back is noticed");
    }

    #[test]
    fn entries_of_backends_are_told_apart_and_few_are_remembered() {
        let back_offs = BackOffs::default();
        back_offs.failed(1, Seen(7), 0, u64::MAX);
        back_offs.failed(1, Seen(7), 0, u64::MAX);
        assert!(!back_offs.is_over(1, Seen(7), 2 * FIRST - 1) && back_offs.is_over(1, Seen(7), 2 * FIRST));
        assert!(back_offs.is_over(1, Seen(8), 0) && back_offs.is_over(2, Seen(7), 0));
        back_offs.failed(1, Seen(8), 0, u64::MAX);
        assert!(back_offs.is_over(1, Seen(7), 0) && back_offs.is_over(1, Seen(8), FIRST));
        for key in 0..10 * KEYS as u64 {
            back_offs.failed(key, Seen(1), 0, u64::MAX);
            assert!(!back_offs.is_over(key, Seen(1), 0));
        }
        assert!(lock(&back_offs.0).len() <= KEYS);
    }
}

//! `idle_ttl`: a lifetime that hits prolong.
//!
//! Hits that a thread's table answers write nothing that others see. So they don't move the end themselves: an entry that was
//! hit is usable for an eighth of its `idle_ttl` before it has to be looked at again, and the first hit after that is noted and
//! moves the end. So an entry may end up to an eighth of its `idle_ttl` early, and never late.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::rt::clock::to_nanos;

/// How long an entry lives without a hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Idle {
    /// When it was stored or read, in nanoseconds of the cache's clock.
    since: u64,
    /// In nanoseconds.
    ttl: u64,
}

/// A hit is noted after so many parts of the lifetime.
const STEPS: u64 = 8;
/// Backends are told of a hit after so many nanoseconds at the earliest.
const SECOND: u64 = 1_000_000_000;
/// So that a moment and a lifetime can be added.
const LONGEST: u64 = u64::MAX / 4;

impl Idle {
    pub(crate) fn new(since: u64, ttl: Duration) -> Self {
        Self { since, ttl: to_nanos(ttl).min(LONGEST) }
    }

    /// Until when hits need not be noted.
    pub(crate) fn next_note(&self) -> u64 {
        self.since.saturating_add(self.ttl / STEPS)
    }
}

/// The idle lifetime of an entry that is in use.
#[derive(Debug)]
pub(crate) struct IdleTimer {
    ttl: u64,
    /// When the entry ends, unless it is hit: `ttl` after the last hit that was noted.
    end: AtomicU64,
    /// When a hit was last noted that backends are told of.
    told: AtomicU64,
    /// Backends are yet to be told of a hit.
    untold: AtomicBool,
}

impl IdleTimer {
    pub(crate) fn new(Idle { since, ttl }: Idle) -> Self {
        let end = AtomicU64::new(since.saturating_add(ttl));
        Self { ttl, end, told: AtomicU64::new(since), untold: AtomicBool::new(false) }
    }

    /// When the entry ends, unless it is hit.
    pub(crate) fn end(&self) -> u64 {
        self.end.load(Ordering::Relaxed)
    }

    /// A hit at this moment: when the next one has to be noted. `None` if the entry has ended.
    pub(crate) fn hit(&self, now: u64) -> Option<u64> {
        let step = self.ttl / STEPS;
        let mut end = self.end();
        loop {
            if now >= end {
                return None;
            }
            let due = end.saturating_sub(self.ttl).saturating_add(step);
            if now < due {
                return Some(due);
            }
            match self.end.compare_exchange(end, now.saturating_add(self.ttl), Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => break,
                // By another thread, just now.
                Err(other) => end = other,
            }
        }
        if now.saturating_sub(self.told.load(Ordering::Relaxed)) >= step.max(SECOND) {
            self.told.store(now, Ordering::Relaxed);
            self.untold.store(true, Ordering::Relaxed);
        }
        Some(now.saturating_add(step))
    }

    /// The lifetime, if backends are to be told of a hit. Whoever asks tells them.
    pub(crate) fn take_untold(&self) -> Option<Duration> {
        let untold = self.untold.load(Ordering::Relaxed) && self.untold.swap(false, Ordering::Relaxed);
        untold.then_some(Duration::from_nanos(self.ttl))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timer(seconds: u64) -> IdleTimer {
        IdleTimer::new(Idle::new(0, Duration::from_secs(seconds)))
    }

    #[test]
    fn hits_move_the_end_by_eighths_and_never_too_far() {
        let timer = timer(80);
        let at = |seconds: u64| seconds * SECOND;
        assert_eq!(timer.hit(at(9)), Some(at(10)), "this one need not be noted");
        assert_eq!(timer.end(), at(80));
        assert_eq!(timer.hit(at(10)), Some(at(20)));
        assert_eq!(timer.end(), at(90));
        assert_eq!(timer.hit(at(89)), Some(at(99)));
        assert_eq!(timer.end(), at(169));
        assert_eq!((timer.hit(at(169)), timer.hit(at(500))), (None, None), "it has ended");
        for (hit, end) in [(0, 80), (9, 80), (10, 90), (79, 159)] {
            let timer = self::timer(80);
            timer.hit(at(hit));
            assert_eq!(timer.end(), at(end));
            assert!(timer.end() <= at(hit + 80) && timer.end() + at(10) > at(hit + 80));
        }
    }

    #[test]
    fn backends_are_told_once_a_second_at_most() {
        for (ttl, least) in [(80, 10 * SECOND), (4, SECOND), (1, SECOND)] {
            let timer = timer(ttl);
            let mut told = vec![0];
            for now in (0..100 * SECOND).step_by(SECOND as usize / 50) {
                assert!(timer.hit(now).is_some());
                if timer.take_untold().is_some() {
                    told.push(now);
                }
            }
            let pauses: Vec<_> = told.windows(2).map(|pair| pair[1] - pair[0]).collect();
            assert!(pauses.iter().all(|pause| (least..least + least / 8).contains(pause)), "{ttl} s: {pauses:?}");
        }
    }

    #[test]
    fn the_longest_lifetime_is_no_mistake() {
        let timer = IdleTimer::new(Idle::new(SECOND, Duration::MAX));
        assert!(timer.hit(LONGEST / 2).is_some_and(|next| next > LONGEST / 2));
        assert!(timer.end() > LONGEST);
        let none = IdleTimer::new(Idle::new(SECOND, Duration::ZERO));
        assert_eq!(none.hit(SECOND), None);
    }
}

//! What the exact clock vouches for, so that it need not be read each time.

use crate::util::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What is read from the operating system; tests bring their own.
pub(crate) trait Source {
    /// In nanoseconds. Never goes back.
    fn exact(&self) -> u64;

    /// What a wall clock shows that changes every few milliseconds, and is read at little cost; if there is one. It may be
    /// behind by [`LAG`], and may jump.
    fn coarse(&self) -> Option<u64>;
}

/// How long the cheap clock may show the same: a few milliseconds, or more on a machine whose timekeeping is held up.
pub(crate) const LAG: u64 = 250_000_000;

/// While the cheap clock shows this reading, it is not later than that by the exact clock.
///
/// # Why that is so
///
/// [`vouch`](Self::vouch) was given a reading, and the exact time as it was read *after* it. As long as the wall clock goes
/// on, it shows the same for [`LAG`] at most. Whatever becomes of it otherwise, it shows something else, and then the exact
/// clock is read: when the machine was suspended, as the wall clock has moved on by that time, and when it was set, be it
/// forward or back.
///
/// That it is set back to the very nanosecond is not covered, nor that it is held still on purpose, as tests may do. Both
/// last until the exact clock is read for anything: then the reading is forgotten if it is later than vouched for.
///
/// The two numbers are written one after the other, and nobody reads one without the other being as new or newer: a writer
/// writes `latest` before `shown`, which it releases, and a reader reads `shown` first, which it acquires. Writers take
/// turns; `latest` only grows, so one that was held up for long changes nothing. A reader that sees an older `shown` asks
/// the exact clock.
pub(crate) struct Vouched {
    pub(crate) shown: AtomicU64,
    latest: AtomicU64,
    /// Who comes second leaves it at that.
    pub(crate) writing: AtomicBool,
}

/// No reading.
const NONE: u64 = u64::MAX;

impl Vouched {
    pub(crate) const fn new() -> Self {
        Self { shown: AtomicU64::new(NONE), latest: AtomicU64::new(0), writing: AtomicBool::new(false) }
    }

    /// Whether a moment is still to come.
    #[inline]
    pub(crate) fn is_to_come(&self, moment: u64, source: &impl Source) -> bool {
        let coarse = source.coarse();
        let vouched =
            |shown| shown == self.shown.load(Ordering::Acquire) && moment > self.latest.load(Ordering::Relaxed);
        coarse.is_some_and(vouched) || self.is_to_come_exactly(moment, coarse, source)
    }

    #[cold]
    #[inline(never)]
    fn is_to_come_exactly(&self, moment: u64, coarse: Option<u64>, source: &impl Source) -> bool {
        let now = source.exact();
        match coarse.filter(|shown| *shown != self.shown.load(Ordering::Relaxed)) {
            Some(shown) => self.vouch(shown, now),
            None => self.check(now),
        }
        now < moment
    }

    /// `now` was read after what is shown.
    pub(crate) fn vouch(&self, shown: u64, now: u64) {
        if self.writing.swap(true, Ordering::Acquire) {
            return;
        }
        let latest = now.saturating_add(LAG);
        if latest > self.latest.load(Ordering::Relaxed) {
            self.latest.store(latest, Ordering::Relaxed);
            self.shown.store(shown, Ordering::Release);
        }
        self.writing.store(false, Ordering::Release);
    }

    /// Somebody has read the exact clock.
    #[inline]
    pub(crate) fn check(&self, now: u64) {
        if now > self.latest.load(Ordering::Relaxed) {
            self.shown.store(NONE, Ordering::Relaxed);
        }
    }
}

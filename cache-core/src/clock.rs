//! Time, injectable so that no test of a lifetime has to sleep.

use std::fmt;
use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Where a cache reads the time. Lifetimes are measured with it; invalidation never is.
///
/// ```
/// use std::time::Duration;
/// use cache_core::{Cache, Clock};
///
/// let clock = Clock::manual();
/// let cache = Cache::builder().clock(&clock).build()?;
/// clock.advance(Duration::from_secs(300)); // for `cache`, five minutes have passed
/// # Ok::<(), cache_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    System,
    Manual(Arc<AtomicU64>),
}

static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// A clock that is cheaper to read and behind by a tick: a few milliseconds, or more on a machine whose timekeeping is
/// held up. So it is believed only where this much wouldn't matter.
const LAG: u64 = 250_000_000;

#[cfg(target_os = "linux")]
mod coarse {
    use std::sync::LazyLock;

    use rustix::time::{ClockId, Timespec, clock_gettime};

    #[inline]
    fn nanos(clock: ClockId) -> u64 {
        let Timespec { tv_sec, tv_nsec } = clock_gettime(clock);
        (tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(tv_nsec as u64)
    }

    /// Where [`ORIGIN`](super::ORIGIN) is on this clock: `Instant` reads the same one.
    pub(super) fn origin() -> u64 {
        static ORIGIN: LazyLock<u64> = LazyLock::new(|| {
            let now = nanos(ClockId::Monotonic);
            now.saturating_sub(super::to_nanos(super::ORIGIN.elapsed()))
        });
        *ORIGIN
    }

    #[inline]
    pub(super) fn now() -> u64 {
        nanos(ClockId::MonotonicCoarse)
    }
}

#[cfg(not(target_os = "linux"))]
mod coarse {
    pub(super) fn origin() -> u64 {
        0
    }

    /// Never believed.
    pub(super) fn now() -> u64 {
        u64::MAX
    }
}

/// A moment of the operating system's clock, as it is asked for quickly: in nanoseconds, counted as the coarse clock does.
/// Exact, and cheap while it is far off.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(pub(crate) u64);

impl Deadline {
    /// At so many nanoseconds of [`Clock::system`].
    pub(crate) fn at(moment: u64) -> Self {
        Self(moment.saturating_add(coarse::origin()))
    }

    /// Whether it is still to come.
    #[inline]
    pub(crate) fn is_to_come(self) -> bool {
        self.is_after(coarse::now()) || self.is_after_exactly(system_nanos)
    }

    /// Whether it is certain to come after this moment of the coarse clock, which may be [`LAG`] behind.
    #[inline]
    fn is_after(self, coarse: u64) -> bool {
        coarse.saturating_add(LAG) < self.0
    }

    #[cold]
    #[inline(never)]
    fn is_after_exactly(self, exact: impl FnOnce() -> u64) -> bool {
        exact() < self.0.saturating_sub(coarse::origin())
    }
}

fn system_nanos() -> u64 {
    to_nanos(ORIGIN.elapsed())
}

impl Clock {
    /// The operating system's monotonic clock.
    pub fn system() -> Self {
        LazyLock::force(&ORIGIN);
        Self(Source::System)
    }

    /// A clock that moves only when told to.
    pub fn manual() -> ManualClock {
        ManualClock { nanos: Arc::new(AtomicU64::new(0)) }
    }

    /// Whether it is the operating system's.
    pub(crate) fn is_system(&self) -> bool {
        matches!(self.0, Source::System)
    }

    /// Time since an arbitrary origin; never goes back.
    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.nanos())
    }

    /// Whether a moment is still to come. Exact, and cheap for moments that are far off.
    pub(crate) fn is_before(&self, moment: u64) -> bool {
        if self.is_system() { Deadline::at(moment).is_to_come() } else { self.nanos() < moment }
    }

    /// The same in nanoseconds.
    pub(crate) fn nanos(&self) -> u64 {
        match &self.0 {
            Source::System => system_nanos(),
            Source::Manual(nanos) => nanos.load(Ordering::Acquire),
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::System => f.write_str("Clock::system"),
            Source::Manual(_) => write!(f, "Clock::manual at {:?}", self.now()),
        }
    }
}

/// The handle that moves a manual [`Clock`]. Clones move the same clock.
#[derive(Clone, Debug)]
pub struct ManualClock {
    nanos: Arc<AtomicU64>,
}

impl ManualClock {
    /// Lets this much time pass.
    pub fn advance(&self, time: Duration) {
        let mut now = self.nanos.load(Ordering::Acquire);
        while let Err(seen) =
            self.nanos.compare_exchange(now, now.saturating_add(to_nanos(time)), Ordering::AcqRel, Ordering::Acquire)
        {
            now = seen;
        }
    }

    /// The clock it moves.
    pub fn clock(&self) -> Clock {
        Clock(Source::Manual(Arc::clone(&self.nanos)))
    }
}

impl From<&ManualClock> for Clock {
    fn from(manual: &ManualClock) -> Self {
        manual.clock()
    }
}

/// Saturates after 584 years.
pub(crate) fn to_nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cheap_clock_agrees_with_the_exact_one() {
        let clock = Clock::system();
        for _ in 0..1_000 {
            let now = clock.nanos();
            assert!(!clock.is_before(now), "it is never believed that time stood still");
            assert!(clock.is_before(now + 3_600_000_000_000));
            if cfg!(target_os = "linux") {
                assert!(coarse::now() <= coarse::origin() + clock.nanos(), "it is behind, not ahead");
            }
        }
    }

    #[test]
    fn a_coarse_clock_that_is_held_up_is_not_believed_too_far() {
        const NOW: u64 = 10 * LAG;
        let is_before = |moment, coarse: u64| {
            let deadline = Deadline::at(moment);
            deadline.is_after(coarse::origin() + coarse) || deadline.is_after_exactly(|| NOW)
        };
        for behind in [0, 1, 4_000_000, LAG / 2, LAG - 1, LAG] {
            for moment in [0, 1, NOW - LAG, NOW - 1, NOW, NOW + 1, NOW + LAG - 1, NOW + LAG, NOW + LAG + 1, u64::MAX] {
                assert_eq!(is_before(moment, NOW - behind), NOW < moment, "{behind} ns behind, asked for {moment}");
                // Where there is no coarse clock.
                assert!(!Deadline::at(moment).is_after(u64::MAX));
            }
        }
        assert!(Deadline::at(NOW + 2 * LAG).is_after(coarse::origin() + NOW), "it is far off");
        assert!(!Deadline::at(u64::MAX).is_after(u64::MAX - 1), "at the end of all time");
    }

    #[test]
    fn a_manual_clock_is_exact() {
        let manual = Clock::manual();
        let clock = manual.clock();
        assert!(clock.is_before(1) && !clock.is_before(0));
        manual.advance(Duration::from_nanos(1));
        assert!(!clock.is_before(1));
    }
}

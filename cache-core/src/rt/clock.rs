//! Time, injectable so that no test of a lifetime has to sleep.

mod system;
mod vouched;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub use self::system::BootInstant;
pub(crate) use self::system::is_to_come;
#[cfg(feature = "memory")]
pub(crate) use self::system::look;

/// A moment that never comes, in nanoseconds of a clock.
pub(crate) const NEVER: u64 = u64::MAX;

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

impl Clock {
    /// See [`system`](Self::system).
    pub(crate) const SYSTEM: Self = Self(Source::System);

    /// The operating system's clock, which never goes back. On Linux, Android and Windows it goes on while the machine is
    /// suspended; on Apple's systems it stands still. A virtual machine that its host pauses isn't told of it.
    pub fn system() -> Self {
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
        if self.is_system() { is_to_come(moment) } else { self.nanos() < moment }
    }

    /// The same in nanoseconds.
    pub(crate) fn nanos(&self) -> u64 {
        match &self.0 {
            Source::System => system::nanos(),
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
    fn a_manual_clock_is_exact() {
        let manual = Clock::manual();
        let clock = manual.clock();
        assert!(clock.is_before(1) && !clock.is_before(0));
        manual.advance(Duration::from_nanos(1));
        assert!(!clock.is_before(1));
    }
}

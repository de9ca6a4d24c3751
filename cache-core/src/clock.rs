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
    #[cfg_attr(not(feature = "memory"), allow(dead_code, reason = "for the store"))]
    pub(crate) fn is_system(&self) -> bool {
        matches!(self.0, Source::System)
    }

    /// Time since an arbitrary origin; never goes back.
    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.nanos())
    }

    /// The same in nanoseconds.
    pub(crate) fn nanos(&self) -> u64 {
        match &self.0 {
            Source::System => to_nanos(ORIGIN.elapsed()),
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

//! Process-wide state that every hit checks: whether caching is disabled, and whether a cache is installed.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// 1 once a cache was installed, and 2 for each guard: all that a hit has to know of the process, in one number.
static STATE: AtomicUsize = AtomicUsize::new(0);
const INSTALLED: usize = 1;
const GUARD: usize = 2;

/// While it lives, no cached function of this process is answered from a cache, and nothing is stored. Made by
/// [`disable`].
#[derive(Debug)]
#[must_use = "caching is disabled only while the guard lives"]
pub struct Disabled(());

/// Disables caching in the whole process while the guard lives. Guards may overlap.
pub fn disable() -> Disabled {
    STATE.fetch_add(GUARD, Ordering::AcqRel);
    Disabled(())
}

impl Drop for Disabled {
    fn drop(&mut self) {
        STATE.fetch_sub(GUARD, Ordering::AcqRel);
    }
}

#[inline]
pub(crate) fn is_disabled() -> bool {
    STATE.load(Ordering::Acquire) >= GUARD
}

/// Whether the process's cache goes by another clock than the operating system's.
static OTHER_CLOCK: AtomicBool = AtomicBool::new(false);

/// Whether the process's cache goes by the operating system's clock.
pub(crate) fn goes_by_system() -> bool {
    !OTHER_CLOCK.load(Ordering::Acquire)
}

/// From now on the process has a cache that was installed.
pub(crate) fn installed(goes_by_system: bool) {
    if !goes_by_system {
        OTHER_CLOCK.store(true, Ordering::Release);
    }
    STATE.fetch_or(INSTALLED, Ordering::AcqRel);
}

/// One thing of two: for the default cache, and for the installed one. `None` while caching is disabled.
#[inline]
pub(crate) fn in_process<T>(by_cache: &[T; GUARD]) -> Option<&T> {
    by_cache.get(STATE.load(Ordering::Acquire))
}

//! Counts the bodies that run, and how deep the stack gets, where that is asked for. Where it isn't, a body only reads a
//! flag, so that times are of the caches.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

static ON: AtomicBool = AtomicBool::new(false);
static BODIES: AtomicU64 = AtomicU64::new(0);
static HIGHEST: AtomicUsize = AtomicUsize::new(0);
static LOWEST: AtomicUsize = AtomicUsize::new(usize::MAX);

/// From now on bodies are counted.
pub fn start() {
    ON.store(true, Ordering::Relaxed);
}

/// Bodies that ran since [`start`].
pub fn bodies() -> u64 {
    BODIES.load(Ordering::Relaxed)
}

/// Bytes of stack between the first body and the deepest one. (Meaningless if several threads ran some.)
pub fn stack_bytes() -> usize {
    HIGHEST.load(Ordering::Relaxed).saturating_sub(LOWEST.load(Ordering::Relaxed))
}

/// The first step of each body.
#[inline(always)]
pub(super) fn enter() {
    if ON.load(Ordering::Relaxed) {
        count();
    }
}

#[cold]
#[inline(never)]
fn count() {
    let here = black_box(0_u8);
    let address = std::ptr::from_ref(black_box(&here)).addr();
    BODIES.fetch_add(1, Ordering::Relaxed);
    HIGHEST.fetch_max(address, Ordering::Relaxed);
    LOWEST.fetch_min(address, Ordering::Relaxed);
}

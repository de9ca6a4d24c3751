//! Random numbers for tokens, ids and jitter, different in all processes. Not for secrets.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Seeded by the operating system.
static SEED: LazyLock<(RandomState, RandomState)> = LazyLock::new(|| (RandomState::new(), RandomState::new()));
static COUNTER: AtomicU64 = AtomicU64::new(0);

/// 128 random bits.
pub(crate) fn wide() -> u128 {
    let number = (COUNTER.fetch_add(1, Ordering::Relaxed), std::process::id());
    u128::from(SEED.0.hash_one(number)) << 64 | u128::from(SEED.1.hash_one(number))
}

/// From 0 to 1.
pub(crate) fn unit() -> f64 {
    (wide() >> 96) as f64 / f64::from(u32::MAX)
}

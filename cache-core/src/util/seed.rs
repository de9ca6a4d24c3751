//! A number drawn once per process, so that nobody can prepare keys or tags that collide in its tables.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

/// The same as long as the process lives.
pub(crate) fn process_seed() -> u64 {
    static SEED: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(0_u64));
    *SEED
}

//! The synchronization primitives of the parts that are model-checked.
//!
//! `freshness`, `base_tags`, `flight` and `deadlock` take them from here and from nowhere else, so that a model checker's test can
//! compile the very same files against its own `crate::sync`.

pub(crate) use std::sync::atomic;
pub(crate) use std::sync::{Arc, Mutex, MutexGuard, Weak};

/// Locks, also after a panic elsewhere: no invariant here spans a call into foreign code.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

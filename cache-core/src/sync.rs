//! The synchronization primitives of the parts that are model-checked.
//!
//! `freshness`, `tag_table`, `base_tags`, `flight` and `deadlock` take them from here and from nowhere else, so that a model checker's test can
//! compile the very same files against its own `crate::sync`.

pub(crate) use std::sync::atomic;
pub(crate) use std::sync::{Arc, Mutex, MutexGuard, Weak};

/// Locks, also after a panic elsewhere: no invariant here spans a call into foreign code.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A static of these primitives.
macro_rules! in_process {
    ($(#[$attribute:meta])* static $name:ident: $type:ty = $value:expr;) => {
        $(#[$attribute])*
        static $name: $type = $value;
    };
}
pub(crate) use in_process;

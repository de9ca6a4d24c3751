//! The synchronization primitives of the parts that are model-checked.
//!
//! `freshness` (all but `dependencies` and `watch`), `flight`, `engine::progress`, `thread_cache::generations` and
//! `rt::clock::vouched` take them from here and from nowhere else, so that a model checker's test can compile the very same
//! files against its own `crate::util::sync`.

pub(crate) use std::sync::atomic;
pub(crate) use std::sync::{Arc, Mutex, MutexGuard, Weak};

/// Locks, also after a panic elsewhere: no invariant here spans a call into foreign code.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Locks, unless the lock is held for longer than anybody who runs code of our own alone would hold it.
pub(crate) fn lock_for_a_while<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    use std::sync::TryLockError;
    use std::time::{Duration, Instant};

    // A thread that the machine has no time for is waited for as well.
    const WHILE: Duration = Duration::from_secs(1);
    let mut since = None;
    loop {
        match mutex.try_lock() {
            Ok(guard) => return Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) if since.get_or_insert_with(Instant::now).elapsed() > WHILE => return None,
            Err(TryLockError::WouldBlock) => std::thread::yield_now(),
        }
    }
}

/// A static of these primitives.
macro_rules! in_process {
    ($(#[$attribute:meta])* static $name:ident: $type:ty = $value:expr;) => {
        $(#[$attribute])*
        static $name: $type = $value;
    };
}
pub(crate) use in_process;

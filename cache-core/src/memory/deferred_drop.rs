//! Entries that moka evicts are dropped after moka has returned.
//!
//! Dropping a value runs user code, which may call cached functions and come back to the store. During moka's maintenance
//! that could deadlock: once moka's write queue is full, an insertion waits for maintenance, which this very thread is
//! doing. So entries that are dropped inside [`with_moka`] are collected, and dropped when moka has returned.

use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::hit;
use crate::context;
use crate::entry::CachedEntry;
use crate::util::caught::caught;
use crate::util::sync::lock;

struct Local {
    /// How many [`DeferredDrops`] this thread has.
    depth: Cell<usize>,
    entries: RefCell<Vec<Arc<CachedEntry>>>,
    /// Something was stored meanwhile.
    stored: Cell<bool>,
}

thread_local! {
    static DEFERRED: Local =
        const { Local { depth: Cell::new(0), entries: RefCell::new(Vec::new()), stored: Cell::new(false) } };
}

/// What is let go of by threads whose locals are gone: user code that uses such would abort the process.
static LEFT_BEHIND: Mutex<Vec<Arc<CachedEntry>>> = Mutex::new(Vec::new());
static ANYTHING_LEFT: AtomicBool = AtomicBool::new(false);

/// An entry as moka holds it.
#[derive(Clone)]
pub(super) struct Held(Option<Arc<CachedEntry>>);

impl Held {
    pub(super) fn new(entry: Arc<CachedEntry>) -> Self {
        Self(Some(entry))
    }

    /// The entry; always.
    pub(super) fn get(&self) -> Option<&CachedEntry> {
        self.0.as_deref()
    }

    /// The same for keeping.
    pub(super) fn take(mut self) -> Option<Arc<CachedEntry>> {
        self.0.take()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(entry) = self.0.take() else { return };
        let mut entry = Some(entry);
        let known = DEFERRED.try_with(|deferred| {
            if deferred.depth.get() > 0
                && let Ok(mut entries) = deferred.entries.try_borrow_mut()
            {
                entries.extend(entry.take());
            }
        });
        let Some(entry) = entry else { return };
        if known.is_err() {
            lock(&LEFT_BEHIND).push(entry);
            ANYTHING_LEFT.store(true, Ordering::Release);
        } else {
            // moka puts some of its garbage off until whatever cache is at hand, which has nothing to do with a panic in it.
            let _ = caught(|| drop(entry));
        }
    }
}

/// Calls moka, then drops what it let go of.
pub(super) fn with_moka<R>(call: impl FnOnce() -> R) -> R {
    let deferred = DeferredDrops::new();
    let result = call();
    drop(deferred);
    result
}

/// Something was stored, which is what evicts.
pub(super) fn stored() {
    let _ = DEFERRED.try_with(|deferred| deferred.stored.set(true));
}

/// Drops what threads left that have ended.
pub(super) fn clear_up() {
    if ANYTHING_LEFT.swap(false, Ordering::AcqRel) {
        let left = std::mem::take(&mut *lock(&LEFT_BEHIND));
        context::let_go(left); // after the lock: it runs user code
    }
}

/// While a thread has one, entries that the memory layer evicts on it are collected; they are dropped with it. Dropping them
/// runs user code, for which nobody should have to wait.
#[must_use]
#[derive(Debug)]
pub(crate) struct DeferredDrops {
    known: bool,
    /// It is this thread's.
    _here: PhantomData<*const ()>,
}

impl DeferredDrops {
    pub(crate) fn new() -> Self {
        let known = DEFERRED.try_with(|deferred| deferred.depth.set(deferred.depth.get() + 1)).is_ok();
        Self { known, _here: PhantomData }
    }
}

impl Drop for DeferredDrops {
    fn drop(&mut self) {
        if !self.known {
            return;
        }
        let take = |deferred: &Local| {
            deferred.depth.set(deferred.depth.get() - 1);
            if deferred.depth.get() > 0 {
                return None;
            }
            let mut entries = deferred.entries.try_borrow_mut().ok()?;
            // The room for them stays where nothing has used it.
            let entries = (!entries.is_empty()).then(|| std::mem::take(&mut *entries));
            Some((entries, deferred.stored.take()))
        };
        let Some((entries, stored)) = DEFERRED.try_with(take).ok().flatten() else { return };
        if stored {
            hit::let_go_of_evicted();
            clear_up();
        }
        let Some(mut entries) = entries else { return };
        // User code runs, which may come back here and then finds none of them: else each would drop the next from within.
        context::let_go(entries.drain(..));
        // The room for them stays.
        let _ = DEFERRED.try_with(|deferred| {
            if let Ok(mut room) = deferred.entries.try_borrow_mut()
                && room.capacity() == 0
            {
                *room = entries;
            }
        });
    }
}

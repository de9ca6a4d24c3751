//! What comes out of a store is dropped when nobody has to be kept waiting for that.
//!
//! Dropping a key or a value is user code: it may take its time, call cached functions and so come back to the store, or
//! panic. So what comes out is collected while a result is put in place, and dropped after those who wait for it were woken.

use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::hit;
use crate::context;
use crate::entry::CachedEntry;
use crate::key::call_key::CallKey;
use crate::util::sync::lock;

/// What came out of a store.
type Gone = (CallKey, Arc<CachedEntry>);

struct Local {
    /// How many [`DeferredDrops`] this thread has.
    depth: Cell<usize>,
    gone: RefCell<Vec<Gone>>,
    /// Something was stored meanwhile.
    stored: Cell<bool>,
}

thread_local! {
    static DEFERRED: Local =
        const { Local { depth: Cell::new(0), gone: RefCell::new(Vec::new()), stored: Cell::new(false) } };
}

/// What is let go of by threads whose locals are gone: user code that uses such would abort the process.
static LEFT_BEHIND: Mutex<Vec<Gone>> = Mutex::new(Vec::new());
static ANYTHING_LEFT: AtomicBool = AtomicBool::new(false);

/// Drops what came out of a store, once nobody has to be kept waiting for that.
pub(super) fn defer(what: impl IntoIterator<Item = Gone>) {
    let mut what = what.into_iter().peekable();
    if what.peek().is_none() {
        return;
    }
    let mut what = Some(what);
    let known = DEFERRED.try_with(|deferred| {
        if deferred.depth.get() > 0
            && let Ok(mut gone) = deferred.gone.try_borrow_mut()
        {
            gone.extend(what.take().into_iter().flatten());
        }
    });
    let Some(what) = what else { return };
    if known.is_err() {
        lock(&LEFT_BEHIND).extend(what);
        ANYTHING_LEFT.store(true, Ordering::Release);
    } else {
        context::let_go(what);
    }
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
            let mut gone = deferred.gone.try_borrow_mut().ok()?;
            // The room for them stays where nothing has used it.
            let gone = (!gone.is_empty()).then(|| std::mem::take(&mut *gone));
            Some((gone, deferred.stored.take()))
        };
        let Some((gone, stored)) = DEFERRED.try_with(take).ok().flatten() else { return };
        if stored {
            hit::let_go_of_evicted();
            clear_up();
        }
        let Some(mut gone) = gone else { return };
        // User code runs, which may come back here and then finds none of them: else each would drop the next from within.
        context::let_go(gone.drain(..));
        // The room for them stays.
        let _ = DEFERRED.try_with(|deferred| {
            if let Ok(mut room) = deferred.gone.try_borrow_mut()
                && room.capacity() == 0
            {
                *room = gone;
            }
        });
    }
}

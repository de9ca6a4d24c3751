//! What moka lets go of is dropped after moka has returned.
//!
//! Dropping a value is user code, which may call cached functions and so come back to the store. Inside moka's upkeep that
//! would wait for ever once moka's queue of insertions is full, as it is this very thread that should empty it. So what
//! moka holds puts its entry aside when it is dropped inside [`with_moka`], and whoever called moka drops what was put
//! aside.

use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::hit;
use crate::context;
use crate::entry::Stored;
use crate::util::caught::caught;
use crate::util::sync::lock;

struct Local {
    /// How many [`Aside`] this thread has.
    depth: Cell<usize>,
    entries: RefCell<Vec<Arc<Stored>>>,
    /// Something was stored meanwhile.
    stored: Cell<bool>,
}

thread_local! {
    static ASIDE: Local =
        const { Local { depth: Cell::new(0), entries: RefCell::new(Vec::new()), stored: Cell::new(false) } };
}

/// What is let go of by threads whose locals are gone: user code that uses such would abort the process.
static LEFT_BEHIND: Mutex<Vec<Arc<Stored>>> = Mutex::new(Vec::new());
static ANYTHING_LEFT: AtomicBool = AtomicBool::new(false);

/// An entry as moka holds it.
#[derive(Clone)]
pub(super) struct Held(Option<Arc<Stored>>);

impl Held {
    pub(super) fn new(entry: Arc<Stored>) -> Self {
        Self(Some(entry))
    }

    /// The entry; always.
    pub(super) fn get(&self) -> Option<&Stored> {
        self.0.as_deref()
    }

    /// The same for keeping.
    pub(super) fn take(mut self) -> Option<Arc<Stored>> {
        self.0.take()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(entry) = self.0.take() else { return };
        let mut entry = Some(entry);
        let known = ASIDE.try_with(|aside| {
            if aside.depth.get() > 0
                && let Ok(mut entries) = aside.entries.try_borrow_mut()
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
    let aside = Aside::new();
    let result = call();
    drop(aside);
    result
}

/// Something was stored, which is what evicts.
pub(super) fn stored() {
    let _ = ASIDE.try_with(|aside| aside.stored.set(true));
}

/// Drops what threads left that have ended.
pub(super) fn clear_up() {
    if ANYTHING_LEFT.swap(false, Ordering::AcqRel) {
        let left = std::mem::take(&mut *lock(&LEFT_BEHIND));
        context::let_go(left); // after the lock: it runs user code
    }
}

/// While there is one, what the memory layer lets go of on this thread is put aside; then it is dropped. That is user code, for
/// which nobody should be made to wait.
#[must_use]
#[derive(Debug)]
pub(crate) struct Aside {
    known: bool,
    /// It is this thread's.
    _here: PhantomData<*const ()>,
}

impl Aside {
    pub(crate) fn new() -> Self {
        let known = ASIDE.try_with(|aside| aside.depth.set(aside.depth.get() + 1)).is_ok();
        Self { known, _here: PhantomData }
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        if !self.known {
            return;
        }
        let take = |aside: &Local| {
            aside.depth.set(aside.depth.get() - 1);
            if aside.depth.get() > 0 {
                return None;
            }
            let mut entries = aside.entries.try_borrow_mut().ok()?;
            // The room for them stays where nothing has used it.
            let entries = (!entries.is_empty()).then(|| std::mem::take(&mut *entries));
            Some((entries, aside.stored.take()))
        };
        let Some((entries, stored)) = ASIDE.try_with(take).ok().flatten() else { return };
        if stored {
            hit::let_go_of_evicted();
            clear_up();
        }
        let Some(mut entries) = entries else { return };
        // User code runs, which may come back here and then finds none of them: else each would drop the next from within.
        context::let_go(entries.drain(..));
        // The room for them stays.
        let _ = ASIDE.try_with(|aside| {
            if let Ok(mut room) = aside.entries.try_borrow_mut()
                && room.capacity() == 0
            {
                *room = entries;
            }
        });
    }
}

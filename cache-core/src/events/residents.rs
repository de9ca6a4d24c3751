//! What memory has of one function: how many entries, how heavy they are, and why others left.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::hub::Hub;
use super::{EventKind, EvictionEvent};
use crate::stats::kinds::{EvictionCause, Evictions, LiveEvictions};

type Name = dyn Fn() -> &'static str + Send + Sync;

/// Counted by the store, which knows no functions: its entries bring these along.
pub(crate) struct Residents {
    entries: AtomicU64,
    weight: AtomicU64,
    left: LiveEvictions,
    function: Box<Name>,
    hub: Arc<Hub>,
}

impl fmt::Debug for Residents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Residents").field("entries", &self.entries()).finish_non_exhaustive()
    }
}

#[cfg_attr(not(feature = "memory"), allow(dead_code, reason = "for the store"))]
impl Residents {
    pub(crate) fn new(function: impl Fn() -> &'static str + Send + Sync + 'static, hub: &Arc<Hub>) -> Self {
        Self {
            entries: AtomicU64::new(0),
            weight: AtomicU64::new(0),
            left: LiveEvictions::default(),
            function: Box::new(function),
            hub: Arc::clone(hub),
        }
    }

    /// Before it is where others may take it out.
    pub(crate) fn comes(&self, weight: u32) {
        self.entries.fetch_add(1, Ordering::Relaxed);
        if weight != 1 {
            self.weight.fetch_add(u64::from(weight) - 1, Ordering::Relaxed);
        }
    }

    /// `cause` is `None` if another one takes its place. May be called with a lock held: listeners are woken later.
    pub(crate) fn leaves(&self, weight: u32, cause: Option<EvictionCause>) {
        self.entries.fetch_sub(1, Ordering::Relaxed);
        if weight != 1 {
            self.weight.fetch_sub(u64::from(weight) - 1, Ordering::Relaxed);
        }
        let Some(cause) = cause else { return };
        self.left.one(cause);
        if self.hub.is_heard() {
            self.hub.leave_word(EventKind::Eviction(EvictionEvent { function: (self.function)(), cause }));
        }
    }

    pub(crate) fn entries(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }

    /// The sum of the entries' weights.
    pub(crate) fn weight(&self) -> u64 {
        self.weight.load(Ordering::Relaxed).wrapping_add(self.entries())
    }

    pub(crate) fn evictions(&self) -> Evictions {
        self.left.snapshot()
    }
}

//! Invalidations by this process. Their messages are not delivered to its own listeners; the guard here does that.

use std::sync::atomic::Ordering;

use cache_core::backend::TagId;

use super::{Bus, tell};

impl Bus {
    /// Begins an invalidation by this process.
    pub(crate) fn own<'a>(&'a self, tags: &'a [TagId]) -> OwnInvalidation<'a> {
        OwnInvalidation { bus: self, author: self.author(), tags, recorded: false }
    }
}

/// An invalidation by this process. When it ends (done, failed or dropped), the listeners are told: the cache that asked for it
/// clears its own memory, but other caches may share this handle.
#[must_use = "it ends when this is dropped"]
pub(crate) struct OwnInvalidation<'a> {
    bus: &'a Bus,
    /// The author in its messages, also in those that are sent after its end.
    pub(crate) author: String,
    tags: &'a [TagId],
    recorded: bool,
}

impl OwnInvalidation<'_> {
    /// Ends it as a success.
    pub(crate) fn recorded(mut self) {
        self.recorded = true;
    }
}

impl Drop for OwnInvalidation<'_> {
    fn drop(&mut self) {
        // This comes first: a message that arrives from now on is delivered, and for one that arrived before, the listeners
        // are told below.
        if !self.recorded {
            self.bus.unsure.fetch_add(1, Ordering::AcqRel);
        }
        let mut listeners = self.bus.listeners();
        listeners.retain(|listener| listener.upgrade().is_some());
        if listeners.len() > 1 {
            tell(&listeners, self.tags);
        }
    }
}

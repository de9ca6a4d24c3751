//! Calls that end without an answer. Who called may go on all the same, and then depends on what they came to.

use std::sync::Arc;

use crate::context::run_frame::{Collected, Frame};
use crate::freshness::dependencies::Lineage;
use crate::trust::deadline::Assured;

/// Has the run that calls depend on a call when this is dropped, unless that has its answer; made by
/// [`Call::if_given_up`](crate::run::call::Call::if_given_up).
#[must_use]
pub(crate) struct IfGivenUp(pub(crate) Option<Box<GivenUp>>);

/// What the parent is to depend on then.
pub(crate) struct GivenUp {
    pub(crate) parent: Arc<Frame>,
    pub(crate) cache: u64,
    pub(crate) lineage: Lineage,
    pub(crate) assured: Assured,
    pub(crate) used: Option<Arc<Collected>>,
}

impl IfGivenUp {
    /// The call has its answer, or goes on by itself.
    pub(crate) fn not(mut self) {
        self.0 = None;
    }
}

impl Drop for IfGivenUp {
    fn drop(&mut self) {
        let Some(GivenUp { parent, cache, lineage, assured, used }) = self.0.as_deref() else { return };
        parent.inherit(lineage, false, *assured);
        if let Some(used) = used {
            parent.take_in(*cache, used);
        }
    }
}

/// What was collected beside a run counts for it when this is dropped, unless it was closed before: also after a panic.
pub(crate) struct Unfinished<'a>(pub(crate) &'a Frame);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        self.0.end();
        if let Some(parent) = self.0.parent() {
            parent.take_in(self.0.cache, &self.0.close());
        }
    }
}

//! Calls that are dropped or panic before they have an answer. The run that made such a call may go on, and its result then
//! depends on what the call had used.

use std::sync::Arc;

use crate::context::run_frame::{Collected, Frame};
use crate::freshness::dependencies::Dependencies;
use crate::trust::deadline::TrustDeadline;

/// Makes the calling run depend on a call when this is dropped, unless it was disarmed because the call has its answer. Made by
/// [`Call::guard_wait`](crate::run::call::Call::guard_wait).
#[must_use]
pub(crate) struct WaitGuard(pub(crate) Option<Box<AbandonedWait>>);

/// What the calling run depends on if the call is abandoned.
pub(crate) struct AbandonedWait {
    pub(crate) parent: Arc<Frame>,
    pub(crate) cache: u64,
    pub(crate) dependencies: Dependencies,
    pub(crate) trust_deadline: TrustDeadline,
    pub(crate) used: Option<Arc<Collected>>,
}

impl WaitGuard {
    /// The call has its answer, or goes on by itself.
    pub(crate) fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for WaitGuard {
    fn drop(&mut self) {
        let Some(AbandonedWait { parent, cache, dependencies, trust_deadline, used }) = self.0.as_deref() else {
            return;
        };
        parent.inherit(dependencies, false, *trust_deadline);
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

//! Old values in the place of runs that fail, and how long after one that failed the next is not begun.

use std::sync::Arc;

use crate::context::Mode;
use crate::entry::CachedEntry;
use crate::key::call_key::CallKey;
use crate::run::call::Call;
use crate::stats::kinds::CallResult;

impl Call {
    /// The old value for a call whose run, or another's that it waited for, failed; counted.
    pub(crate) fn fallback(&self) -> Option<Arc<CachedEntry>> {
        let old = self.memory.old.as_ref().filter(|_| self.options.policy.stale_if_error.is_some())?;
        self.can_serve(old).then(|| Arc::clone(old))
    }

    /// The old value for a call that comes so soon after a run that failed that it needn't try again; counted, also as a
    /// dependency.
    pub(crate) fn fallback_at_once(&self) -> Option<Arc<CachedEntry>> {
        if self.request.mode != Mode::Cached || self.request.origin.in_background() {
            return None;
        }
        let old = self.memory.old.as_ref().filter(|old| !self.may_run_again(old))?;
        let old = self.fallback().filter(|fallback| Arc::ptr_eq(fallback, old))?;
        if self.memory.old_seen.is_some() {
            self.counters().backend_hits.one();
            self.answered(CallResult::Backend);
        } else {
            self.answered_from_memory();
        }
        self.report_old(&old);
        Some(old)
    }

    /// Whether a run may be tried again that is to replace this value.
    pub(crate) fn may_run_again(&self, old: &CachedEntry) -> bool {
        let now = self.engine().validity.clock.nanos();
        let of_entry = old.meta.back_off().is_none_or(|back_off| back_off.is_over(now));
        let hash = self.target.key.as_ref().map(CallKey::hash_code);
        let of_backend = hash
            .zip(self.memory.old_seen)
            .is_none_or(|(hash, seen)| self.target.function.back_offs.is_over(hash, seen, now));
        of_entry && of_backend
    }

    /// A run failed: the next one is not to begin at once, if there is an old value that serves meanwhile.
    pub(crate) fn note_failure(&self) {
        let Some(old) = &self.memory.old else { return };
        let lifespan = old.meta.lifespan();
        let longest = if self.options.policy.stale_if_error.is_some() {
            lifespan.falls_back_for().max(lifespan.due_for())
        } else if self.request.origin.in_background() {
            lifespan.due_for()
        } else {
            return;
        };
        let now = self.engine().validity.clock.nanos();
        if let Some(back_off) = old.meta.back_off() {
            back_off.failed(now, longest);
        }
        if let (Some(key), Some(seen)) = (&self.target.key, self.memory.old_seen) {
            self.target.function.back_offs.failed(key.hash_code(), seen, now, longest);
        }
    }
}

/// A body that panics fails too, if nobody gets the panic.
pub(super) struct NoteAtPanic<'a> {
    call: &'a Call,
    /// Whether the thread is panicking doesn't say: a destructor may call functions meanwhile.
    returned: bool,
}

impl<'a> NoteAtPanic<'a> {
    pub(super) fn new(call: &'a Call) -> Self {
        Self { call, returned: false }
    }

    /// The body has returned.
    pub(super) fn returned(mut self) {
        self.returned = true;
    }
}

impl Drop for NoteAtPanic<'_> {
    fn drop(&mut self) {
        if !self.returned && self.call.request.origin.in_background() {
            self.call.note_failure();
        }
    }
}

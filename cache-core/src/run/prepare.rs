//! Stage: the last step before the body. The stamp is taken, and the run depends on the tags that are known.

use std::sync::Arc;

use super::call::Call;
use super::one_run::{Prepared, Run};
use crate::backend::{Backend, Stamp};
use crate::context::{Context, Mode};
use crate::flight::per_key::Leader;
use crate::freshness::invalidation::RunGuard;

/// When a value was primed: what is invalidated later makes it worthless.
pub(crate) struct Primed {
    pub(super) guard: RunGuard,
    pub(super) began_nanos: u64,
    pub(super) known: Vec<Option<Stamp>>,
}

impl Primed {
    pub(crate) fn now(call: &Call) -> Self {
        let engine = call.engine();
        Self {
            guard: engine.validity.freshness.begin(),
            began_nanos: engine.validity.clock.nanos(),
            known: engine.backends.iter().map(Backend::known_stamp).collect(),
        }
    }
}

impl Run {
    /// The last step before the body: the stamp, and the tags that are known so far.
    pub(crate) fn prepare(&mut self, call: &mut Call) {
        let engine = call.engine();
        let may_be_answered = matches!(call.request.mode, Mode::Cached | Mode::PastMemory);
        if may_be_answered && call.target.key.is_some() && call.request.origin.counts() {
            call.count_miss();
        }
        if let Some(leader) = self.leader.as_ref().filter(|_| self.leases.any()) {
            // Before the stamp: a call that came earlier is answered by what is read from here on.
            leader.flight().note_body();
        }
        self.stamp = engine.validity.freshness.epoch();
        let trust_deadline = engine.trust_deadline_from(engine.began_nanos());
        self.take_in_used(call);
        let own = self.own_dependencies(call);
        self.frame.begin_body(own.clone(), self.stamp, Arc::clone(&call.engine().validity.freshness));
        if let Some(leader) = &self.leader {
            leader.set_progress(|progress| progress.begin(&self.frame));
        }
        self.leases.watch(&self.frame, self.leader.as_ref().map(Leader::flight));
        self.prepared = Some(Prepared { own, trust_deadline });
    }

    /// The same for a value that was there before the run.
    pub(crate) fn prepare_primed(&mut self, call: &mut Call, primed: &Primed) {
        self.stamp = primed.guard.stamp();
        let trust_deadline = call.engine().trust_deadline_from(primed.began_nanos);
        // A backend that this process never spoke to before is asked as early as can be: by the lease.
        for (stamp, known) in self.begun(call).stamps.iter_mut().zip(&primed.known) {
            *stamp = (*stamp).min(*known).or(*stamp);
        }
        self.take_in_used(call);
        self.prepared = Some(Prepared { own: self.own_dependencies(call), trust_deadline });
    }

    /// What the tags were made of counts from the beginning.
    pub(super) fn take_in_used(&self, call: &Call) {
        if let Some(used) = &call.options.used {
            self.frame.take_in(call.engine().id, used);
        }
    }

    /// The body begins: the context it runs in, which collects what it depends on.
    pub(crate) fn begin_body(&self, call: &Call) -> Arc<Context> {
        call.run_begins(self);
        self.context(call)
    }
}

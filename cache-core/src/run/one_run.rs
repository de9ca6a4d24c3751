//! A run: from the moment a caller leads until its result is where it belongs.

use std::sync::Arc;

use super::call::Call;
use crate::backend::{Backend, EntryKey, Seen, Stamp, TagId};
use crate::context::Context;
use crate::context::run_frame::Frame;
use crate::engine::outcome::{CallLeader, Outcome, RunResult};
use crate::engine::progress::Progress;
use crate::error::Error;
use crate::flight::per_key::Leader;
use crate::freshness::dependencies::Dependencies;
use crate::freshness::invalidation::RunGuard;
use crate::run::leases::Leases;
use crate::scope::Scope;
use crate::tag::NamedTag;
use crate::trust::deadline::TrustDeadline;

/// A run: from the moment a caller leads until its result is where it belongs. Dropping it on the way hands the key
/// over: to someone who waits here, and by the leases to other processes.
pub(crate) struct Run {
    pub(super) leader: Option<CallLeader>,
    /// Nothing invalidated from here on is forgotten before the run's tags are known.
    pub(super) guard: RunGuard,
    pub(super) stamp: u64,
    pub(super) key: Option<EntryKey>,
    /// The tags it will carry for certain, beside those of all the function's entries, once they are needed.
    pub(super) named: Option<Named>,
    /// From when the body can begin until everything the run depends on is reported.
    pub(super) own: Option<Dependencies>,
    pub(super) leases: Leases,
    /// One per backend that was asked: its stamp from before the run.
    pub(super) remote: Vec<Option<Stamp>>,
    /// What the backend that is being asked offered last and wasn't understood.
    pub(super) rejected: Option<Seen>,
    /// Whether the backends have to be asked, once that is known.
    pub(super) asks: Option<bool>,
    /// The first fault of a backend.
    pub(crate) fault: Option<Error>,
    pub(super) frame: Arc<Frame>,
    /// When it could begin, in nanoseconds of the cache's clock.
    pub(super) began_nanos: u64,
    /// Of what it reads, from then on.
    pub(super) trust_deadline: TrustDeadline,
}

/// The tags of the key, and those that the function's options name.
pub(super) struct Named {
    pub(super) key: Option<TagId>,
    pub(super) others: Vec<NamedTag>,
}

impl Named {
    pub(super) fn of(call: &mut Call) -> Self {
        Self { key: call.key_tag(), others: call.named_tags() }
    }
}

impl Run {
    pub(crate) fn new(call: &Call, leader: Option<CallLeader>) -> Self {
        let engine = &call.function.engine;
        let guard = engine.validity.freshness.begin();
        let flight = leader.as_ref().map(Leader::id);
        Self {
            stamp: guard.stamp(),
            guard,
            key: None,
            named: None,
            own: None,
            leases: Leases::default(),
            remote: Vec::new(),
            rejected: None,
            asks: None,
            fault: None,
            frame: Arc::new(Frame::new(engine.id, flight, call.parent(), Some(call.scope.clone()))),
            began_nanos: 0,
            trust_deadline: TrustDeadline::default(),
            leader,
        }
    }

    /// Whether its result is for others too.
    pub(crate) fn leads(&self) -> bool {
        self.leader.is_some()
    }

    /// Somebody is at it now. `false` if another one came first, or was quicker, and this run is to end.
    pub(crate) fn set_out(&self) -> bool {
        let is_due = |leader: &CallLeader| !leader.is_superseded() && leader.set_progress(Progress::set_out);
        self.leader.as_ref().is_none_or(is_due)
    }

    /// Puts the result where others find it, unless it may not be there, or a later one is.
    /// `take_out` is for a later one that couldn't wait.
    pub(super) fn place(&self, call: &Call, put: impl FnOnce(&Self), take_out: impl FnOnce(&Self)) -> bool {
        // Before: it runs code of the user's, which a later run here needn't wait for.
        call.function.engine.keep_up();
        self.leader.as_ref().is_some_and(|leader| leader.place(|| put(self), || take_out(self)))
    }

    /// Gives the leases back before anybody is woken who may want them. `unstored`: the run has ended, and others find
    /// nothing that it has left.
    pub(super) fn give_back(&mut self, unstored: bool) {
        self.leases.give_back(unstored);
    }

    /// The run goes on beside others: from here on nobody waits for it, and others may take the lease.
    pub(super) fn leave(&mut self, call: &Call) {
        self.give_back(false);
        self.leader = None;
        call.function.counters.unshared.one();
    }

    /// Says whether the backends have to be asked.
    pub(crate) fn begin(&mut self, call: &Call) -> bool {
        if let Some(asks) = self.asks {
            return asks;
        }
        // The call may have waited before it came here.
        self.began_nanos = call.function.engine.began_nanos();
        let asks = self.leader.is_some() && call.function.shared && call.is_encodable();
        if asks {
            self.key = call.entry_key();
        } else {
            self.remote = call.function.engine.backends.iter().map(Backend::known_stamp).collect();
        }
        self.asks = Some(asks);
        asks
    }

    /// The tags it will carry for certain, all of them.
    pub(super) fn own_ids(&mut self, call: &mut Call) -> Vec<TagId> {
        let base = call.function.base_ids(call.instance, call.scope.name());
        let named = self.named.get_or_insert_with(|| Named::of(call));
        base.chain(named.key).chain(named.others.iter().map(|tag| tag.id)).collect()
    }

    pub(super) fn own_dependencies(&mut self, call: &mut Call) -> Dependencies {
        let base = call.function.base_tags(call.instance, &call.scope);
        let named = self.named.get_or_insert_with(|| Named::of(call));
        let freshness = &call.function.engine.validity.freshness;
        let key = named.key.map(|id| freshness.intern_below(id, base.head));
        // With room for the key's, which comes to them.
        let mut others = Vec::with_capacity(named.others.len() + usize::from(!named.others.is_empty()));
        others.extend(named.others.iter().map(|tag| freshness.intern_below(tag.id, Some(tag.head))));
        Dependencies::own(base, key, others, self.stamp, &self.remote)
    }

    pub(super) fn end(&mut self, result: RunResult, stamp: u64, trust_deadline: TrustDeadline) {
        if let Some(leader) = self.leader.take() {
            leader.land(Outcome { result, stamp, trust_deadline });
        }
    }

    /// The context in which the body runs, and whatever else is the function's own code.
    pub(crate) fn context(&self, call: &Call) -> Arc<Context> {
        call.context_in(Arc::clone(&self.frame))
    }
}

/// What calls a function and goes on though the function did not return depends on what the function used until then.
impl Drop for Run {
    fn drop(&mut self) {
        self.give_back(false);
        self.frame.end();
        let Some(mut own) = self.own.take() else { return };
        let mut collected = self.frame.close();
        let Some(parent) = self.frame.parent() else { return };
        if !collected.tags.is_empty() {
            let scope = self.frame.scope.as_ref().map_or("", Scope::name);
            let added = std::mem::take(&mut collected.tags).carried_in(scope);
            let intern = |tag: NamedTag| self.guard.intern_below(tag.id, Some(tag.head));
            own = own.with(added.into_iter().map(intern).collect(), self.stamp, &self.remote);
        }
        parent.inherit(&own, false, self.trust_deadline);
        parent.take_in(self.frame.cache, &collected);
    }
}

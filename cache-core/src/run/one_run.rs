//! A run: from the moment a caller leads until its result is where it belongs.

use std::sync::Arc;

use super::call::Call;
use crate::backend::{Backend, BootInstant, EntryKey, Seen, Stamp, TagId};
use crate::context::Context;
use crate::context::run_frame::Frame;
use crate::engine::outcome::{CallLeader, Outcome, RunResult};
use crate::engine::progress::Progress;
use crate::error::Error;
use crate::flight::per_key::Leader;
use crate::freshness::dependencies::Dependencies;
use crate::freshness::invalidation::RunGuard;
use crate::run::leases::Leases;
use crate::run::recursion;
use crate::scope::Scope;
use crate::tag::NamedTag;
use crate::trust::deadline::TrustDeadline;

/// A run: from the moment a caller leads until its result is where it belongs. Dropping it on the way hands the key
/// over: to someone who waits here, and by the leases to other processes.
///
/// It is made when its call leads, begins with the first look at the backends, is prepared right before the body, and
/// concluded after it.
pub(crate) struct Run {
    pub(super) leader: Option<CallLeader>,
    /// Nothing invalidated from here on is forgotten before the run's tags are known.
    pub(super) guard: RunGuard,
    /// The epoch in which the run was made; from `prepare` on, the epoch in which its body could begin.
    pub(super) stamp: u64,
    /// Set by the first [`begin`](Self::begin).
    begun: Option<Begun>,
    /// The tags it will carry for certain, beside those of all the function's entries, once they are needed.
    named: Option<Named>,
    /// From when the body can begin until everything the run depends on is reported.
    pub(super) prepared: Option<Prepared>,
    /// One per backend, as the stamps are; apart from those, as an invalidation takes the leases from any thread.
    pub(super) leases: Leases,
    /// When its body returned.
    pub(super) body_ended: Option<BootInstant>,
    /// The first fault of a backend.
    pub(crate) fault: Option<Error>,
    pub(super) frame: Arc<Frame>,
}

/// When a run began, and what it knows of the backends.
pub(super) struct Begun {
    /// When it began, in nanoseconds of the cache's clock.
    pub(super) nanos: u64,
    /// Of the entry. `None` if the backends aren't asked.
    pub(super) key: Option<EntryKey>,
    /// The stamps of the backends from before the run. If the backends are asked, of those that were asked so far.
    pub(super) stamps: Vec<Option<Stamp>>,
    /// What the backend that is being asked offered last and wasn't understood.
    pub(super) rejected: Option<Seen>,
}

impl Begun {
    fn now(call: &Call, leads: bool) -> Self {
        let (engine, target) = (call.engine(), &call.target);
        // The call may have waited before it came here.
        let nanos = engine.began_nanos();
        let asks = leads && target.function.shared && target.is_encodable();
        let key = if asks { target.entry_key() } else { None };
        let stamps = match key {
            Some(_) => Vec::new(),
            None => engine.backends.iter().map(Backend::known_stamp).collect(),
        };
        Self { nanos, key, stamps, rejected: None }
    }
}

/// What a run depends on, whatever its body does.
pub(super) struct Prepared {
    pub(super) own: Dependencies,
    /// Of what the body reads.
    pub(super) trust_deadline: TrustDeadline,
}

/// The tags of the key, and those that the function's options name.
struct Named {
    key: Option<TagId>,
    others: Vec<NamedTag>,
}

impl Named {
    fn of(call: &mut Call) -> Self {
        Self { key: call.target.key_tag(), others: call.named_tags() }
    }
}

impl Run {
    pub(crate) fn new(call: &Call, leader: Option<CallLeader>) -> Self {
        let engine = call.engine();
        let guard = engine.validity.freshness.begin();
        let flight = leader.as_ref().map(Leader::id);
        if let Some(leader) = leader.as_ref().filter(|_| call.span.is_on()) {
            leader.set_progress(|progress| progress.lead = call.span.lead());
        }
        Self {
            stamp: guard.stamp(),
            guard,
            frame: Arc::new(
                Frame::new(engine.id, flight, call.parent(), Some(call.target.scope.clone()))
                    .in_recursion(recursion::of(call)),
            ),
            begun: None,
            named: None,
            prepared: None,
            leases: Leases::default(),
            body_ended: None,
            fault: None,
            leader,
        }
    }

    /// Whether its result is for others too.
    pub(crate) fn leads(&self) -> bool {
        self.leader.is_some()
    }

    /// It is dropped between two polls of its body, which so hasn't panicked, whatever else has.
    pub(crate) fn cancel(&mut self) {
        if let Some(leader) = self.leader.take() {
            leader.abandon();
        }
    }

    /// Somebody is at it now. `false` if another one came first, or was quicker, and this run is to end.
    pub(crate) fn set_out(&self) -> bool {
        let is_due = |leader: &CallLeader| !leader.is_superseded() && leader.set_progress(Progress::set_out);
        self.leader.as_ref().is_none_or(is_due)
    }

    /// Puts the result where others find it, unless it may not be there, or a later one is.
    /// `take_out` is for a later one that couldn't wait.
    pub(super) fn place(&self, call: &Call, put: impl FnOnce(), take_out: impl FnOnce()) -> bool {
        // Before: it runs code of the user's, which a later run here needn't wait for.
        call.engine().keep_up();
        self.leader.as_ref().is_some_and(|leader| leader.place(put, take_out))
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
        call.counters().unshared.one();
    }

    /// Begins, if it hasn't, and says whether the backends have to be asked.
    pub(crate) fn begin(&mut self, call: &Call) -> bool {
        self.begun(call).key.is_some()
    }

    pub(super) fn begun(&mut self, call: &Call) -> &mut Begun {
        let leads = self.leads();
        self.begun.get_or_insert_with(|| Begun::now(call, leads))
    }

    /// The entry's key, if the backends are asked.
    pub(super) fn key(&self) -> Option<EntryKey> {
        self.begun.as_ref()?.key.clone()
    }

    /// See [`Begun::stamps`].
    pub(super) fn stamps(&self) -> &[Option<Stamp>] {
        self.begun.as_ref().map_or(&[], |begun| &begun.stamps)
    }

    /// The tags it will carry for certain, all of them.
    pub(super) fn own_ids(&mut self, call: &mut Call) -> Vec<TagId> {
        let base = call.target.function.base_ids(call.target.instance, call.target.scope.name());
        let named = self.named.get_or_insert_with(|| Named::of(call));
        base.chain(named.key).chain(named.others.iter().map(|tag| tag.id)).collect()
    }

    pub(super) fn own_dependencies(&mut self, call: &mut Call) -> Dependencies {
        let base = call.target.base_tags();
        let named = self.named.get_or_insert_with(|| Named::of(call));
        let freshness = &call.engine().validity.freshness;
        let key = named.key.map(|id| freshness.intern_below(id, base.head));
        // With room for the key's, which comes to them.
        let mut others = Vec::with_capacity(named.others.len() + usize::from(!named.others.is_empty()));
        others.extend(named.others.iter().map(|tag| freshness.intern_below(tag.id, tag.head)));
        Dependencies::own(base, key, others, self.stamp, self.stamps())
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
        let Some(Prepared { mut own, trust_deadline }) = self.prepared.take() else { return };
        let mut collected = self.frame.close();
        let Some(parent) = self.frame.parent() else { return };
        if !collected.tags.is_empty() {
            let scope = self.frame.scope.as_ref().map_or("", Scope::name);
            let added = std::mem::take(&mut collected.tags).carried_in(scope);
            let intern = |tag: NamedTag| self.guard.intern_below(tag.id, tag.head);
            own = own.with(added.into_iter().map(intern).collect(), self.stamp, self.stamps());
        }
        parent.inherit(&own, false, trust_deadline);
        parent.take_in(self.frame.cache, &collected);
    }
}

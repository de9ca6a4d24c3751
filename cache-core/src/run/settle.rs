//! Stage: decides what to keep of a result, and puts it into memory and to those who waited.

use std::sync::Arc;
use std::time::Duration;

use super::call::Call;
use super::one_run::{Prepared, Run};
use super::store::{AT_ONCE, Storing};
use crate::backend::{BootInstant, Lifetimes};
use crate::context::observer::Source;
use crate::context::run_frame::Collected;
use crate::context::{self, Mode};
use crate::engine::outcome::RunResult;
use crate::entry::birth::Born;
use crate::entry::policy::Staleness;
use crate::entry::{CachedEntry, Meta};
use crate::freshness::dependencies::Dependencies;
use crate::memory::DeferredDrops;
use crate::run::backend_hit::Found;
use crate::run::recursion;
use crate::run::store_decision::Verdict;
use crate::run::value_bytes::seal;
use crate::stats::kinds::{CallResult, StoreOutcome};
use crate::tag::{NamedTag, TagSet};

/// What is to become of a run's result.
pub(crate) struct Conclusion {
    pub(crate) meta: Meta,
    /// `None` if it isn't to be stored.
    pub(crate) keep: Option<Lifetimes>,
}

impl Run {
    /// Everything the run turned out to depend on, and what is to become of its result. From here on nothing counts for
    /// the run any more.
    pub(crate) fn conclude(&mut self, call: &mut Call, verdict: Verdict) -> Conclusion {
        let (dependencies, collected) = self.dependencies(call, verdict.tags);
        let engine = call.engine();
        let ttl = collected.ttl.or(verdict.ttl).map(|ttl| call.options.policy.spread(ttl));
        let keep = self.leader.is_some()
            && verdict.store
            && !collected.uncached
            && ttl != Some(Duration::ZERO)
            && call.options.policy.idle_ttl != Some(Duration::ZERO)
            && !context::is_disabled();
        let lifetimes = call.options.policy.lifetimes(ttl);
        let memory_ttl = [verdict.memory_ttl, engine.memory_ttl].into_iter().flatten().min();
        // The time is known already, if the cache goes by the clock that runs are measured with.
        let ended = self.body_ended.filter(|_| engine.validity.clock.is_system());
        let now = ended.map_or_else(|| engine.validity.clock.nanos(), BootInstant::nanos);
        let lifespan = call.options.policy.lifespan(now, Duration::ZERO, lifetimes, memory_ttl);
        let meta = Meta::new(
            call.target.key.as_ref(),
            dependencies,
            lifespan,
            Born::at(now),
            collected.trust_deadline,
            verdict.weight,
            collected.uncached,
        );
        call.note(if keep { Source::Ran } else { Source::Uncached }, &meta);
        Conclusion { meta, keep: keep.then_some(lifetimes) }
    }

    pub(super) fn dependencies(&mut self, call: &mut Call, judged: TagSet) -> (Dependencies, Collected) {
        let mut collected = self.frame.close();
        let mut added = std::mem::take(&mut collected.tags);
        added.append(judged);
        let mut dependencies = match self.prepared.take() {
            Some(Prepared { own, trust_deadline }) => {
                collected.trust_deadline = collected.trust_deadline.min(trust_deadline);
                own
            }
            None => self.own_dependencies(call),
        };
        let engine = call.engine();
        if !added.is_empty() {
            let intern = |tag: NamedTag| engine.validity.freshness.intern_below(tag.id, tag.head);
            let added = added.carried_in(call.target.scope.name()).into_iter().map(intern);
            dependencies = dependencies.with(added.collect(), self.stamp, self.stamps());
        }
        if !collected.inherited.is_empty() {
            dependencies =
                dependencies.made_of(std::mem::take(&mut collected.inherited), call.target.function.deepest());
            if dependencies.has_collapsed() {
                call.counters().collapsed.one();
            }
        }
        call.report(&dependencies, collected.uncached, collected.trust_deadline);
        (dependencies, collected)
    }

    /// Puts the result of a run where it belongs: first memory and those who waited here, without an await, so that a
    /// caller who goes away now takes nothing along. What is left to do for the backends is returned.
    pub(crate) fn publish(
        mut self: Box<Self>,
        call: &Call,
        entry: &Arc<CachedEntry>,
        keep: Option<Lifetimes>,
    ) -> Option<Storing> {
        let dependencies = entry.meta.dependencies();
        // One that was invalidated meanwhile may have been overtaken: what is there then is newer.
        let is_live = dependencies.is_live();
        let is_kept = keep.is_some();
        let (keep, replaces) = (keep.filter(|_| is_live), is_live && self.replaces(call));
        // What has to go for it must not hold up who waits for it.
        let deferred = DeferredDrops::new();
        let (mut in_memory, mut evicted_at) = (false, None);
        let placed = (keep.is_some() || replaces)
            && self.place(
                call,
                || {
                    if keep.is_some() {
                        call.counters().stored.one();
                        let inserted = call.target.fill_memory(entry);
                        (in_memory, evicted_at) = (inserted.has_room, inserted.evicted_at);
                    }
                    if replaces && !in_memory {
                        call.target.clear_memory();
                    }
                },
                || call.target.take_out_of_memory(entry),
            );
        if is_kept {
            call.stores(match (placed, in_memory) {
                (false, _) => StoreOutcome::Overtaken,
                (true, false) => StoreOutcome::NoRoom,
                (true, true) => StoreOutcome::Stored,
            });
        }
        in_memory &= placed;
        if !is_live && let Some(leader) = &self.leader {
            // Theirs would be older yet. Who was told that this one has ended isn't to join them.
            leader.supersede_earlier();
        }
        let stores = placed && self.leases.any();
        if !stores {
            self.give_back(is_live);
        }
        // Until the backends are told, others would put the old one into memory again.
        let ends_later = replaces && !in_memory && stores;
        let ending = ends_later.then(|| Arc::clone(entry));
        if !ends_later {
            self.end(RunResult::Value(Arc::clone(entry)), self.stamp, entry.meta.trust_deadline());
        }
        drop(deferred);
        if let Some(evicted_at) = evicted_at {
            recursion::came_back(call, &self.frame, evicted_at);
        }
        if !stores {
            return None;
        }
        let sealed = |lifetimes| match seal(&call.target, &entry.value) {
            Ok(payload) => {
                call.stores(StoreOutcome::Stored);
                Some((payload, lifetimes))
            }
            Err(refused) => {
                call.stores(refused);
                None
            }
        };
        let kept = keep.and_then(sealed);
        let Some((payload, lifetimes)) = kept.or_else(|| replaces.then(|| (Vec::new(), AT_ONCE))) else {
            self.give_back(true);
            return None;
        };
        let in_memory = in_memory.then(|| Arc::clone(entry));
        Some(Storing { run: self, payload, dependencies: dependencies.clone(), lifetimes, ending, in_memory })
    }

    /// Whether the result takes the place of an older one also where it isn't to be stored: nobody is to get that again.
    fn replaces(&self, call: &Call) -> bool {
        let overwrites = matches!(call.request.mode, Mode::Refreshed | Mode::PastMemory);
        let may_be_there = overwrites || call.memory.old.is_some();
        may_be_there && self.leader.is_some() && !context::is_disabled()
    }

    /// Puts an entry that a backend knew into memory. What is left to do for the layers before that backend is returned.
    pub(crate) fn adopt(mut self: Box<Self>, call: &Call, found: Found, entry: &Arc<CachedEntry>) -> Option<Storing> {
        let counters = call.counters();
        if call.request.origin.counts() {
            counters.backend_hits.one();
        }
        call.answered(CallResult::Backend);
        counters.bytes_read.add(found.live.entry.payload.len() as u64);
        let dependencies = entry.meta.dependencies().clone();
        call.note(Source::Backend, &entry.meta);
        call.report(&dependencies, false, entry.meta.trust_deadline());
        let deferred = DeferredDrops::new();
        if dependencies.is_live() {
            self.place(
                call,
                || {
                    call.target.fill_memory(entry);
                },
                || call.target.take_out_of_memory(entry),
            );
        }
        self.end(RunResult::Value(Arc::clone(entry)), found.local, entry.meta.trust_deadline());
        drop(deferred);
        // A nearer layer would count its age anew.
        if found.staleness != Staleness::Fresh || !self.leases.any() {
            return None;
        }
        let lifetimes = found.lifetimes_left();
        let payload = found.live.entry.payload;
        Some(Storing { run: self, payload, dependencies, lifetimes, ending: None, in_memory: None })
    }

    /// How an entry that a backend knew is kept in memory.
    pub(crate) fn meta_of(&mut self, call: &Call, found: &Found, verdict: &Verdict) -> Meta {
        let begun = self.begun(call);
        found.meta(call, &begun.stamps, call.engine().trust_deadline_from(begun.nanos), verdict)
    }
}

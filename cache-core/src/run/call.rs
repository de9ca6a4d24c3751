//! A call after a miss in memory: its function and key, what it asks for, and what it has found so far.
//!
//! Nothing here knows the type of a value, and nothing knows whether the caller is sync or async.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use super::one_run::Run;
use crate::backend::{Backend, EntryKey, Seen, TagId};
use crate::context::abandoned::{AbandonedWait, Unfinished, WaitGuard};
use crate::context::run_frame::{Collected, Frame};
use crate::context::{self, Context, Mode};
use crate::engine::descriptor::Instance;
use crate::engine::function::Function;
use crate::entry::CachedEntry;
use crate::entry::policy::{Policy, Staleness};
use crate::entry::value_codec::ValueCodec;
use crate::flight::single::FlightId;
use crate::freshness::dependencies::Dependencies;
use crate::key::backend_key::{entry_identity, key_tag, with_identity};
use crate::key::call_key::CallKey;
use crate::run::join::Waits;
use crate::run::store_decision::Verdict;
use crate::scope::Scope;
use crate::tag::{NamedTag, TagSet};
use crate::trust::deadline::TrustDeadline;

/// One call that the first look into memory didn't answer.
pub(crate) struct Call {
    pub(crate) function: Arc<Function>,
    pub(crate) instance: &'static Instance,
    /// `None` if the arguments can't be a key, or the call isn't to be cached.
    pub(crate) key: Option<CallKey>,
    pub(crate) context: Option<Arc<Context>>,
    pub(crate) scope: Scope,
    pub(crate) mode: Mode,
    /// The epoch of this process's invalidation order when the call began.
    pub(crate) epoch_at_start: u64,
    /// The first flight to begin after the call: the result of this one or a later one is new enough for it.
    pub(crate) min_flight: FlightId,
    pub(crate) tags: TagSet,
    /// What they were made of, if it was anything that can be invalidated.
    pub(crate) used: Option<Arc<Collected>>,
    pub(crate) codec: Option<ValueCodec>,
    /// The `ttl` and `memory_ttl` options, as far as they don't follow from the result.
    pub(crate) ttl: Option<Duration>,
    pub(crate) memory_ttl: Option<Duration>,
    pub(crate) policy: Policy,
    /// Generation of the key's memory shard when the lookup missed; unchanged means a second lookup can be skipped. `None` if
    /// memory had an old value or was not asked.
    pub(crate) memory_generation: Option<u64>,
    /// What memory has, or a backend had, for calls whose run fails or takes too long.
    pub(crate) old: Option<Arc<CachedEntry>>,
    /// What was seen where it is, if that is a backend.
    pub(crate) old_seen: Option<Seen>,
    /// In which mode the body calls others.
    pub(crate) nested: Mode,
    /// The run may go on in the background, without the caller.
    pub(crate) may_detach: bool,
    /// It is a background run itself: an old value is no answer.
    pub(crate) in_background: bool,
    /// Somebody called, and what becomes of it is counted.
    pub(crate) counts: bool,
    /// What it has waited for.
    pub(crate) waits: Waits,
    /// Whether those who waited for a run that fails can be given its error.
    pub(crate) shares_errors: bool,
}

/// What becomes of a call.
pub(crate) enum Answer {
    Value(Arc<CachedEntry>),
    Failure(Arc<dyn Any + Send + Sync>),
    /// The caller runs the body, unless a backend knows the answer.
    Lead(Box<Run>),
}

impl Call {
    pub(crate) fn parent(&self) -> Option<&Arc<Frame>> {
        self.context.as_ref().and_then(|context| context.frame.as_ref())
    }

    /// Any use of an entry inside a run counts for that run's own entry.
    pub(crate) fn report(&self, dependencies: &Dependencies, uncached: bool, trust_deadline: TrustDeadline) {
        if let Some(parent) = self.parent() {
            parent.inherit(dependencies, uncached, trust_deadline);
        }
    }

    /// The context of the function's own code: that around the call, in the function's scope.
    pub(super) fn context_in(&self, frame: Arc<Frame>) -> Arc<Context> {
        let ambient = self.context.as_deref();
        Arc::new(Context {
            cache: ambient.and_then(|context| context.cache.clone()),
            scope: Some(self.scope.clone()),
            mode: self.nested,
            frame: Some(frame),
            refreshes_first: None,
        })
    }

    /// Adds tags, and keeps what they are made of: should the call come to a run, that depends on it.
    pub(crate) fn add_tags(&mut self, add: &mut dyn FnMut(&mut TagSet)) {
        let frame = Arc::new(Frame::new(self.function.engine.id, None, self.parent(), Some(self.scope.clone())));
        let context = self.context_in(Arc::clone(&frame));
        let (wait_guard, unfinished) = (self.guard_wait(), Unfinished(&frame));
        context::within_sync(Some(context), || add(&mut self.tags));
        let mut used = frame.close();
        drop(unfinished);
        wait_guard.disarm();
        self.tags.append(std::mem::take(&mut used.tags));
        self.used = (used.uncached || !used.inherited.is_empty()).then(|| Arc::new(used));
    }

    /// Has the run that calls depend on what the call would have carried for certain, unless the call gets its answer: the
    /// run's own may depend on how long this one took.
    pub(crate) fn guard_wait(&self) -> WaitGuard {
        let parent = self.parent().map(|parent| {
            let engine = &self.function.engine;
            let named = self.tags.clone().carried_in(self.scope.name());
            let base = self.function.base_tags(self.instance, &self.scope);
            let key = self.key_tag().map(|id| engine.validity.freshness.intern_below(id, base.head));
            let dependencies = Dependencies::own(
                base,
                key,
                named.into_iter().map(|tag| engine.validity.freshness.intern_below(tag.id, Some(tag.head))).collect(),
                self.epoch_at_start,
                &engine.backends.iter().map(Backend::known_stamp).collect::<Vec<_>>(),
            );
            Box::new(AbandonedWait {
                parent: Arc::clone(parent),
                cache: engine.id,
                dependencies,
                trust_deadline: engine.trust_deadline_from(engine.began_nanos()),
                used: self.used.clone(),
            })
        });
        WaitGuard(parent)
    }

    /// Looks into memory once the call leads a flight.
    pub(crate) fn recheck_memory(&self, key: &CallKey, run: &Run) -> Option<Arc<CachedEntry>> {
        if self.mode == Mode::Refreshed {
            return None;
        }
        let store = self.function.store()?;
        // A flight that landed has put its entry in before it was gone.
        if self.memory_generation.is_some_and(|before| before == store.generation(key.hash_code())) {
            return None;
        }
        // What memory lets go of meanwhile must not wait for this flight.
        context::within_sync(Some(run.context(self)), || {
            let entry = store.get_owned(key)?;
            if entry.is_usable(&self.function.engine.validity) {
                return Some(entry);
            }
            if entry.staleness(&self.function.engine.validity).is_none() {
                // In its turn: what a later run has put there meanwhile is to stay.
                run.place(self, |run| run.take_out_of_memory(self, &entry), |_| ());
                self.function.counters.stale.one();
            }
            None
        })
    }

    /// Whether an old value is still good for anything; counted.
    pub(crate) fn can_serve(&self, old: &CachedEntry) -> bool {
        let engine = &self.function.engine;
        let Some(staleness) = old.staleness(&engine.validity) else { return false };
        if staleness == Staleness::StaleOnly || !old.is_fresh(&engine.validity) {
            self.function.counters.served_stale.one();
        }
        true
    }

    /// Any use of an entry counts; see [`report`](Self::report).
    pub(crate) fn report_old(&self, old: &CachedEntry) {
        self.report(
            old.meta.dependencies(),
            old.meta.is_uncached(),
            old.trust_deadline(&self.function.engine.validity),
        );
    }

    /// From here on the call counts for no run.
    pub(crate) fn made_by_nobody(&mut self) {
        let context = self.context.as_deref().cloned().unwrap_or_default();
        self.context = Some(Arc::new(Context { frame: None, ..context }));
    }

    /// The bytes that name this key's entry in backends.
    pub(super) fn entry_key(&self) -> Option<EntryKey> {
        let (key, options) = (self.key.as_ref()?, &self.function.descriptor.options);
        let (function, scope) = (&self.instance.identity, self.scope.name());
        let bytes = key.with_args(|args, _| entry_identity(function, options.key, options.version, scope, args));
        Some(EntryKey::new(bytes))
    }

    pub(super) fn key_tag(&self) -> Option<TagId> {
        let key = self.key.as_ref()?;
        let version = self.function.descriptor.options.version;
        let (function, scope) = (&self.instance.identity, self.scope.name());
        let tag =
            |args: &[u8], typed| with_identity(function, version, scope, args, |identity| key_tag(identity, typed));
        Some(key.with_args(tag))
    }

    /// The tags that the function's options name.
    pub(super) fn named_tags(&mut self) -> Vec<NamedTag> {
        let tags = if self.may_detach { self.tags.clone() } else { std::mem::take(&mut self.tags) };
        tags.carried_in(self.scope.name())
    }

    /// See [`Function::fingerprint`].
    pub(crate) fn fingerprint(&self) -> Option<u64> {
        self.function.fingerprint(self.instance, self.codec?)
    }

    /// Whether the value has a form for backends.
    pub(super) fn is_encodable(&self) -> bool {
        self.fingerprint().is_some()
    }

    /// What the function's options say of any result.
    pub(crate) fn verdict(&self) -> Verdict {
        Verdict { ttl: self.ttl, memory_ttl: self.memory_ttl, ..Verdict::default() }
    }
}

//! A call after a miss in memory: its function and key, what it asks for, and what it has found so far.
//!
//! Nothing here knows the type of a value, and nothing knows whether the caller is sync or async.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use super::one_run::Run;
use crate::backend::{Backend, Seen};
use crate::context::abandoned::{AbandonedWait, Unfinished, WaitGuard};
use crate::context::observer::{Observer, Source};
use crate::context::run_frame::{Collected, Frame};
use crate::context::{self, Context, Mode};
use crate::engine::Engine;
use crate::entry::policy::{Policy, Staleness};
use crate::entry::{CachedEntry, Meta};
use crate::flight::single::FlightId;
use crate::freshness::dependencies::Dependencies;
use crate::key::call_key::CallKey;
use crate::run::join::Waits;
use crate::run::store_decision::Verdict;
use crate::run::tally::Tally;
use crate::run::target::Target;
use crate::stats::Counters;
use crate::stats::kinds::CallResult;
use crate::tag::{NamedTag, TagSet};
use crate::trace::CallSpan;
use crate::trust::deadline::TrustDeadline;

/// One call that the first look into memory didn't answer.
pub(crate) struct Call {
    pub(crate) target: Target,
    pub(crate) request: Request,
    pub(crate) options: Options,
    pub(crate) memory: MemoryLook,
    /// What it has waited for.
    pub(crate) waits: Waits,
    /// What becomes of it.
    pub(crate) tally: Tally,
    /// In traces.
    pub(crate) span: CallSpan,
}

/// Who asks, when, and for what kind of answer.
pub(crate) struct Request {
    pub(crate) mode: Mode,
    /// In which mode the body calls others.
    pub(crate) nested: Mode,
    pub(crate) context: Option<Arc<Context>>,
    /// Nobody has given a scope.
    pub(crate) unscoped: bool,
    /// The epoch of this process's invalidation order when the call began.
    pub(crate) epoch_at_start: u64,
    /// The first flight to begin after the call: the result of this one or a later one is new enough for it.
    pub(crate) min_flight: FlightId,
    pub(crate) origin: Origin,
}

/// Who made a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A user's code. `may_detach`: the run may go on in the background, without the caller.
    Caller { may_detach: bool },
    /// A background run that a caller waits for.
    AwaitedBackground,
    /// A background run that nobody waits for.
    Background,
}

/// What the function's options say, as far as they don't follow from the result.
#[derive(Clone)]
pub(crate) struct Options {
    pub(crate) tags: TagSet,
    /// What the code that makes the tags used, if that can be invalidated.
    pub(crate) used: Option<Arc<Collected>>,
    pub(crate) ttl: Option<Duration>,
    pub(crate) memory_ttl: Option<Duration>,
    pub(crate) policy: Policy,
    /// Whether those who waited for a run that fails can be given its error.
    pub(crate) shares_errors: bool,
}

/// What was found where the call looked, short of an answer.
pub(crate) struct MemoryLook {
    /// What memory has, or a backend had, for calls whose run fails or takes too long.
    pub(crate) old: Option<Arc<CachedEntry>>,
    /// What was seen where it is, if that is a backend.
    pub(crate) old_seen: Option<Seen>,
    /// Generation of the key's memory shard when the lookup missed; unchanged means a second lookup can be skipped. `None` if
    /// memory had an old value or was not asked.
    pub(crate) generation: Option<u64>,
}

/// What becomes of a call.
pub(crate) enum Answer {
    Value(Arc<CachedEntry>),
    Failure(Arc<dyn Any + Send + Sync>),
    /// The caller runs the body, unless a backend knows the answer.
    Lead(Box<Run>),
}

impl Origin {
    /// It is a background run itself: an old value is no answer.
    pub(crate) fn in_background(self) -> bool {
        !matches!(self, Self::Caller { .. })
    }

    /// Somebody waits for the answer, and what becomes of the call is counted.
    pub(crate) fn counts(self) -> bool {
        self != Self::Background
    }
}

impl Request {
    /// The run that makes the call.
    pub(crate) fn parent(&self) -> Option<&Arc<Frame>> {
        self.context.as_ref().and_then(|context| context.frame.as_ref())
    }

    /// See [`Origin::Caller`].
    pub(crate) fn may_detach(&self) -> bool {
        matches!(self.origin, Origin::Caller { may_detach: true })
    }

    /// Who observes the code that makes the call.
    pub(crate) fn observer(&self) -> Option<&Arc<Observer>> {
        self.context.as_ref().and_then(|context| context.observer.as_ref())
    }

    /// From here on the call counts for no run, and isn't observed.
    pub(crate) fn made_by_nobody(&mut self) {
        let context = self.context.as_deref().cloned().unwrap_or_default();
        self.context = Some(Arc::new(Context { frame: None, observer: None, ..context }));
    }
}

impl Options {
    /// What they say of any result.
    pub(crate) fn verdict(&self) -> Verdict {
        Verdict { ttl: self.ttl, memory_ttl: self.memory_ttl, ..Verdict::default() }
    }
}

impl Call {
    pub(crate) fn engine(&self) -> &Engine {
        &self.target.function.engine
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.target.function.counters
    }

    pub(crate) fn parent(&self) -> Option<&Arc<Frame>> {
        self.request.parent()
    }

    /// Any use of an entry inside a run counts for that run's own entry.
    pub(crate) fn report(&self, dependencies: &Dependencies, uncached: bool, trust_deadline: TrustDeadline) {
        if let Some(parent) = self.parent() {
            parent.inherit(dependencies, uncached, trust_deadline);
        }
    }

    /// Tells who observes the call that this entry, or one with this, is the answer.
    pub(crate) fn note(&self, source: Source, meta: &Meta) {
        if let Some(observer) = self.request.observer() {
            observer.note(source, &self.engine().validity.clock, meta);
        }
    }

    /// The same of an answer that isn't kept.
    pub(crate) fn note_unkept(&self, source: Source, dependencies: &Dependencies) {
        if let Some(observer) = self.request.observer() {
            observer.note_unkept(source, &self.engine().validity.clock, dependencies);
        }
    }

    /// The context of the function's own code: that around the call, in the function's scope.
    pub(super) fn context_in(&self, frame: Arc<Frame>) -> Arc<Context> {
        let ambient = self.request.context.as_deref();
        Arc::new(Context {
            cache: ambient.and_then(|context| context.cache.clone()),
            scope: Some(self.target.scope.clone()),
            unscoped: self.request.unscoped,
            mode: self.request.nested,
            frame: Some(frame),
            ..Context::default()
        })
    }

    /// Adds tags, and keeps what they are made of: should the call come to a run, that depends on it.
    pub(crate) fn add_tags(&mut self, add: &mut dyn FnMut(&mut TagSet)) {
        let frame = Arc::new(Frame::new(self.engine().id, None, self.parent(), Some(self.target.scope.clone())));
        let context = self.context_in(Arc::clone(&frame));
        let (wait_guard, unfinished) = (self.guard_wait(), Unfinished(&frame));
        context::within_sync(Some(context), || add(&mut self.options.tags));
        let mut used = frame.close();
        drop(unfinished);
        wait_guard.disarm();
        self.options.tags.append(std::mem::take(&mut used.tags));
        self.options.used = (used.uncached || !used.inherited.is_empty()).then(|| Arc::new(used));
    }

    /// Has the run that calls depend on what the call would have carried for certain, unless the call gets its answer: the
    /// run's own may depend on how long this one took.
    pub(crate) fn guard_wait(&self) -> WaitGuard {
        let parent = self.parent().map(|parent| {
            let engine = self.engine();
            let named = self.options.tags.clone().carried_in(self.target.scope.name());
            let base = self.target.base_tags();
            let key = self.target.key_tag().map(|id| engine.validity.freshness.intern_below(id, base.head));
            let dependencies = Dependencies::own(
                base,
                key,
                named.into_iter().map(|tag| engine.validity.freshness.intern_below(tag.id, tag.head)).collect(),
                self.request.epoch_at_start,
                &engine.backends.iter().map(Backend::known_stamp).collect::<Vec<_>>(),
            );
            Box::new(AbandonedWait {
                parent: Arc::clone(parent),
                cache: engine.id,
                dependencies,
                trust_deadline: engine.trust_deadline_from(engine.began_nanos()),
                used: self.options.used.clone(),
            })
        });
        WaitGuard(parent)
    }

    /// Looks into memory once the call leads a flight.
    pub(crate) fn recheck_memory(&self, key: &CallKey, run: &Run) -> Option<Arc<CachedEntry>> {
        if matches!(self.request.mode, Mode::Refreshed | Mode::PastMemory) {
            return None;
        }
        let store = self.target.function.store()?;
        // A flight that landed has put its entry in before it was gone.
        if self.memory.generation.is_some_and(|before| before == store.generation(key.hash_code())) {
            return None;
        }
        // What memory lets go of meanwhile must not wait for this flight.
        context::within_sync(Some(run.context(self)), || {
            let entry = store.get_owned(key)?;
            if entry.is_usable(&self.engine().validity) {
                return Some(entry);
            }
            if entry.staleness(&self.engine().validity).is_none() {
                // In its turn: what a later run has put there meanwhile is to stay.
                run.place(self, || self.target.take_out_of_memory(&entry), || ());
                self.counters().stale.one();
            }
            None
        })
    }

    /// Whether an old value is still good for anything; counted.
    pub(crate) fn can_serve(&self, old: &CachedEntry) -> bool {
        let engine = self.engine();
        let Some(staleness) = old.staleness(&engine.validity) else { return false };
        if staleness == Staleness::StaleOnly || !old.is_fresh(&engine.validity) {
            self.counters().served_stale.one();
            self.answered(CallResult::Stale);
        }
        old.note_hit(&engine.validity);
        self.target.tell_of_hit(old);
        true
    }

    /// Any use of an entry counts; see [`report`](Self::report). It is the answer, and is of memory unless a backend had it.
    pub(crate) fn report_old(&self, old: &CachedEntry) {
        let source = if self.memory.old_seen.is_some() { Source::Backend } else { Source::Memory };
        self.report_answer(source, old);
    }

    /// The same of an entry whose source is known.
    pub(crate) fn report_answer(&self, source: Source, old: &CachedEntry) {
        self.note(source, &old.meta);
        self.report(old.meta.dependencies(), old.meta.is_uncached(), old.trust_deadline(&self.engine().validity));
    }

    /// The tags that the function's options name.
    pub(super) fn named_tags(&mut self) -> Vec<NamedTag> {
        let tags =
            if self.request.may_detach() { self.options.tags.clone() } else { std::mem::take(&mut self.options.tags) };
        tags.carried_in(self.target.scope.name())
    }
}

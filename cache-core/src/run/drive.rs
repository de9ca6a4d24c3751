//! Drives a call through the stages, without its types: compiled once, here, and not for every function.
//!
//! A [`Drive`] goes on by itself until it needs the function's own code, the body or an answer in its types, and then returns
//! a [`Step`]. It owns everything it waits for, so that a sync function can drive it on its own thread, and
//! an async one from within a small future.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Task, Poll};
use std::time::Duration;

use super::store_decision::{Judge, Verdict};
use crate::backend::{BootInstant, Lifetimes};
use crate::context::observer::Source;
use crate::context::{self, Context, Mode};
use crate::entry::policy::Staleness;
use crate::entry::{CachedEntry, Meta};
use crate::memory::DeferredDrops;
use crate::rt::timer::with_timeout;
use crate::run::backend_hit::{Found, entry};
use crate::run::call::{Answer, Call};
use crate::run::fallback::NoteAtPanic;
use crate::run::join::{Awaited, Joined};
use crate::run::one_run::Run;
use crate::run::store::Storing;
use crate::stats::kinds::{CallResult, RunOutcome, StoreOutcome};
use crate::util::caught::caught;
use crate::util::polled::polled_after_completion;

/// What is to be done outside.
pub(crate) enum Step {
    /// Return this value. If its `Clone` panics, [`bypass`](Drive::bypass) and go on.
    Value(Arc<CachedEntry>),
    /// Return this failure, which another call's run had. The same.
    Failure(Arc<dyn Any + Send + Sync>),
    /// Have the body go on, [in its context](Drive::in_body).
    Body,
    /// Serve this old value: a run is due, and nobody is at it.
    Due(Arc<CachedEntry>),
    /// Wait for this run or not: there is an old value.
    Slow(Box<Run>),
}

/// See the module. Dropping it on the way hands the key over; [`abandon`](Drive::abandon) says what goes first.
pub(crate) struct Drive {
    state: State,
}

enum State {
    /// Not begun, or begun by another one that leads its flight already.
    Begin(Box<Call>, Option<Box<Run>>),
    /// Boxed, as most calls don't wait.
    Waiting(Pin<Box<dyn Future<Output = Waited> + Send>>),
    Body(Box<Call>, InBody),
    /// The body has returned.
    Ran(Box<Call>, Box<Run>, Option<Lifetimes>),
    Over,
}

struct InBody {
    run: Box<Run>,
    context: Arc<Context>,
    body_started: BootInstant,
}

/// What was waited for, with all that was needed meanwhile.
enum Waited {
    ForAnother(Box<Call>, Answer),
    ForBackends(Box<Call>, Box<Run>, Option<Found>),
    /// For backends that may have an old value, while another one runs.
    ForOld(Box<Call>, Box<Run>, Option<Found>, Awaited),
    /// The same, and the answer is there.
    ToStore(Box<Call>, Step),
}

impl Drive {
    pub(crate) fn new(call: Box<Call>, run: Option<Box<Run>>) -> Self {
        Self { state: State::Begin(call, run) }
    }

    /// Goes on until there is something to do outside.
    pub(crate) fn poll(&mut self, task: &mut Task<'_>, judge: &dyn Judge) -> Poll<Step> {
        loop {
            // Taken out, so that a panic on the way hands over.
            let step = match std::mem::replace(&mut self.state, State::Over) {
                State::Begin(call, Some(run)) if run.set_out() => self.begin(call, run),
                State::Begin(call, Some(run)) => {
                    drop(run);
                    self.state = State::Begin(call, None);
                    None
                }
                State::Begin(call, None) => match call.fallback_at_once() {
                    Some(old) => self.hand_out(call, Step::Value(old)),
                    None => match call.join() {
                        Ok(answer) => self.answered(call, answer),
                        Err(joined) => self.join(call, joined),
                    },
                },
                State::Waiting(mut waiting) => match waiting.as_mut().poll(task) {
                    Poll::Pending => {
                        self.state = State::Waiting(waiting);
                        return Poll::Pending;
                    }
                    Poll::Ready(Waited::ForAnother(call, answer)) => self.answered(call, answer),
                    Poll::Ready(Waited::ForOld(call, run, found, awaited)) => {
                        self.found_old(call, run, found, awaited, judge)
                    }
                    Poll::Ready(Waited::ForBackends(call, run, None)) => self.prepare(call, run),
                    Poll::Ready(Waited::ForBackends(call, run, Some(found))) => self.found(call, run, found, judge),
                    Poll::Ready(Waited::ToStore(call, step)) => self.hand_out(call, step),
                },
                body @ State::Body(..) => {
                    self.state = body;
                    Some(Step::Body)
                }
                State::Ran(..) | State::Over => polled_after_completion("a call of a cached function"),
            };
            if let Some(step) = step {
                return Poll::Ready(step);
            }
        }
    }

    fn wait(&mut self, waiting: impl Future<Output = Waited> + Send + 'static) -> Option<Step> {
        self.state = State::Waiting(Box::pin(waiting));
        None
    }

    /// The last step but what [`bypass`](Self::bypass) and [`take_call`](Self::take_call) need.
    fn hand_out(&mut self, call: Box<Call>, step: Step) -> Option<Step> {
        self.state = State::Begin(call, None);
        Some(step)
    }

    fn wait_for(&mut self, mut call: Box<Call>, awaited: Awaited) -> Option<Step> {
        self.wait(async move {
            let answer = call.answer_after(awaited).await;
            Waited::ForAnother(call, answer)
        })
    }

    /// Memory has no old value, or the run would not be in the background for this call; a backend may.
    fn join(&mut self, mut call: Box<Call>, Joined { awaited, in_background }: Joined) -> Option<Step> {
        let timeout = call.options.policy.timeout;
        let may_have_old =
            call.request.may_detach() && call.request.mode == Mode::Cached && (in_background || timeout.is_some());
        if !may_have_old || call.engine().backends.is_empty() {
            return self.wait_for(call, awaited);
        }
        self.wait(async move {
            if in_background {
                let mut run = Box::new(Run::new(&call, None));
                let found = run.read_backends(&call, false).await;
                if found.is_some() || timeout.is_none() {
                    return Waited::ForOld(call, run, found, awaited);
                }
            }
            let timeout = timeout.unwrap_or(Duration::MAX);
            match with_timeout(call.answer_after(awaited.clone()), timeout).await {
                Some(answer) => Waited::ForAnother(call, answer),
                None => {
                    let mut run = Box::new(Run::new(&call, None));
                    let found = run.read_backends(&call, true).await;
                    Waited::ForOld(call, run, found, awaited)
                }
            }
        })
    }

    fn found_old(
        &mut self,
        call: Box<Call>,
        mut run: Box<Run>,
        found: Option<Found>,
        awaited: Awaited,
        judge: &dyn Judge,
    ) -> Option<Step> {
        let entry = found.and_then(|found| entry(&call, &mut run, &found, judge));
        match entry.filter(|entry| call.can_serve(entry)) {
            Some(entry) => {
                call.counters().backend_hits.one();
                call.answered(CallResult::Backend);
                call.report_answer(Source::Backend, &entry);
                self.hand_out(call, Step::Value(entry))
            }
            None => self.wait_for(call, awaited),
        }
    }

    /// A run to be led by this call, or an answer that another one gave.
    fn answered(&mut self, call: Box<Call>, answer: Answer) -> Option<Step> {
        match answer {
            Answer::Lead(run) => self.begin(call, run),
            Answer::Value(entry) => self.hand_out(call, Step::Value(entry)),
            Answer::Failure(shared) => {
                let step = match call.fallback() {
                    Some(old) => {
                        call.answered(CallResult::Memory);
                        call.report_old(&old);
                        Step::Value(old)
                    }
                    None => Step::Failure(shared),
                };
                self.hand_out(call, step)
            }
        }
    }

    fn begin(&mut self, call: Box<Call>, mut run: Box<Run>) -> Option<Step> {
        if run.begin(&call) { self.ask(call, run) } else { self.prepare(call, run) }
    }

    fn ask(&mut self, mut call: Box<Call>, mut run: Box<Run>) -> Option<Step> {
        self.wait(async move {
            let found = run.ask_backends(&mut call).await;
            Waited::ForBackends(call, run, found)
        })
    }

    /// A backend knows something.
    fn found(&mut self, mut call: Box<Call>, mut run: Box<Run>, found: Found, judge: &dyn Judge) -> Option<Step> {
        let staleness = found.staleness;
        let Some(entry) = entry(&call, &mut run, &found, judge) else { return self.ask(call, run) };
        call.memory.old_seen = Some(found.seen);
        if staleness == Staleness::StaleOnly {
            run.pass_over(&call, &found);
            call.memory.old = Some(entry);
            if let Some(old) = call.fallback_at_once() {
                run.yield_to_old(&call, &old);
                return self.hand_out(call, Step::Value(old));
            }
            if call.request.may_detach() && call.options.policy.timeout.is_some() {
                return self.hand_out(call, Step::Slow(run));
            }
            return self.ask(call, run);
        }
        let storing = run.adopt(&call, found, &entry);
        let step = if staleness == Staleness::RefreshDue && call.request.may_detach() {
            Step::Due(entry)
        } else {
            Step::Value(entry)
        };
        match storing {
            Some(storing) => self.store(call, storing, step),
            None => self.hand_out(call, step),
        }
    }

    fn prepare(&mut self, mut call: Box<Call>, mut run: Box<Run>) -> Option<Step> {
        run.prepare(&mut call);
        let context = run.begin_body(&call);
        self.state = State::Body(call, InBody { run, context, body_started: BootInstant::now() });
        Some(Step::Body)
    }

    /// Lets the body go on, which says whether it is done, in the context that collects what it depends on. There `end` says
    /// what is to become of its result: the function's code that is asked for it is a part of the run.
    pub(crate) fn in_body(&mut self, poll: &mut dyn FnMut() -> bool, end: &mut dyn FnMut(&mut Self)) {
        let State::Body(call, body) = std::mem::replace(&mut self.state, State::Over) else { return };
        let context = Arc::clone(&body.context);
        // Dropped outside of the run's context, once its flight has landed.
        let mut deferred = None;
        let span = call.span.clone();
        let work = || {
            // A panic drops the run on its way, also when the future itself is kept.
            let panics = NoteAtPanic::new(&call);
            let done = poll();
            panics.returned();
            if done {
                let (mut run, ended) = (body.run, BootInstant::now());
                call.body_took(ended.saturating_duration_since(body.body_started));
                run.body_ended = Some(ended);
                self.state = State::Ran(call, run, None);
                deferred = Some(DeferredDrops::new());
                end(self);
            } else {
                self.state = State::Body(call, body);
            }
        };
        context::within_sync(Some(context), || span.within(work));
    }

    /// Goes no further. A body that has begun is dropped as a part of the run: what it calls then doesn't wait for the run,
    /// and who takes over begins when it is gone. One that hasn't is dropped when nobody waits for it any more.
    pub(crate) fn abandon(&mut self, drop_body: &mut dyn FnMut()) {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Body(call, mut body) => {
                context::within_sync(Some(Arc::clone(&body.context)), drop_body);
                body.run.cancel();
                drop((body, call));
            }
            before => {
                drop(before);
                drop_body();
            }
        }
    }

    /// What the function's options say of a result, before it is seen.
    pub(crate) fn verdict(&self) -> Verdict {
        match &self.state {
            State::Ran(call, ..) => call.options.verdict(),
            _ => Verdict::default(),
        }
    }

    /// The body has returned what can be stored. `None` can't be.
    pub(crate) fn conclude(&mut self, verdict: Verdict) -> Option<Meta> {
        let State::Ran(call, run, keep) = &mut self.state else { return None };
        call.run_ends(RunOutcome::Returned);
        call.stores(StoreOutcome::NotCacheable);
        let conclusion = run.conclude(call, verdict);
        *keep = conclusion.keep;
        Some(conclusion.meta)
    }

    /// The same, as an entry.
    pub(crate) fn publish(&mut self, entry: Arc<CachedEntry>) {
        let State::Ran(call, run, keep) = std::mem::replace(&mut self.state, State::Over) else { return };
        if let Some(storing) = run.publish(&call, &entry, keep) {
            self.store(call, storing, Step::Value(entry));
        }
    }

    /// The body has returned what can be stored, but not be cloned. The run ends without an answer for others.
    pub(crate) fn give_up(&mut self) {
        if let State::Ran(call, run, _) = std::mem::replace(&mut self.state, State::Over) {
            let leads = run.leads();
            run.end_unshared();
            if leads {
                call.clone_panicked();
            }
        }
    }

    fn store(&mut self, call: Box<Call>, storing: Storing, step: Step) -> Option<Step> {
        self.wait(async move {
            // Counted: the call has its answer.
            let _ = storing.finish(&call).await;
            Waited::ToStore(call, step)
        })
    }

    /// The caller has its answer.
    pub(crate) fn finish(&mut self) {
        self.state = State::Over;
    }

    /// Whether nothing is left to do.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// The body has returned what can't. `shared` is a form of it for those who waited. What comes back is to be
    /// returned instead.
    pub(crate) fn fail(&mut self, shared: &dyn Fn() -> Option<Arc<dyn Any + Send + Sync>>) -> Option<Arc<CachedEntry>> {
        let State::Ran(mut call, run, _) = std::mem::replace(&mut self.state, State::Over) else { return None };
        call.run_ends(RunOutcome::Failed);
        call.note_failure();
        let old = call.fallback();
        match &old {
            Some(old) => {
                call.answered(CallResult::Memory);
                run.fall_back(&call, old);
            }
            None => run.fail(&mut call, caught(shared).flatten()),
        }
        old
    }

    /// From here on the body runs, whatever the cache says: what it said can't be cloned.
    pub(crate) fn bypass(&mut self) {
        if let State::Begin(call, None) = &mut self.state {
            call.clone_panicked();
            call.unanswered();
            call.request.mode = Mode::Bypassed;
        }
    }

    /// The call, if it was left to someone else.
    pub(crate) fn take_call(&mut self) -> Option<Box<Call>> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Begin(call, None) => Some(call),
            _ => None,
        }
    }
}

/// Polls on the calling thread until it is ready.
pub(crate) fn block_on(poll: &mut dyn FnMut(&mut Task<'_>) -> Poll<()>) {
    crate::rt::block_on::block_on(poll_fn(poll));
}

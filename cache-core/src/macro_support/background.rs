//! Calls of functions whose runs may go on without their callers: `stale_while_revalidate`, `refresh_ahead` and
//! `timeout`.
//!
//! # Invariants
//!
//! 1. Who starts a background run leads the key's flight first, and the run takes the flight along: so there is one, and
//!    when it is dropped with its runtime, who waits for it takes over.
//! 2. A background run goes down the same path as any other, so it takes the lease and its own stamp.
//! 3. After one that failed the next is not begun at once: see `refresh_backoff`.
//! 4. It has the context that the cache's user captured when it was begun, and nothing else of the caller's thread or task. If
//!    that can't be had, there is no such run.
//! 5. A panic in it reaches no caller who has an old value.
//! 6. It reports to no run. A caller who waits for it has it report to a frame between, and takes over what is there
//!    only if it takes the answer too.

use std::future::{Future, poll_fn};
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Task, Poll};
use std::time::{Duration, Instant};

use super::call::{Call, Driven, poll_to_end, value};
use super::claim::{Claim, claim};
use super::shape::{Shape, Types};
use super::shared_work::{Ended, Job, Shared};
use super::work::{Body, Work};
use crate::context::Context;
use crate::context::abandoned::Unfinished;
use crate::context::observer::Observer;
use crate::context::run_frame::Frame;
use crate::engine::outcome::RunResult;
use crate::entry::CachedEntry;
use crate::entry::policy::Staleness;
use crate::rt::background_pool;
use crate::rt::block_on::block_on;
use crate::rt::timer::with_timeout;
use crate::run::call::{self, Origin};
use crate::run::drive::Drive;
use crate::run::join::{Awaited, Waited};
use crate::run::one_run::Run;
use crate::run::store_decision::{Judged, Unjudged, Verdict};
use crate::run::tally::Heard;
use crate::stats::kinds::CallResult;
use crate::util::caught::caught;
use crate::util::polled::polled_after_completion;

pub(super) type BoxFuture<R> = Pin<Box<dyn Future<Output = R> + Send>>;

/// Work on its way down the read path.
pub(super) struct Driver<S: Types> {
    /// `None` once it is dropped or taken over.
    work: Option<Work<S>>,
    drive: Drive,
    shape: S,
}

impl<S: Types> Drop for Driver<S> {
    fn drop(&mut self) {
        let work = &mut self.work;
        self.drive.abandon(&mut || drop(work.take()));
    }
}

impl<S: Shape> Driver<S> {
    fn new(call: Box<call::Call>, run: Option<Box<Run>>, shape: S, work: Work<S>) -> Self {
        Self { work: Some(work), drive: Drive::new(call, run), shape }
    }

    /// Goes on until something may be left to others.
    fn poll_in(&mut self, task: &mut Task<'_>) -> Poll<Driven<S>> {
        let Some(work) = &mut self.work else { polled_after_completion("a background run") };
        let body: Pin<&mut Body<_>> = Pin::new(&mut work.body);
        self.drive.poll_in(self.shape, task, body, &*work.judge)
    }

    /// Goes on to the end.
    pub(super) fn poll(&mut self, task: &mut Task<'_>) -> Poll<S::Return> {
        let Some(work) = &mut self.work else { polled_after_completion("a background run") };
        let body: Pin<&mut Body<_>> = Pin::new(&mut work.body);
        poll_to_end(&mut self.drive, self.shape, task, body, &*work.judge)
    }

    async fn end(mut self) -> S::Return {
        poll_fn(|task| self.poll(task)).await
    }
}

impl<S: Shape> Call<S>
where
    S::Return: Send + 'static,
{
    /// [`run`](Call::run) for a function whose runs may go on without the caller: what it is made of owns what it needs.
    ///
    /// # Panics
    /// If the body panics while the caller waits for it.
    ///
    /// # Cancel safety
    /// As [`run`](Call::run); a run that was started in the background goes on.
    pub fn run_owned<F, B>(self, body: B) -> BoxFuture<S::Return>
    where
        F: Future<Output = S::Return> + Send + 'static,
        B: FnOnce() -> Pin<Box<F>> + Send + 'static,
    {
        Box::pin(self.run_where(false, Work { body: Body::from_async(body), judge: Box::new(Unjudged) }))
    }

    /// [`run_owned`](Self::run_owned) for a function whose options see the result.
    pub fn run_owned_judged<F, J, B>(self, judge: J, body: B) -> BoxFuture<S::Return>
    where
        F: Future<Output = S::Return> + Send + 'static,
        J: Fn(&S::Stored, &mut Verdict) + Send + 'static,
        B: FnOnce() -> Pin<Box<F>> + Send + 'static,
    {
        Box::pin(self.run_where(false, Work { body: Body::from_async(body), judge: Box::new(Judged::new(judge)) }))
    }

    /// [`run_owned`](Self::run_owned) for a sync function.
    pub fn run_owned_sync<B: FnOnce() -> S::Return + Send + 'static>(self, body: B) -> S::Return {
        block_on(self.run_where(true, Work { body: Body::from_sync(body), judge: Box::new(Unjudged) }))
    }

    /// [`run_owned_judged`](Self::run_owned_judged) for a sync function.
    pub fn run_owned_sync_judged<J, B>(self, judge: J, body: B) -> S::Return
    where
        J: Fn(&S::Stored, &mut Verdict) + Send + 'static,
        B: FnOnce() -> S::Return + Send + 'static,
    {
        let work = Work { body: Body::from_sync(body), judge: Box::new(Judged::new(judge)) };
        block_on(self.run_where(true, work))
    }

    async fn run_where(mut self, blocks: bool, work: Work<S>) -> S::Return {
        self.call.request.origin = Origin::Caller { may_detach: true };
        let staleness = self.call.memory.old.as_ref().and_then(|old| old.staleness(&self.call.engine().validity));
        match (self.call.memory.old.clone(), staleness) {
            (Some(old), Some(Staleness::Fresh | Staleness::RefreshDue)) => self.serve(old, true, blocks, work).await,
            // Boxed: few calls come here.
            (Some(_), Some(Staleness::StaleOnly)) if self.call.options.policy.timeout.is_some() => {
                if let Some(value) = self.call.fallback_at_once().and_then(|old| value::<S>(&old)) {
                    return value;
                }
                Box::pin(self.run_with_patience(None, blocks, work)).await
            }
            _ => {
                let Self { call, shape } = self;
                let mut driver = Driver::new(call, None, shape, work);
                let driven = poll_fn(|task| driver.poll_in(task)).await;
                let (work, call) = (driver.work.take(), driver.drive.take_call());
                match (driven, work, call) {
                    (Driven::Done(value), ..) => value,
                    (Driven::Due(old), Some(work), Some(call)) => {
                        Self { call, shape }.serve(old, false, blocks, work).await
                    }
                    (Driven::Slow(run), Some(work), Some(call)) => {
                        Box::pin(Self { call, shape }.run_with_patience(Some(run), blocks, work)).await
                    }
                    // Can't be; and if it were, the body would run.
                    (_, Some(work), None) => work.body.await,
                    (_, None, _) => polled_after_completion("a background run"),
                }
            }
        }
    }

    /// Serves the old value, and starts a run. `of_memory`: else it is a backend's, and counted.
    async fn serve(self, old: Arc<CachedEntry>, of_memory: bool, blocks: bool, work: Work<S>) -> S::Return {
        match self.old_value(&old) {
            Some(value) => {
                if of_memory {
                    self.call.answered_from_memory();
                }
                self.call.report_old(&old);
                if self.call.may_run_again(&old) {
                    self.start(old, blocks, work);
                }
                value
            }
            // Invalidated this very moment.
            None => self.run_to_end(work).await,
        }
    }

    async fn run_to_end(mut self, work: Work<S>) -> S::Return {
        self.call.request.origin = Origin::Caller { may_detach: false };
        Box::pin(Driver::new(self.call, None, self.shape, work).end()).await
    }

    /// Starts a run in the background, unless there is one.
    fn start(self, old: Arc<CachedEntry>, blocks: bool, mut work: Work<S>) {
        let Self { call, shape } = self;
        match call.captured() {
            Ok(around) => work.body.enter_by(around),
            // Without its context it might act for somebody else.
            Err(()) => return,
        }
        let mut background = Box::new(call.in_background(Context::default(), Origin::Background, None));
        background.memory.old = Some(old);
        let Claim::Lead(run) = claim(&mut background) else { return };
        background.counters().background.one();
        let driver = Driver::new(background, Some(run), shape, work);
        let job = Box::pin(async move {
            // Nobody waits for its result, and its failures are counted.
            let _ = driver.end().await;
        });
        // If there is no room for it, the old value serves until it can't any more.
        drop(background_pool::spawn(job, blocks));
    }

    /// Waits for a run in the background for as long as the `timeout` option says, if there is an old value then.
    async fn run_with_patience(self, run: Option<Box<Run>>, blocks: bool, work: Work<S>) -> S::Return {
        let wait_guard = self.call.guard_wait();
        let value = self.wait_with_work(run, blocks, work).await;
        wait_guard.disarm();
        value
    }

    async fn wait_with_work(mut self, run: Option<Box<Run>>, blocks: bool, mut work: Work<S>) -> S::Return {
        match self.call.captured() {
            Ok(around) => work.body.enter_by(around),
            Err(()) => {
                drop(run);
                // Without an old value the caller runs the body itself, in its own context.
                return match self.give_old() {
                    Some(value) => value,
                    None => self.run_to_end(work).await,
                };
            }
        }
        let (started, timeout) = (Instant::now(), self.call.options.policy.timeout.unwrap_or(Duration::MAX));
        let left = || timeout.saturating_sub(started.elapsed());
        // Between the run and the caller's own, so that a caller who gave up waiting doesn't depend on it.
        let frame = self.call.parent().map(|parent| {
            Arc::new(Frame::new(self.call.engine().id, None, Some(parent), Some(self.call.target.scope.clone())))
        });
        // However it ends, unless the old value is the answer.
        let _unfinished = frame.as_deref().map(Unfinished);
        // Likewise between the run and who observes the caller.
        let observer = self.call.request.observer().map(|_| Arc::new(Observer::apart()));
        let told = Context { frame: frame.clone(), observer: observer.clone(), ..Context::default() };
        let heard = Arc::<Heard>::default();
        let origin = Origin::AwaitedBackground;
        let mut background = Box::new(self.call.in_background(told, origin, Some(Arc::clone(&heard))));
        let mut claimed = run.map_or_else(|| claim(&mut background), Claim::Lead);
        let run = loop {
            match claimed {
                Claim::Lead(run) => break run,
                Claim::Answered(entry) => {
                    self.call.memory.old = None;
                    self.call.answered_from_memory();
                    self.call.report_old(&entry);
                    return match value::<S>(&entry) {
                        Some(value) => value,
                        None => self.run_to_end(work).await,
                    };
                }
                Claim::Flying(awaited) => {
                    if let Some(value) = self.wait_with_patience(&awaited, left()).await {
                        return value;
                    }
                    if !self.has_old() {
                        return self.run_to_end(work).await;
                    }
                    // That run came to nothing, or the call has waited enough. The next one may take too long as well.
                    background.waits = self.call.waits;
                    claimed = claim(&mut background);
                }
            }
        };
        background.counters().background.one();
        let shared = Arc::new(Shared::new(Driver::new(background, Some(run), self.shape, work)));
        let job = Box::pin(Job(Arc::clone(&shared)));
        let give_old = || {
            let value = self.give_old()?;
            frame.as_deref().map(Frame::close);
            Some(value)
        };
        if let Err(job) = background_pool::spawn(job, blocks) {
            // No room: a later call runs it, as nobody knows how long this one would have to.
            if let Some(value) = give_old() {
                return value;
            }
            job.await;
        }
        let ended = match with_timeout(shared.end(), left()).await {
            Some(ended) => ended,
            None => match give_old() {
                Some(value) => return value,
                None => {
                    shared.take_away();
                    shared.end().await
                }
            },
        };
        let value = match ended {
            Ended::Value(value) => {
                self.call.answered_as(&heard);
                value
            }
            Ended::Panic(panic) => match give_old() {
                Some(value) => {
                    let _ = caught(|| drop(panic));
                    return value;
                }
                None => resume_unwind(panic),
            },
            Ended::Left(driver) => match give_old() {
                Some(value) => return value,
                None => {
                    let value = driver.end().await;
                    self.call.answered_as(&heard);
                    value
                }
            },
        };
        if let (Some(observer), Some(of_run)) = (self.call.request.observer(), &observer) {
            observer.take_over(of_run);
        }
        value
    }

    /// Waits for someone else's run. `None`: the caller has to see for itself.
    async fn wait_with_patience(&mut self, awaited: &Awaited, timeout: Duration) -> Option<S::Return> {
        let left = self.call.wait_left();
        let waited = with_timeout(self.call.wait_for_run(awaited), timeout.min(left)).await;
        let old_for_error = || self.call.options.policy.stale_if_error.and_then(|_| self.give_old());
        match waited {
            None if left < timeout => None,
            None | Some(Waited::Circle) => {
                let value = self.give_old()?;
                self.call.answered_from_memory();
                Some(value)
            }
            Some(Waited::Unanswered) if self.call.waits.failed => old_for_error(),
            Some(Waited::Unanswered) => None,
            Some(Waited::Answered(RunResult::Value(entry))) => value::<S>(&entry),
            Some(Waited::Answered(RunResult::Failure { shared, .. })) => {
                old_for_error().or_else(|| self.shape.from_failure(&*shared))
            }
        }
    }

    fn has_old(&self) -> bool {
        self.call.memory.old.as_ref().is_some_and(|old| old.staleness(&self.call.engine().validity).is_some())
    }

    fn give_old(&self) -> Option<S::Return> {
        let old = self.call.memory.old.as_ref()?;
        let value = self.old_value(old)?;
        self.call.answered(CallResult::Memory);
        self.call.report_old(old);
        Some(value)
    }
}

/// An argument that is moved into a run.
pub fn owned<T: Send + 'static>(argument: T) -> T {
    argument
}

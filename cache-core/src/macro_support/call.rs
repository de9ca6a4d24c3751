//! The typed end of the pipeline: a call after a miss in memory.
//!
//! Generic code here is compiled in the user's crate: once per type of result, and [`Running::poll`] and the methods that make
//! a [`Running`] once per function. So it is kept small, and everything that doesn't need the types is in [`Drive`].

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::shape::{CanFail, Shape, Types};
use crate::cache::Cache;
use crate::entry::policy::Policy;
use crate::entry::{CachedEntry, EntryOf};
use crate::rt::deep_stack::with_room;
use crate::run::call;
use crate::run::drive::{Drive, Step, block_on};
use crate::run::one_run::Run;
use crate::run::store_decision::{Judge, Judged, Unjudged, Verdict};
use crate::tag::TagSet;
use crate::util::caught::caught;
use crate::util::polled::polled_after_completion;

/// A call that memory didn't answer.
pub struct Call<S> {
    pub(super) call: Box<call::Call>,
    pub(super) shape: S,
}

impl<S> fmt::Debug for Call<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("function", &self.call.target.function.descriptor.name()).finish_non_exhaustive()
    }
}

impl<S: Shape> Call<S> {
    pub(super) fn new(mut call: Box<call::Call>, shape: S) -> Self {
        call.options.shares_errors = S::SHARES_ERRORS;
        Self { call, shape }
    }

    /// The `tags` option.
    #[must_use]
    pub fn tags(mut self, add: impl FnOnce(&mut TagSet)) -> Self {
        add(&mut self.call.options.tags);
        self
    }

    /// The `tags` option, if it may call other cached functions: the run depends on these as well.
    #[must_use]
    pub fn computed_tags(mut self, add: impl FnOnce(&mut TagSet)) -> Self {
        let mut add = Some(add);
        self.call.add_tags(&mut |tags| add.take().into_iter().for_each(|add| add(tags)));
        self
    }

    /// The `ttl` option, if it has to be computed.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.call.options.ttl = Some(ttl);
        self
    }

    /// The `memory_ttl` option, if it has to be computed.
    #[must_use]
    pub fn memory_ttl(mut self, ttl: Duration) -> Self {
        self.call.options.memory_ttl = Some(ttl);
        self
    }

    /// The refresh options.
    #[must_use]
    pub fn policy(mut self, set: impl FnOnce(&mut Policy)) -> Self {
        set(&mut self.call.options.policy);
        self
    }

    /// What `stale_if_error` asks for.
    pub fn can_fail(&self)
    where
        S: CanFail,
    {
    }

    /// The second half of a cached function: waits for another call's run, takes a backend's answer, or runs the body.
    ///
    /// # Cancel safety
    /// When the future is dropped, one of those who wait for its run takes over.
    pub fn run<F: Future<Output = S::Return>>(self, body: Pin<Box<F>>) -> Running<S, Unjudged, F> {
        Running { body: Some(body), drive: Drive::new(self.call, None), judge: Unjudged, shape: self.shape }
    }

    /// [`run`](Self::run) for a function whose options see the result.
    pub fn run_judged<J, F>(self, judge: J, body: Pin<Box<F>>) -> Running<S, Judged<S::Stored, J>, F>
    where
        J: Fn(&S::Stored, &mut Verdict),
        F: Future<Output = S::Return>,
    {
        Running { body: Some(body), drive: Drive::new(self.call, None), judge: Judged::new(judge), shape: self.shape }
    }

    /// [`run`](Self::run) for a sync function, on the calling thread. The body is boxed, so that its code isn't where a hit
    /// has to go round it.
    #[cold]
    #[inline(never)]
    pub fn run_sync(self, body: Box<dyn FnOnce() -> S::Return + '_>) -> S::Return {
        run_on_thread(self, &Unjudged, body)
    }

    /// [`run_sync`](Self::run_sync) for a function whose options see the result.
    #[cold]
    #[inline(never)]
    pub fn run_sync_judged(
        self,
        judge: &dyn Fn(&S::Stored, &mut Verdict),
        body: Box<dyn FnOnce() -> S::Return + '_>,
    ) -> S::Return {
        run_on_thread(self, &Judged::new(judge), body)
    }

    /// An old value, if it is still good for anything; counted.
    pub(super) fn old_value(&self, old: &CachedEntry) -> Option<S::Return> {
        value::<S>(old).filter(|_| self.call.can_serve(old))
    }
}

/// A caller's own copy of a stored value; `None` if its `Clone` panics.
pub(super) fn value<S: Shape>(entry: &CachedEntry) -> Option<S::Return> {
    entry.value.downcast_ref::<S::Stored>().and_then(|value| caught(|| S::wrap(value.clone())))
}

/// How far a call came.
pub(super) enum Driven<S: Types> {
    /// To its end.
    Done(S::Return),
    /// To an old value that answers it; a run is due, and nobody is at it.
    Due(Arc<CachedEntry>),
    /// To a run that may take longer than the caller waits.
    Slow(Box<Run>),
}

impl Drive {
    /// Goes on in the function's types.
    pub(super) fn poll_in<S: Shape>(
        &mut self,
        shape: S,
        task: &mut Context<'_>,
        mut body: Pin<&mut dyn Future<Output = S::Return>>,
        judge: &dyn Judge,
    ) -> Poll<Driven<S>> {
        loop {
            let Poll::Ready(step) = self.poll(task, judge) else { return Poll::Pending };
            let answer = match step {
                Step::Value(entry) => value::<S>(&entry),
                Step::Failure(shared) => caught(|| shape.from_failure(&*shared)).flatten(),
                Step::Due(entry) => return Poll::Ready(Driven::Due(entry)),
                Step::Slow(run) => return Poll::Ready(Driven::Slow(run)),
                Step::Body => {
                    let (output, mut answer) = (Cell::new(None), None);
                    let mut poll = || match body.as_mut().poll(task) {
                        Poll::Ready(value) => {
                            output.set(Some(value));
                            true
                        }
                        Poll::Pending => false,
                    };
                    let mut end =
                        |drive: &mut Self| answer = output.take().map(|output| drive.end(shape, output, judge));
                    self.in_body(&mut poll, &mut end);
                    let Some(answer) = answer else { return Poll::Pending };
                    if self.is_over() {
                        return Poll::Ready(Driven::Done(answer));
                    }
                    // It comes again when it is stored: it might not be `Send`.
                    continue;
                }
            };
            match answer {
                Some(answer) => {
                    self.finish();
                    return Poll::Ready(Driven::Done(answer));
                }
                None => self.bypass(),
            }
        }
    }

    /// The body has returned; what it returned is to be returned, or an old value instead. There may be more to do.
    fn end<S: Shape>(&mut self, shape: S, output: S::Return, judge: &dyn Judge) -> S::Return {
        let kept = match S::into_stored(output) {
            Ok(kept) => kept,
            Err(output) => {
                let old = self.fail(&|| shape.failure(&output));
                return old.and_then(|old| value::<S>(&old)).unwrap_or(output);
            }
        };
        let mut verdict = self.verdict();
        judge.judge(&kept, &mut verdict);
        if let Some(meta) = self.conclude(verdict) {
            match caught(|| kept.clone()) {
                Some(copy) => self.publish(EntryOf::erased(meta, copy)),
                None => self.give_up(),
            }
        }
        S::wrap(kept)
    }
}

/// The future of a call that memory didn't answer.
///
/// It holds the body in its own type, so that it can cross threads exactly if the body can; and boxed, so that it is small.
#[must_use = "futures do nothing unless they are awaited"]
pub struct Running<S, J, F> {
    /// `None` once it is dropped.
    body: Option<Pin<Box<F>>>,
    drive: Drive,
    judge: J,
    shape: S,
}

impl<S, J, F> fmt::Debug for Running<S, J, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").finish_non_exhaustive()
    }
}

// Nothing is pinned but what is boxed.
impl<S, J, F> Unpin for Running<S, J, F> {}

impl<S: Shape, J: Judge, F: Future<Output = S::Return>> Future for Running<S, J, F> {
    type Output = S::Return;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<S::Return> {
        let this = &mut *self;
        let Some(body) = &mut this.body else { polled_after_completion("a call of a cached function") };
        poll_to_end(&mut this.drive, this.shape, task, body.as_mut(), &this.judge)
    }
}

impl<S, J, F> Drop for Running<S, J, F> {
    fn drop(&mut self) {
        let body = &mut self.body;
        self.drive.abandon(&mut || drop(body.take()));
    }
}

/// Goes on to the end: nothing is handed over.
pub(super) fn poll_to_end<S: Shape>(
    drive: &mut Drive,
    shape: S,
    task: &mut Context<'_>,
    mut body: Pin<&mut dyn Future<Output = S::Return>>,
    judge: &dyn Judge,
) -> Poll<S::Return> {
    loop {
        match drive.poll_in(shape, task, body.as_mut(), judge) {
            Poll::Ready(Driven::Done(value)) => return Poll::Ready(value),
            // Can't be; and if it were, the body would run.
            Poll::Ready(Driven::Due(_) | Driven::Slow(_)) => drive.bypass(),
            Poll::Pending => return Poll::Pending,
        }
    }
}

/// The body of a sync function as a future, which is done when it is polled first.
struct AtOnce<'f, R>(Option<Box<dyn FnOnce() -> R + 'f>>);

impl<R> Future for AtOnce<'_, R> {
    type Output = R;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<R> {
        let Some(body) = self.0.take() else { polled_after_completion("a body") };
        Poll::Ready(with_room(body))
    }
}

fn run_on_thread<S: Shape>(call: Call<S>, judge: &dyn Judge, body: Box<dyn FnOnce() -> S::Return + '_>) -> S::Return {
    let mut drive = Drive::new(call.call, None);
    let mut body = AtOnce(Some(body));
    let mut output = None;
    loop {
        block_on(&mut |task| {
            let body: Pin<&mut AtOnce<'_, _>> = Pin::new(&mut body);
            match poll_to_end(&mut drive, call.shape, task, body, judge) {
                Poll::Ready(value) => output = Some(value),
                Poll::Pending => return Poll::Pending,
            }
            Poll::Ready(())
        });
        if let Some(output) = output {
            return output;
        }
    }
}

/// Calls the closure with the value. Written so that the closure's parameter type is inferred, and so that what it
/// returns may borrow from the value.
pub fn apply<'a, T: ?Sized, R>(f: impl FnOnce(&'a T) -> R, value: &'a T) -> R {
    f(value)
}

/// Stands for a value where one is never made.
///
/// # Panics
/// If it is called, which no expansion does.
#[allow(clippy::unreachable, reason = "only its type is needed")]
pub fn never<T>() -> T {
    unreachable!("only its type is needed")
}

/// The `cache` option: coerces what dereferences to a cache.
pub fn cache_ref(cache: &Cache) -> Option<&Cache> {
    Some(cache)
}

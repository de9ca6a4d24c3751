//! The body and the closures of a run that may outlive its caller.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context as Task, Poll};

use super::background::BoxFuture;
use super::shape::Types;
use crate::engine::Around;
use crate::run::store_decision::Judge;
use crate::util::polled::polled_after_completion;

/// What a run is made of that may outlive its caller. Its types are erased: boxes are cheap beside what it does, and
/// nothing here is compiled for each function.
pub(super) struct Work<S: Types> {
    pub(super) body: Body<S::Return>,
    pub(super) judge: Box<dyn Judge + Send>,
}

/// A body, made when it is first polled.
pub(super) struct Body<R> {
    state: State<R>,
    /// What is put around each poll.
    around: Option<Around>,
}

enum State<R> {
    Unmade(Option<Box<dyn FnOnce() -> BoxFuture<R> + Send>>),
    Made(BoxFuture<R>),
}

impl<R: Send + 'static> Body<R> {
    pub(super) fn from_async<F>(make: impl FnOnce() -> Pin<Box<F>> + Send + 'static) -> Self
    where
        F: Future<Output = R> + Send + 'static,
    {
        Self::unmade(Box::new(move || make()))
    }

    pub(super) fn from_sync(body: impl FnOnce() -> R + Send + 'static) -> Self {
        Self::unmade(Box::new(move || Box::pin(async move { body() })))
    }

    fn unmade(make: Box<dyn FnOnce() -> BoxFuture<R> + Send>) -> Self {
        Self { state: State::Unmade(Some(make)), around: None }
    }

    /// From now on this is put around each poll.
    pub(super) fn enter_by(&mut self, around: Option<Around>) {
        self.around = around;
    }
}

impl<R> Future for Body<R> {
    type Output = R;

    fn poll(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<R> {
        let Self { state, around } = &mut *self;
        let Some(around) = around else { return state.poll(task) };
        let mut polled = None;
        around(&mut || {
            if polled.is_none() {
                polled = Some(state.poll(task));
            }
        });
        polled.unwrap_or_else(|| not_entered())
    }
}

impl<R> State<R> {
    fn poll(&mut self, task: &mut Task<'_>) -> Poll<R> {
        if let Self::Unmade(make) = self
            && let Some(make) = make.take()
        {
            *self = Self::Made(make());
        }
        match self {
            Self::Made(body) => body.as_mut().poll(task),
            // Making it panicked.
            Self::Unmade(_) => polled_after_completion("a body"),
        }
    }
}

/// What is put around the body didn't call it. Then nobody ever would: the run ends as if the body had panicked.
#[cold]
fn not_entered() -> ! {
    std::panic::resume_unwind(Box::new("the `enter` of `Cache::builder().context(..)` didn't call what it was given"))
}

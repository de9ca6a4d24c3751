//! The body and the closures of a run that may outlive its caller.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context as Task, Poll};

use super::background::BoxFuture;
use super::shape::Types;
use crate::run::store_decision::Judge;
use crate::util::polled::polled_after_completion;

/// What a run is made of that may outlive its caller. Its types are erased: boxes are cheap beside what it does, and
/// nothing here is compiled for each function.
pub(super) struct Work<S: Types> {
    pub(super) body: Body<S::Return>,
    pub(super) judge: Box<dyn Judge + Send>,
}

/// A body, made when it is first polled.
pub(super) enum Body<R> {
    Unmade(Option<Box<dyn FnOnce() -> BoxFuture<R> + Send>>),
    Made(BoxFuture<R>),
}

impl<R: Send + 'static> Body<R> {
    pub(super) fn from_async<F>(make: impl FnOnce() -> Pin<Box<F>> + Send + 'static) -> Self
    where
        F: Future<Output = R> + Send + 'static,
    {
        Self::Unmade(Some(Box::new(move || make())))
    }

    pub(super) fn from_sync(body: impl FnOnce() -> R + Send + 'static) -> Self {
        Self::Unmade(Some(Box::new(move || Box::pin(async move { body() }))))
    }
}

impl<R> Future for Body<R> {
    type Output = R;

    fn poll(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<R> {
        if let Self::Unmade(make) = &mut *self
            && let Some(make) = make.take()
        {
            *self = Self::Made(make());
        }
        match &mut *self {
            Self::Made(body) => body.as_mut().poll(task),
            // Making it panicked.
            Self::Unmade(_) => polled_after_completion("a body"),
        }
    }
}

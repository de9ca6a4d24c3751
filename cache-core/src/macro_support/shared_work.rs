//! A background run that a caller waits for: if the runtime that polls it shuts down, the caller goes on with it.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context as Task, Poll, Waker};

use super::background::Driver;
use super::shape::{Shape, Types};
use crate::util::sync::lock;

/// Work that one is at and another waits for. Between two polls it lies here: so it isn't lost when the runtime that is at
/// it ends, but goes on with the one who waits.
pub(super) struct Shared<S: Types>(Mutex<State<S>>);

struct State<S: Types> {
    driver: Option<Box<Driver<S>>>,
    result: Option<std::thread::Result<S::Return>>,
    /// Nobody is at it any more, or who waits takes it away.
    left: bool,
    waiting: Option<Waker>,
}

/// How the wait for it ends.
pub(super) enum Ended<S: Types> {
    Value(S::Return),
    Panic(Box<dyn Any + Send>),
    /// It didn't.
    Left(Box<Driver<S>>),
}

impl<S: Shape> Shared<S> {
    pub(super) fn new(driver: Driver<S>) -> Self {
        Self(Mutex::new(State { driver: Some(Box::new(driver)), result: None, left: false, waiting: None }))
    }

    pub(super) async fn end(&self) -> Ended<S> {
        poll_fn(|task| {
            // Cloned and dropped outside the lock: a waker may run anything.
            let waker = task.waker().clone();
            let mut state = lock(&self.0);
            if let Some(result) = state.result.take() {
                return Poll::Ready(result.map_or_else(Ended::Panic, Ended::Value));
            }
            if state.left
                && let Some(driver) = state.driver.take()
            {
                return Poll::Ready(Ended::Left(driver));
            }
            let replaced = state.waiting.replace(waker);
            drop(state);
            drop(replaced);
            Poll::Pending
        })
        .await
    }
}

impl<S: Types> Shared<S> {
    /// Who waits goes on with it as soon as it isn't being polled: perhaps nobody ever polls it, as the one thread of its
    /// runtime waits here.
    pub(super) fn take_away(&self) {
        lock(&self.0).left = true;
    }

    fn change(&self, change: impl FnOnce(&mut State<S>)) {
        let mut state = lock(&self.0);
        change(&mut state);
        let waiting = state.waiting.take();
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }
}

/// Who is at it.
pub(super) struct Job<S: Types>(pub(super) Arc<Shared<S>>);

impl<S: Shape> Future for Job<S> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<()> {
        let Some(mut driver) = lock(&self.0.0).driver.take() else { return Poll::Ready(()) };
        let result = match catch_unwind(AssertUnwindSafe(|| driver.poll(task))) {
            Ok(Poll::Pending) => {
                // Who takes it away hears of it.
                let lie_down = |state: &mut State<S>| {
                    state.driver = Some(driver);
                    state.left.then(|| state.waiting.take()).flatten()
                };
                let waiting = lie_down(&mut lock(&self.0.0));
                waiting.into_iter().for_each(Waker::wake);
                return Poll::Pending;
            }
            Ok(Poll::Ready(value)) => Ok(value),
            Err(panic) => Err(panic),
        };
        // A panic there, in a destructor of the user's, is no reason to keep the result from who waits for it.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(driver)));
        self.0.change(|state| state.result = Some(result));
        Poll::Ready(())
    }
}

impl<S: Types> Drop for Job<S> {
    fn drop(&mut self) {
        self.0.change(|state| state.left = true);
    }
}

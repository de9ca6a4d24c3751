//! Wraps a backend so that its panics become errors: a fault of a backend must not fail a call, not even a panic. What it is
//! asked for is counted and timed here.

use std::any::Any;
use std::fmt;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::measured::{Measured, Operation};
use crate::backend::{
    Backend, BackendHold, BoxFuture, Busy, Entry, EntryKey, Lease, LeaseAnswer, LeaseRequest, ListenerHandle, Reading,
    Stamp, StoreAnswer, TagId,
};
use crate::codec::Codec;
use crate::error::{Error, ErrorKind};
use crate::stats::kinds::{BackendOperation, BackendOutcome};
use crate::util::caught::caught;

/// Around a backend that a user gave.
pub(crate) struct Shielded<B> {
    backend: B,
    measured: Arc<Measured>,
}

impl<B: Backend> Shielded<B> {
    /// The backend, and where its operations are counted.
    pub(crate) fn new(backend: B) -> (Self, Arc<Measured>) {
        let measured = Arc::new(Measured::new(caught(|| backend.name()).unwrap_or("backend")));
        (Self { backend, measured: Arc::clone(&measured) }, measured)
    }
}

impl<B: fmt::Debug> fmt::Debug for Shielded<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.backend.fmt(f)
    }
}

impl<B: Backend> Shielded<B> {
    fn guarded<'a, T: Send + 'a>(
        &'a self,
        operation: BackendOperation,
        start: impl FnOnce(&'a B) -> BoxFuture<'a, Result<T, Error>>,
    ) -> BoxFuture<'a, Result<T, Error>> {
        let mut operation = self.measured.begin(operation);
        match caught(|| start(&self.backend)) {
            Some(future) => Box::pin(Guarded {
                future: Some(future),
                panicked: || panicked(self.name()),
                operation: Some(operation),
            }),
            None => {
                operation.end(BackendOutcome::Error);
                Box::pin(ready(Err(panicked(self.name()))))
            }
        }
    }
}

fn panicked(backend: &str) -> Error {
    Error::new(ErrorKind::Unavailable, format!("the backend `{backend}` panicked"))
}

/// The same for what isn't counted as an operation.
fn guarded<'a, T: Send + 'a>(
    start: impl FnOnce() -> BoxFuture<'a, Result<T, Error>>,
    panicked: impl Fn() -> Error + Send + Unpin + 'a,
) -> BoxFuture<'a, Result<T, Error>> {
    match caught(start) {
        Some(future) => Box::pin(Guarded { future: Some(future), panicked, operation: None }),
        None => Box::pin(ready(Err(panicked()))),
    }
}

/// A future whose panic is an error, also when it is dropped.
struct Guarded<'a, T, E> {
    future: Option<BoxFuture<'a, Result<T, Error>>>,
    panicked: E,
    /// Of what is counted.
    operation: Option<Operation<'a>>,
}

impl<T, E: Fn() -> Error + Unpin> Future for Guarded<'_, T, E> {
    type Output = Result<T, Error>;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let Some(future) = &mut this.future else { return Poll::Pending };
        let polled = caught(|| future.as_mut().poll(task)).unwrap_or_else(|| Poll::Ready(Err((this.panicked)())));
        if let (Poll::Ready(result), Some(operation)) = (&polled, &mut this.operation) {
            operation.end(if result.is_ok() { BackendOutcome::Ok } else { BackendOutcome::Error });
        }
        polled
    }
}

impl<T, E> Drop for Guarded<'_, T, E> {
    fn drop(&mut self) {
        let future = self.future.take();
        let _ = caught(|| drop(future));
    }
}

impl<B: Backend> Backend for Shielded<B> {
    fn name(&self) -> &str {
        caught(|| self.backend.name()).unwrap_or("backend")
    }

    fn read<'a>(&'a self, key: &'a EntryKey) -> BoxFuture<'a, Result<Reading, Error>> {
        self.guarded(BackendOperation::Read, |backend| backend.read(key))
    }

    fn lease<'a>(&'a self, key: &'a EntryKey, request: LeaseRequest<'a>) -> BoxFuture<'a, Result<LeaseAnswer, Error>> {
        self.guarded(BackendOperation::Lease, |backend| {
            let asked = backend.lease(key, request);
            Box::pin(async move {
                Ok(match asked.await? {
                    LeaseAnswer::Granted(lease) => LeaseAnswer::Granted(Box::new(ShieldedLease::new(lease))),
                    other => other,
                })
            })
        })
    }

    fn wait<'a>(&'a self, key: &'a EntryKey, busy: Busy) -> BoxFuture<'a, Result<(), Error>> {
        self.guarded(BackendOperation::Wait, |backend| backend.wait(key, busy))
    }

    fn store<'a>(
        &'a self,
        key: &'a EntryKey,
        lease: Box<dyn Lease>,
        entry: Entry,
    ) -> BoxFuture<'a, Result<StoreAnswer, Error>> {
        let lease = lease.into_any().downcast::<ShieldedLease>().ok().and_then(|mut shielded| shielded.lease.take());
        match lease {
            Some(lease) => self.guarded(BackendOperation::Store, |backend| backend.store(key, lease, entry)),
            // Can't be: it has granted all that it is given.
            None => Box::pin(ready(Ok(StoreAnswer::LeaseLost))),
        }
    }

    fn prolongs(&self) -> bool {
        caught(|| self.backend.prolongs()).unwrap_or(false)
    }

    fn touch(&self, key: &EntryKey, idle: Duration) {
        let _ = caught(|| self.backend.touch(key, idle));
    }

    fn invalidate<'a>(&'a self, tags: &'a [TagId]) -> BoxFuture<'a, Result<Stamp, Error>> {
        self.guarded(BackendOperation::Invalidate, |backend| backend.invalidate(tags))
    }

    fn hold(&self, tags: &[TagId]) -> Option<Box<dyn BackendHold>> {
        let hold = caught(|| self.backend.hold(tags)).flatten()?;
        Some(Box::new(ShieldedHold { hold: Some(hold), backend: self.name().into() }))
    }

    fn known_stamp(&self) -> Option<Stamp> {
        caught(|| self.backend.known_stamp()).flatten()
    }

    fn identity(&self) -> String {
        caught(|| self.backend.identity()).unwrap_or_default()
    }

    fn catch_up(&self, stamp: Stamp) -> BoxFuture<'_, Result<bool, Error>> {
        guarded(|| self.backend.catch_up(stamp), || panicked(self.name()))
    }

    // What it says when a cache is made is heard by whoever makes it.

    fn attach(&self, listener: ListenerHandle) {
        self.backend.attach(listener);
    }

    fn max_staleness(&self) -> Option<Duration> {
        self.backend.max_staleness()
    }

    fn codec(&self) -> Option<Arc<dyn Codec>> {
        self.backend.codec()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        let close = || {
            let close = self.backend.close();
            let close: BoxFuture<'_, Result<(), Error>> = Box::pin(async move {
                close.await;
                Ok(())
            });
            close
        };
        let close = guarded(close, || panicked(self.name()));
        Box::pin(async move { close.await.unwrap_or_default() })
    }
}

/// A lease of such a backend. What it says is asked for at once, within the future that is guarded.
#[derive(Debug)]
struct ShieldedLease {
    lease: Option<Box<dyn Lease>>,
    stamp: Stamp,
    holder: Option<Vec<u8>>,
    follows_unstored: bool,
}

impl ShieldedLease {
    fn new(lease: Box<dyn Lease>) -> Self {
        let (stamp, holder) = (lease.stamp(), lease.holder().map(<[u8]>::to_vec));
        let follows_unstored = lease.follows_unstored();
        Self { lease: Some(lease), stamp, holder, follows_unstored }
    }
}

impl Lease for ShieldedLease {
    fn stamp(&self) -> Stamp {
        self.stamp
    }

    fn holder(&self) -> Option<&[u8]> {
        self.holder.as_deref()
    }

    fn give_up(&self) -> bool {
        self.lease.as_ref().and_then(|lease| caught(|| lease.give_up())).unwrap_or(false)
    }

    fn ended_unstored(mut self: Box<Self>) {
        let lease = self.lease.take();
        let _ = caught(|| lease.map(Lease::ended_unstored));
    }

    fn follows_unstored(&self) -> bool {
        self.follows_unstored
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send + Sync> {
        self
    }
}

impl Drop for ShieldedLease {
    fn drop(&mut self) {
        let lease = self.lease.take();
        let _ = caught(|| drop(lease));
    }
}

/// A hold of such a backend.
#[derive(Debug)]
struct ShieldedHold {
    /// `None` once it has ended or was left.
    hold: Option<Box<dyn BackendHold>>,
    backend: Box<str>,
}

impl ShieldedHold {
    fn last(
        mut self,
        what: impl FnOnce(Box<dyn BackendHold>) -> BoxFuture<'static, Result<(), Error>>,
    ) -> BoxFuture<'static, Result<(), Error>> {
        let backend = std::mem::take(&mut self.backend);
        match self.hold.take() {
            Some(hold) => guarded(|| what(hold), move || panicked(&backend)),
            None => Box::pin(ready(Ok(()))),
        }
    }
}

impl BackendHold for ShieldedHold {
    fn placed(&self) -> BoxFuture<'_, Result<(), Error>> {
        match &self.hold {
            Some(hold) => guarded(|| hold.placed(), || panicked(&self.backend)),
            None => Box::pin(ready(Ok(()))),
        }
    }

    fn lost(&self) -> BoxFuture<'static, ()> {
        let lost = self.hold.as_ref().and_then(|hold| caught(|| hold.lost()));
        // A panic says that it is lost: nobody renews it any more.
        let Some(lost) = lost else { return Box::pin(ready(())) };
        let told = guarded(
            || {
                Box::pin(async move {
                    lost.await;
                    Ok(())
                })
            },
            || Error::new(ErrorKind::Unavailable, String::new()),
        );
        Box::pin(async move { told.await.unwrap_or_default() })
    }

    fn end(self: Box<Self>) -> BoxFuture<'static, Result<(), Error>> {
        (*self).last(|hold| hold.end())
    }

    fn leave(self: Box<Self>) -> BoxFuture<'static, Result<(), Error>> {
        (*self).last(|hold| hold.leave())
    }
}

impl Drop for ShieldedHold {
    fn drop(&mut self) {
        let hold = self.hold.take();
        let _ = caught(|| drop(hold));
    }
}

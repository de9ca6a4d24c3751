//! The typed ends of the read path: what a call does that the look into memory didn't answer.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::shape::{CanFail, Shape, Types};
use super::verdict::Verdict;
use crate::cache::Cache;
use crate::context::Mode;
use crate::policy::{Age, Policy};
use crate::read_path::{self, Answer, Found, Run};
use crate::stored::{Stored, StoredValue};
use crate::tag::TagSet;

/// A call that memory didn't answer.
pub struct Call<S> {
    pub(super) call: Box<read_path::Call>,
    pub(super) shape: S,
}

impl<S> fmt::Debug for Call<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("function", &self.call.function.site.name()).finish_non_exhaustive()
    }
}

/// How far a call came.
pub(super) enum Driven<S: Types, J, B> {
    /// To its end.
    Done(S::Return),
    /// To an old value that answers it; a run is due, and nobody is at it.
    Due(Arc<Stored>, J, B),
    /// To a run that may take longer than the caller waits.
    Slow(Box<Run>, J, B),
}

impl<S: Shape> Call<S> {
    pub(super) fn new(call: Box<read_path::Call>, shape: S) -> Self {
        Self { call, shape }
    }

    /// The `tags` option.
    #[must_use]
    pub fn tags(mut self, add: impl FnOnce(&mut TagSet)) -> Self {
        add(&mut self.call.tags);
        self
    }

    /// The refresh options.
    #[must_use]
    pub fn policy(mut self, set: impl FnOnce(&mut Policy)) -> Self {
        set(&mut self.call.policy);
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
    pub async fn run<F: Future<Output = S::Return>>(
        mut self,
        judge: impl Fn(&S::Stored, &mut Verdict),
        body: Pin<Box<F>>,
    ) -> S::Return {
        // In a statement of its own: what can't cross threads isn't held across an await.
        let body = match self.drive(None, judge, move || body).await {
            Driven::Done(value) => return value,
            // Can't be, as nothing is handed over; and if it were, the body would run.
            Driven::Due(_, _, body) | Driven::Slow(_, _, body) => body,
        };
        body().await
    }

    /// [`run`](Self::run) for a sync function, on the calling thread.
    pub fn run_sync(self, judge: impl Fn(&S::Stored, &mut Verdict), body: impl FnOnce() -> S::Return) -> S::Return {
        pollster::block_on(self.run(judge, Box::pin(async move { body() })))
    }

    /// Goes down the read path, from its start or from where a run stands.
    pub(super) async fn drive<F, J, B>(&mut self, run: Option<Box<Run>>, judge: J, body: B) -> Driven<S, J, B>
    where
        F: Future<Output = S::Return>,
        J: Fn(&S::Stored, &mut Verdict),
        B: FnOnce() -> Pin<Box<F>>,
    {
        let mut run = match run {
            Some(run) => run,
            None => match self.answer().await {
                Ok(run) => run,
                Err(answer) => return Driven::Done(answer),
            },
        };
        if run.begin(&mut self.call) {
            // What has to do with backends is boxed: most calls don't, and their futures should be small.
            while let Some(found) = Box::pin(run.ask_backends(&self.call)).await {
                let age = found.age(&self.call);
                let Some(value) = self.decode(&mut run, &found) else { continue };
                let mut verdict = Verdict::default();
                judge(&value, &mut verdict);
                let meta = found.meta(&run, &self.call, &verdict);
                let entry = StoredValue::erased(meta, value.clone());
                if age == Some(Age::Fallback) {
                    run.pass_over(&found);
                    self.call.old = Some(entry);
                    if self.call.hands_over && self.call.policy.timeout.is_some() {
                        return Driven::Slow(run, judge, body);
                    }
                    continue;
                }
                if let Some(storing) = run.take_over(&self.call, found, &entry) {
                    // Counted: the call has its answer.
                    let _ = Box::pin(storing.finish(&self.call)).await;
                }
                if age == Some(Age::Due) && self.call.hands_over {
                    return Driven::Due(entry, judge, body);
                }
                return Driven::Done(S::wrap(value));
            }
        }
        run.prepare(&self.call);
        let output = run.body(&self.call, body()).await;
        // In a statement of its own: what can't cross threads may be returned as an `Err`, but not held across an await.
        let value = match S::into_stored(output) {
            Ok(value) => value,
            Err(output) => {
                if let Some((old, value)) = self.fallback() {
                    run.fall_back(&self.call, &old);
                    return Driven::Done(value);
                }
                run.fail(&self.call, self.shape.failure(&output));
                return Driven::Done(output);
            }
        };
        let mut verdict = Verdict::default();
        judge(&value, &mut verdict);
        let conclusion = run.conclude(&self.call, verdict);
        let entry = StoredValue::erased(conclusion.meta, value.clone());
        if let Some(storing) = run.land(&self.call, &entry, conclusion.keep) {
            let _ = Box::pin(storing.finish(&self.call)).await;
        }
        Driven::Done(S::wrap(value))
    }

    /// A run to be led by this call, or an answer that another one gave.
    async fn answer(&mut self) -> Result<Box<Run>, S::Return> {
        loop {
            match self.call.answer().await {
                Answer::Lead(run) => return Ok(run),
                Answer::Value(entry) => match entry.value.downcast_ref::<S::Stored>() {
                    Some(value) => return Err(S::wrap(value.clone())),
                    // Can't be; and if it were, the body would run.
                    None => self.call.mode = Mode::Bypassed,
                },
                Answer::Failure(shared) => match self.shared_failure(&*shared) {
                    Some(answer) => return Err(answer),
                    None => self.call.mode = Mode::Bypassed,
                },
            }
        }
    }

    /// What becomes of a call that waited for a run that failed.
    pub(super) fn shared_failure(&self, shared: &(dyn Any + Send + Sync)) -> Option<S::Return> {
        if let Some((old, value)) = self.fallback() {
            self.call.report_old(&old);
            return Some(value);
        }
        self.shape.from_failure(shared)
    }

    /// The old value for a run that failed, if it is still good for that; counted.
    fn fallback(&self) -> Option<(Arc<Stored>, S::Return)> {
        let old = self.call.old.as_ref().filter(|_| self.call.policy.stale_if_error.is_some())?;
        let value = self.old_value(old)?;
        Some((Arc::clone(old), value))
    }

    /// An old value, if it is still good for anything; counted.
    pub(super) fn old_value(&self, old: &Stored) -> Option<S::Return> {
        let age = old.age(&self.call.function.engine)?;
        let value = old.value.downcast_ref::<S::Stored>()?;
        if age == Age::Fallback || !old.is_fresh(&self.call.function.engine) {
            self.call.function.counters.served_stale.one();
        }
        Some(S::wrap(value.clone()))
    }

    pub(super) fn decode(&self, run: &mut Run, found: &Found) -> Option<S::Stored> {
        let codec = self.call.function.engine.codec.as_deref()?;
        let bytes = run.open(&self.call, found, codec)?;
        let decoded = self.call.codec.and_then(|value| (value.decode)(bytes, codec).ok());
        match decoded.and_then(|value| value.downcast::<S::Stored>().ok()) {
            Some(value) => Some(*value),
            None => {
                run.reject(&self.call, found);
                None
            }
        }
    }
}

/// Calls the closure with the value. Written so that the closure's parameter type is inferred, and so that what it
/// returns may borrow from the value.
pub fn apply<'a, T: ?Sized, R>(f: impl FnOnce(&'a T) -> R, value: &'a T) -> R {
    f(value)
}

/// The `cache` option: coerces what dereferences to a cache.
pub fn cache_ref(cache: &Cache) -> Option<&Cache> {
    Some(cache)
}

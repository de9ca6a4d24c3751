//! What the generated `refresh_f`, `prime_f`, `peek_f` and `explain_f` call.

use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;

use super::call::Call;
use super::lookup::unanswered;
use super::shape::Shape;
use crate::cache::Cache;
use crate::cache::site::Site;
use crate::context::observer::Source;
use crate::context::{self, Context, Mode, Refresh};
use crate::entry::EntryOf;
use crate::entry::policy::Staleness;
use crate::error::{Error, ErrorKind};
use crate::key::KeyBuf;
use crate::key::here::Here;
use crate::run::backend_hit;
use crate::run::call;
use crate::run::explain::Explanation;
use crate::run::one_run::Run;
use crate::run::prepare::Primed;
use crate::run::store_decision::Verdict;
use crate::stats::kinds::StoreOutcome;
use crate::tag::names;

fn refreshing_context(site: &'static Site, here: Here) -> Option<Arc<Context>> {
    Some(Arc::new(Context { refreshes_first: Some(Arc::new(Refresh::new(site.id(), here))), ..context::derive() }))
}

/// Makes the first call of this function that the future makes run the body and replace its entry; what the body calls
/// is answered as ever.
pub async fn refresh<F: Future>(site: &'static Site, here: Here, call: F) -> F::Output {
    context::within(refreshing_context(site, here), call).await
}

/// [`refresh`] for a sync function.
pub fn refresh_sync<R>(site: &'static Site, here: Here, call: impl FnOnce() -> R) -> R {
    context::within_sync(refreshing_context(site, here), call)
}

/// A call that is to be given its value: never answered.
pub fn prime<S: Shape>(
    site: &'static Site,
    here: Here,
    shape: S,
    scope: Option<&dyn Display>,
    cache: Option<&Cache>,
    key: KeyBuf<'_>,
) -> Call<S> {
    Call::new(unanswered(site, here, scope, cache, key, S::codec), shape)
}

impl<S: Shape> Call<S> {
    /// The second half of `prime_f`: stores the value as if a run that begins now had returned it.
    ///
    /// # Errors
    /// If there is nothing to store, or a backend could not be told.
    pub async fn prime(mut self, judge: impl Fn(&S::Stored, &mut Verdict), value: S::Return) -> Result<(), Error> {
        self.call.is_no_call();
        // In a statement of its own: what can't cross threads isn't held across an await.
        let value = match S::into_stored(value) {
            Ok(value) => value,
            Err(_) => {
                return Err(refused(
                    &self.call,
                    "was primed with an `Err`, which isn't stored; prime it with the `Ok`",
                ));
            }
        };
        if self.call.request.mode == Mode::Bypassed {
            return Ok(());
        }
        // Before anything is awaited: an invalidation from here on wins.
        let primed = Primed::now(&self.call);
        let leader = self.call.lead_to_prime()?;
        // It is no part of the runs it is called from, but they wait for it.
        let waiting = self.call.parent().map(|parent| parent.flights()).unwrap_or_default();
        let _waits = self.call.engine().graph.wait_for(waiting, leader.id());
        self.call.request.made_by_nobody();
        let mut run = Box::new(Run::new(&self.call, Some(leader)));
        if run.begin(&self.call) {
            // A refreshed call isn't answered: this only takes the leases.
            let _ = Box::pin(run.ask_backends(&mut self.call)).await;
        }
        run.prepare_primed(&mut self.call, &primed);
        let mut verdict = self.call.options.verdict();
        judge(&value, &mut verdict);
        self.call.stores(StoreOutcome::NotCacheable);
        let conclusion = run.conclude(&mut self.call, verdict);
        let entry = EntryOf::erased(conclusion.meta, value);
        let fault = run.fault.take().map_or(Ok(()), Err);
        let stored = match run.publish(&self.call, &entry, conclusion.keep) {
            Some(storing) => Box::pin(storing.finish(&self.call)).await,
            None => Ok(()),
        };
        fault.and(stored)
    }

    /// [`prime`](Self::prime) on the calling thread.
    ///
    /// # Errors
    /// The same.
    pub fn prime_sync(self, judge: impl Fn(&S::Stored, &mut Verdict), value: S::Return) -> Result<(), Error> {
        pollster::block_on(self.prime(judge, value))
    }

    /// The second half of `peek_f`: what a call would be answered with at once, from layers that [`lookup`] didn't ask.
    pub async fn peek(self) -> Option<S::Return> {
        self.call.is_no_call();
        if matches!(self.call.request.mode, Mode::Bypassed | Mode::Refreshed) {
            return None;
        }
        if let Some(old) = &self.call.memory.old
            && matches!(old.staleness(&self.call.engine().validity), Some(Staleness::Fresh | Staleness::RefreshDue))
        {
            let value = self.old_value(old);
            self.call.report_old(old);
            return value;
        }
        let mut run = Box::new(Run::new(&self.call, None));
        let found = Box::pin(run.read_backends(&self.call, false)).await?;
        let value = backend_hit::decode(&self.call, &mut run, &found)?.downcast::<S::Stored>().ok()?;
        let meta = run.meta_of(&self.call, &found, &Verdict::default());
        self.call.note(Source::Backend, &meta);
        self.call.report(meta.dependencies(), false, meta.trust_deadline());
        Some(S::wrap(*value))
    }

    /// [`peek`](Self::peek) on the calling thread.
    pub fn peek_sync(self) -> Option<S::Return> {
        pollster::block_on(self.peek())
    }
}

/// A call that is to be explained: never answered. Names of tags are known from now on.
pub fn explained<S: Shape>(
    site: &'static Site,
    here: Here,
    shape: S,
    scope: Option<&dyn Display>,
    cache: Option<&Cache>,
    key: KeyBuf<'_>,
) -> Call<S> {
    names::want();
    prime(site, here, shape, scope, cache, key)
}

impl<S: Shape> Call<S> {
    /// The second half of `explain_f`: what a call would be answered with, or why it would run the body.
    pub async fn explain(self) -> Explanation {
        self.call.is_no_call();
        Box::pin(self.call.explain()).await
    }

    /// [`explain`](Self::explain) on the calling thread.
    pub fn explain_sync(self) -> Explanation {
        pollster::block_on(self.explain())
    }
}

pub(crate) fn refused(call: &call::Call, why: &str) -> Error {
    Error::new(ErrorKind::Refused, format!("`{}` {why}", call.target.function.descriptor.name()))
}

//! With the feature `tracing`.
//!
//! | what | level |
//! |---|---|
//! | a span for each call that memory doesn't answer at once; runs; invalidations | DEBUG |
//! | hits of these calls | TRACE |
//! | a backend answers for the first time, or again | INFO |
//! | a backend fails, once until it answers again; lost messages; what is wrong with a type, once | WARN |

use std::sync::{Arc, Weak};

use tracing::field::Empty;
use tracing::{Span, debug, debug_span, info, trace, warn};

use crate::stats::kinds::{
    BackendOperation, CallResult, InvalidationBy, InvalidationOrigin, InvalidationOutcome, MissReason, RunOutcome,
    RunTrigger, StoreOutcome,
};
use crate::stats::of_cache::Change;

/// The span of a call; nothing if nobody wants it.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallSpan(Option<Arc<Span>>);

/// The span of the call that leads a flight, for those who wait for it. Doesn't keep it open.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lead(Weak<Span>);

impl CallSpan {
    fn new(span: Span) -> Self {
        Self((!span.is_disabled()).then(|| Arc::new(span)))
    }

    /// Inside the span that is current.
    pub(crate) fn of_call(function: &str, cache: &str) -> Self {
        Self::new(debug_span!(
            target: "larder",
            "larder.call",
            cache.operation = "get",
            cache.hit = Empty,
            larder.function = function,
            larder.cache = cache,
            larder.source = Empty,
            larder.miss_reason = Empty,
            larder.store = Empty,
        ))
    }

    /// Of a run in the background: inside no other one, and linked to the one that started it.
    pub(crate) fn of_background(starter: &Self, function: &str, cache: &str) -> Self {
        let span = debug_span!(
            target: "larder",
            parent: None,
            "larder.background",
            cache.operation = "refresh",
            larder.function = function,
            larder.cache = cache,
            larder.miss_reason = Empty,
            larder.store = Empty,
        );
        if let Some(starter) = &starter.0 {
            span.follows_from(starter.id());
        }
        Self::new(span)
    }

    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn within<R>(&self, work: impl FnOnce() -> R) -> R {
        match &self.0 {
            Some(span) => span.in_scope(work),
            None => work(),
        }
    }

    pub(crate) fn lead(&self) -> Lead {
        Lead(self.0.as_ref().map(Arc::downgrade).unwrap_or_default())
    }

    pub(crate) fn follows(&self, Lead(leader): &Lead) {
        if let (Some(span), Some(leader)) = (&self.0, leader.upgrade()) {
            span.follows_from(leader.id());
        }
    }

    pub(crate) fn stored(&self, outcome: StoreOutcome) {
        if let Some(span) = &self.0 {
            span.record("larder.store", outcome.name());
        }
    }

    pub(crate) fn ended(&self, result: CallResult, missed: Option<MissReason>) {
        let Some(span) = &self.0 else { return };
        let is_hit = matches!(result, CallResult::Memory | CallResult::Backend | CallResult::Stale);
        span.record("cache.hit", is_hit);
        span.record("larder.source", result.name());
        if let Some(missed) = missed {
            span.record("larder.miss_reason", missed.name());
        }
        if is_hit {
            trace!(target: "larder", parent: &**span, { larder.source = result.name() }, "hit");
        }
    }
}

pub(crate) fn run_ended(function: &str, trigger: RunTrigger, outcome: RunOutcome, nanos: Option<u64>) {
    debug!(
        target: "larder",
        {
            larder.function = function,
            larder.trigger = trigger.name(),
            larder.outcome = outcome.name(),
            larder.seconds = nanos.map(|nanos| nanos as f64 / 1e9),
        },
        "run"
    );
}

pub(crate) fn invalidated(by: InvalidationBy, origin: InvalidationOrigin, outcome: InvalidationOutcome, tags: usize) {
    debug!(
        target: "larder",
        {
            larder.by = by.name(),
            larder.origin = origin.name(),
            larder.outcome = outcome.name(),
            larder.tags = tags,
        },
        "invalidation"
    );
}

pub(crate) fn missed_messages() {
    warn!(target: "larder", "messages about invalidations were lost, so what was in memory is no longer used");
}

pub(crate) fn backend(name: &str, operation: BackendOperation, change: Change) {
    let operation = operation.name();
    match change {
        Change::Nothing => {}
        Change::Connects => info!(target: "larder", { larder.backend = name }, "the backend answers"),
        Change::Begins => {
            warn!(
                target: "larder",
                { larder.backend = name, larder.operation = operation },
                "the backend fails; functions run their bodies"
            );
        }
        Change::Ends => info!(target: "larder", { larder.backend = name }, "the backend answers again"),
    }
}

/// What is wrong with a function's types.
pub(crate) fn reported(function: &str, message: &str) {
    warn!(target: "larder", { larder.function = function }, "{message}");
}

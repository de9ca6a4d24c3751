//! Runs that go on without their callers: who begins one, and as which call.

use std::sync::Arc;

use crate::context::{Context, Mode};
use crate::engine::Around;
use crate::engine::progress::Progress;
use crate::entry::CachedEntry;
use crate::flight::single::FlightId;
use crate::run::call::{self, MemoryLook, Origin, Request};
use crate::run::join::Awaited;
use crate::run::one_run::Run;
use crate::run::tally::Heard;
use crate::trace::CallSpan;
use crate::util::caught::caught;

/// What becomes of the wish to run.
pub(super) enum Claim {
    /// The run is the caller's.
    Lead(Box<Run>),
    /// Someone else runs.
    Flying(Awaited),
    /// Someone else ran a moment ago.
    Answered(Arc<CachedEntry>),
}

pub(super) fn claim(call: &mut call::Call) -> Claim {
    let beside = |call: &call::Call| {
        call.counters().unshared.one();
        Claim::Lead(Box::new(Run::new(call, None)))
    };
    // Without a key there is no old value, and nothing to claim a run for.
    let Some(key) = call.target.key.clone() else { return beside(call) };
    match call.enter(&key, Progress::in_background, false) {
        Err(_) if call.waits.failed || call.wait_left().is_zero() => beside(call),
        Err(joined) => Claim::Flying(joined.awaited),
        Ok(leader) => {
            let run = Box::new(Run::new(call, Some(leader)));
            match call.recheck_memory(&key, &run) {
                Some(entry) => {
                    run.end_with(call, &entry);
                    Claim::Answered(entry)
                }
                None => Claim::Lead(run),
            }
        }
    }
}

impl call::Call {
    /// What the user captures for a run that may outlive its caller.
    ///
    /// # Errors
    /// If that panics, which is counted. Then there must be no such run.
    pub(super) fn captured(&self) -> Result<Option<Around>, ()> {
        let Some(capture) = &self.engine().capture else { return Ok(None) };
        let around = caught(capture);
        if around.is_none() {
            self.counters().panics.one();
        }
        around.map(Some).ok_or(())
    }

    /// The same call, made by the cache. `told` is who is told of what it uses.
    pub(super) fn in_background(&self, told: Context, origin: Origin, waiting: Option<Arc<Heard>>) -> Self {
        let (ambient, nested) = (self.request.context.as_deref(), self.request.nested);
        let context = Context {
            cache: ambient.and_then(|context| context.cache.clone()),
            scope: ambient.and_then(|context| context.scope.clone()),
            unscoped: ambient.is_some_and(|context| context.unscoped),
            mode: nested,
            ..told
        };
        Self {
            target: self.target.clone(),
            request: Request {
                mode: if self.request.mode == Mode::PastMemory { Mode::PastMemory } else { Mode::Cached },
                nested,
                context: Some(Arc::new(context)),
                unscoped: self.request.unscoped,
                epoch_at_start: self.engine().validity.freshness.epoch(),
                min_flight: FlightId::upcoming(),
                origin,
            },
            options: self.options.clone(),
            memory: MemoryLook { old: self.memory.old.clone(), old_seen: self.memory.old_seen, generation: None },
            waits: self.waits,
            tally: self.tally.of_background(waiting),
            span: CallSpan::of_background(&self.span, self.target.function.descriptor.name(), &self.engine().name),
        }
    }
}

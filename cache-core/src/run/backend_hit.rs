//! An entry that a backend has, until it is decoded for the call that asked.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use crate::backend::{Lifetimes, LiveEntry, Reading, Seen, Stamp};
use crate::context;
use crate::entry::birth::Born;
use crate::entry::policy::{Lifespan, Staleness};
use crate::entry::{CachedEntry, Meta};
use crate::freshness::dependencies::Dependencies;
use crate::rt::clock::to_nanos;
use crate::run::call::Call;
use crate::run::one_run::Run;
use crate::run::store_decision::{Judge, Verdict};
use crate::run::value_bytes::unseal;
use crate::trust::deadline::TrustDeadline;
use crate::trust::layers::View;

/// An entry a backend knows, still encoded.
pub(crate) struct Found {
    pub(crate) live: LiveEntry,
    pub(crate) seen: Seen,
    /// How far it can be used, when it was read.
    pub(crate) staleness: Staleness,
    /// Which backend it is of.
    layer: usize,
    /// In this process's order, taken before it was read, as is `asked`.
    pub(crate) local: u64,
    /// In nanoseconds of the cache's clock: its age counts from then, however long the answer took.
    asked: u64,
    /// How far farther backends vouch for it.
    trust_deadline: TrustDeadline,
}

impl Found {
    /// `None` if there is nothing, or nothing that is good for anything any more.
    /// The backend was read with this view.
    pub(crate) fn new(
        call: &Call,
        reading: Reading,
        layer: usize,
        local: u64,
        asked: u64,
        view: &View,
    ) -> Option<Self> {
        let trust_deadline = view.trust_deadline;
        let mut found = Self {
            live: reading.live?,
            seen: reading.seen,
            staleness: Staleness::Fresh,
            layer,
            local,
            asked,
            trust_deadline,
        };
        found.staleness = found.lifespan(call, None).staleness(call.engine().validity.clock.nanos())?;
        Some(found)
    }

    /// How the entry is kept in memory. `upper` are the stamps of the backends before this one, and `trust_deadline` counts
    /// from before the read.
    pub(crate) fn meta(
        &self,
        call: &Call,
        upper: &[Option<Stamp>],
        trust_deadline: TrustDeadline,
        verdict: &Verdict,
    ) -> Meta {
        let engine = call.engine();
        // What isn't the farthest one's may be from before an invalidation that those above have recorded.
        let is_farthest = self.layer + 1 == engine.backends.len();
        let upper = if is_farthest { upper } else { &[] };
        let dependencies = Dependencies::read(
            call.target.base_tags(),
            &engine.validity.freshness,
            &self.live.entry.tags,
            self.local,
            self.layer,
            upper,
            engine.backends.len(),
        );
        let limit = [verdict.memory_ttl, engine.memory_ttl].into_iter().flatten().min();
        let trust_deadline = trust_deadline.min(self.trust_deadline);
        Meta::new(
            call.target.key.as_ref(),
            dependencies,
            self.lifespan(call, limit),
            Born { now: self.asked, age: to_nanos(self.live.age) },
            trust_deadline,
            verdict.weight,
            false,
        )
    }

    fn lifespan(&self, call: &Call, limit: Option<Duration>) -> Lifespan {
        let lifetimes = self.live.entry.lifetimes;
        call.options.policy.lifespan(self.asked, self.since_stored(), lifetimes, limit)
    }

    /// By the backend's clock.
    fn since_stored(&self) -> Duration {
        match (self.live.entry.lifetimes.keep, self.live.remaining) {
            (Some(keep), Some(remaining)) => keep.saturating_sub(remaining),
            _ => Duration::ZERO,
        }
    }

    /// How long a nearer layer may still use it.
    pub(crate) fn lifetimes_left(&self) -> Lifetimes {
        let fresh = self.live.entry.lifetimes.fresh;
        let fresh = fresh.map(|fresh| fresh.saturating_sub(self.since_stored()));
        Lifetimes { fresh, keep: self.live.remaining, idle: self.live.entry.lifetimes.idle }
    }
}

/// The value a backend has, if it can be read; else the run goes on without.
pub(crate) fn decode(call: &Call, run: &mut Run, found: &Found) -> Option<Box<dyn Any + Send + Sync>> {
    let decoded = unseal(&call.target, &found.live.entry.payload);
    if decoded.is_none() {
        run.reject(call, found);
    }
    decoded
}

/// The same as an entry.
pub(super) fn entry(call: &Call, run: &mut Run, found: &Found, judge: &dyn Judge) -> Option<Arc<CachedEntry>> {
    let mut verdict = call.options.verdict();
    let value = context::within_sync(Some(run.context(call)), || {
        let value = decode(call, run, found)?;
        judge.judge(&*value, &mut verdict);
        Some(value)
    })?;
    let meta = run.meta_of(call, found, &verdict);
    let entry = call.target.codec.and_then(|codec| (codec.entry)(value, meta));
    if entry.is_none() {
        run.reject(call, found);
    }
    entry
}

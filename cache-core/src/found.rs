//! An entry that a backend knows, on its way to the call that asked.

use std::time::Duration;

use crate::backend::{Lifetimes, LiveEntry, Reading, Seen, Stamp};
use crate::layers::View;
use crate::lineage::Lineage;
use crate::policy::{Age, Lifespan};
use crate::private::verdict::Verdict;
use crate::read_path::Call;
use crate::stored::{Assured, Meta};

/// An entry a backend knows, still encoded.
pub(crate) struct Found {
    pub(crate) live: LiveEntry,
    pub(crate) seen: Seen,
    /// How far it can be used, when it was read.
    pub(crate) age: Age,
    /// Which backend it is of.
    layer: usize,
    /// In this process's order, taken before it was read, as is `asked`.
    pub(crate) local: u64,
    /// In nanoseconds of the cache's clock: its age counts from then, however long the answer took.
    asked: u64,
    /// How far farther backends vouch for it.
    assured: Assured,
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
        let assured = view.assured;
        let mut found =
            Self { live: reading.live?, seen: reading.seen, age: Age::Prompt, layer, local, asked, assured };
        found.age = found.lifespan(call, None).age(call.function.engine.clock.nanos())?;
        Some(found)
    }

    /// How the entry is kept in memory. `upper` are the stamps of the backends before this one, and `assured` counts from
    /// before the read.
    pub(crate) fn meta(&self, call: &Call, upper: &[Option<Stamp>], assured: Assured, verdict: &Verdict) -> Meta {
        let engine = &call.function.engine;
        // What isn't the farthest one's may be from before an invalidation that those above have recorded.
        let is_farthest = self.layer + 1 == engine.backends.len();
        let upper = if is_farthest { upper } else { &[] };
        let lineage = Lineage::read(
            call.function.base_tags(call.instance, &call.scope),
            &engine.freshness,
            &self.live.entry.tags,
            self.local,
            self.layer,
            upper,
            engine.backends.len(),
        );
        let limit = [verdict.memory_ttl, engine.memory_ttl].into_iter().flatten().min();
        let assured = assured.min(self.assured);
        Meta::new(call.key.as_ref(), lineage, self.lifespan(call, limit), assured, verdict.weight, false)
    }

    fn lifespan(&self, call: &Call, limit: Option<Duration>) -> Lifespan {
        let lifetimes = self.live.entry.lifetimes;
        call.policy.lifespan(self.asked, self.since_stored(), lifetimes, limit)
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
        Lifetimes { fresh: fresh.map(|fresh| fresh.saturating_sub(self.since_stored())), keep: self.live.remaining }
    }
}

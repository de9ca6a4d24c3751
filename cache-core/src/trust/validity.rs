//! All that decides whether an entry may still be used: what was invalidated, what time it is, and how far backends vouch.

use std::sync::Arc;
use std::time::Duration;

use crate::backend::Backend;
use crate::freshness::epoch::EPOCH;
use crate::freshness::invalidation::Freshness;
use crate::rt::clock::{Clock, NEVER};
use crate::trust::layers::Layers;

/// Of one cache.
pub(crate) struct Validity {
    pub(crate) freshness: Arc<Freshness>,
    pub(crate) clock: Clock,
    /// What the backends say.
    pub(crate) layers: Layers,
}

impl Validity {
    pub(crate) fn new(backends: &[Arc<dyn Backend>], clock: Clock) -> Self {
        let freshness = Arc::new(Freshness::new(&EPOCH));
        Self { layers: Layers::new(backends, &freshness, &clock), freshness, clock }
    }

    /// What the backends vouch for: all that is found live after this was asked.
    pub(crate) fn vouched(&self) -> u64 {
        self.layers.vouched()
    }

    /// How much longer memory may be used if nothing more is heard from backends; `None` if none has to be heard from.
    pub(crate) fn trusted_for(&self) -> Option<Duration> {
        let until = self.vouched();
        (until != NEVER).then(|| Duration::from_nanos(until.saturating_sub(self.clock.nanos())))
    }
}

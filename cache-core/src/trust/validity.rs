//! All that decides whether an entry may still be used: what was invalidated, what time it is, and how far backends vouch.

use std::sync::Arc;

use crate::backend::Backend;
use crate::freshness::epoch::EPOCH;
use crate::freshness::invalidation::Freshness;
use crate::rt::clock::Clock;
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
}

//! An entry as this process keeps it: the value as it is, and what decides whether it may still be used.

use std::any::Any;
use std::sync::Arc;

use crate::back_off::BackOff;
use crate::cache::Engine;
use crate::call_key::CallKey;
use crate::freshness::LastFoundLive;
use crate::lineage::Lineage;
use crate::policy::{Age, Lifespan};

/// Nanoseconds of a clock: never.
pub(crate) const NEVER: u64 = u64::MAX;

/// Until when something may be used though no backend vouches for this process's memory, in nanoseconds of the cache's
/// clock: `max_staleness` after its data was read. What is made of several things may be used only as long as the one
/// whose data was read first: else every level of nesting would add its own `max_staleness`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Assured(pub(crate) u64);

impl Default for Assured {
    fn default() -> Self {
        Self(NEVER)
    }
}

/// Everything about an entry but its value.
#[derive(Debug)]
pub(crate) struct Meta {
    /// `None` only for what isn't kept.
    #[cfg_attr(not(feature = "memory"), allow(dead_code, reason = "for the store"))]
    pub(crate) key: Option<CallKey>,
    pub(crate) lineage: Arc<Lineage>,
    found_live: LastFoundLive,
    pub(crate) back_off: BackOff,
    /// How it ages in memory.
    pub(crate) lifespan: Lifespan,
    pub(crate) assured: Assured,
    #[cfg_attr(not(feature = "memory"), allow(dead_code, reason = "for the store"))]
    pub(crate) weight: u32,
    /// Not to be stored, nor anything computed from it.
    pub(crate) uncached: bool,
}

impl Meta {
    pub(crate) fn new(
        key: Option<CallKey>,
        lineage: Arc<Lineage>,
        lifespan: Lifespan,
        assured: Assured,
        weight: u32,
        uncached: bool,
    ) -> Self {
        Self {
            key,
            lineage,
            found_live: LastFoundLive::never(),
            back_off: BackOff::default(),
            lifespan,
            assured,
            weight,
            uncached,
        }
    }
}

/// An entry with a value of any type.
pub(crate) type Stored = StoredValue<dyn Any + Send + Sync>;

/// An entry. One allocation, whatever the type of the value.
#[derive(Debug)]
pub(crate) struct StoredValue<T: ?Sized> {
    pub(crate) meta: Meta,
    pub(crate) value: T,
}

impl<T: Any + Send + Sync> StoredValue<T> {
    pub(crate) fn erased(meta: Meta, value: T) -> Arc<Stored> {
        Arc::new(Self { meta, value })
    }
}

impl Stored {
    /// Whether it answers a call that starts now, and nothing else is to be done.
    #[inline]
    pub(crate) fn is_usable(&self, engine: &Engine) -> bool {
        let meta = &self.meta;
        // Before the tags: whoever vouches for more has said first what was invalidated.
        let vouched = engine.vouched();
        // The epoch is read before the tags: see `freshness`, invariant 3.
        let epoch = engine.freshness.epoch();
        if !meta.found_live.is_live(epoch, || meta.lineage.is_live()) {
            return false;
        }
        let until = meta.lifespan.prompt_until.min(meta.assured.max(vouched).0);
        until == NEVER || engine.clock.is_before(until)
    }

    /// Until when what uses it now may be used.
    pub(crate) fn assured(&self, engine: &Engine) -> Assured {
        self.meta.assured.max(engine.vouched())
    }

    /// Whether it is within its `ttl`.
    pub(crate) fn is_fresh(&self, engine: &Engine) -> bool {
        engine.clock.nanos() < self.meta.lifespan.fresh_until
    }

    /// How far it can still be used: `None` if it is invalidated, not to be trusted, or too old for anything.
    pub(crate) fn age(&self, engine: &Engine) -> Option<Age> {
        let meta = &self.meta;
        // In the order of `is_usable`.
        let assured = self.assured(engine);
        let epoch = engine.freshness.epoch();
        let live = meta.found_live.is_live(epoch, || meta.lineage.is_live());
        let now = engine.clock.nanos();
        meta.lifespan.age(now).filter(|_| live && now < assured.0)
    }
}

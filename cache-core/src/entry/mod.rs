//! An entry as this process keeps it: the value as it is, and what decides whether it may still be used.

pub(crate) mod policy;
pub(crate) mod refresh_backoff;
pub(crate) mod value_codec;

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::entry::policy::{Age, Lifespan};
use crate::entry::refresh_backoff::BackOff;
use crate::freshness::dependencies::Lineage;
use crate::freshness::epoch::LastFoundLive;
use crate::key::call_key::{CallKey, LongKey};
use crate::rt::clock::NEVER;
use crate::trust::deadline::Assured;
use crate::trust::validity::Validity;

/// Everything about an entry but its value.
#[derive(Debug)]
pub(crate) struct Meta {
    /// Its key, unless that is so short that whoever looks for the entry has all of it.
    #[cfg_attr(not(feature = "memory"), allow(dead_code, reason = "for the store"))]
    pub(crate) key: Option<Arc<LongKey>>,
    what: What,
    found_live: LastFoundLive,
    /// Until when it is known to answer calls if it is live, in nanoseconds of the cache's clock. Moved on as far as
    /// backends vouch for it, whenever that is looked at.
    usable_until: AtomicU64,
}

/// What it depends on, and how. There is one of these in each entry, so the usual one is small.
#[derive(Debug)]
enum What {
    /// It has one end at most, weighs 1, and no backend has to vouch for it: `usable_until` says all there is to say.
    Usual(Lineage),
    Rare(Box<Rare>),
}

#[derive(Debug)]
struct Rare {
    lineage: Lineage,
    back_off: BackOff,
    lifespan: Lifespan,
    assured: Assured,
    weight: u32,
    uncached: bool,
}

impl Meta {
    pub(crate) fn new(
        key: Option<&CallKey>,
        lineage: Lineage,
        lifespan: Lifespan,
        assured: Assured,
        weight: u32,
        uncached: bool,
    ) -> Self {
        let usual = lifespan.has_one_end() && assured == Assured::default() && weight == 1 && !uncached;
        Self {
            key: key.and_then(CallKey::long).cloned(),
            what: if usual {
                What::Usual(lineage)
            } else {
                let back_off = BackOff::default();
                What::Rare(Box::new(Rare { lineage, back_off, lifespan, assured, weight, uncached }))
            },
            found_live: LastFoundLive::never(),
            usable_until: AtomicU64::new(lifespan.prompt_until.min(assured.until())),
        }
    }

    #[inline]
    pub(crate) fn lineage(&self) -> &Lineage {
        match &self.what {
            What::Usual(lineage) => lineage,
            What::Rare(rare) => &rare.lineage,
        }
    }

    fn rare(&self) -> Option<&Rare> {
        match &self.what {
            What::Usual(_) => None,
            What::Rare(rare) => Some(rare),
        }
    }

    /// How it ages in memory.
    pub(crate) fn lifespan(&self) -> Lifespan {
        match self.rare() {
            Some(rare) => rare.lifespan,
            None => Lifespan::until(self.usable_until.load(Ordering::Relaxed)),
        }
    }

    pub(crate) fn assured(&self) -> Assured {
        self.rare().map(|rare| rare.assured).unwrap_or_default()
    }

    #[cfg_attr(not(feature = "memory"), allow(dead_code, reason = "for the store"))]
    pub(crate) fn weight(&self) -> u32 {
        self.rare().map_or(1, |rare| rare.weight)
    }

    /// Not to be stored, nor anything computed from it.
    pub(crate) fn is_uncached(&self) -> bool {
        self.rare().is_some_and(|rare| rare.uncached)
    }

    /// Of its runs in the background; `None` if it is never due for any.
    pub(crate) fn back_off(&self) -> Option<&BackOff> {
        self.rare().map(|rare| &rare.back_off)
    }

    /// Whether it is live at the epoch that is read here.
    #[inline]
    fn is_live(&self, validity: &Validity) -> bool {
        // The epoch is read before the tags: see `freshness`, invariant 3.
        let epoch = validity.freshness.epoch();
        self.found_live.is_live(epoch, || self.lineage().is_live())
    }

    /// Until when it may be used, if that is beyond what was known as a backend vouches for it.
    #[cold]
    fn vouched_until(&self, validity: &Validity) -> Option<u64> {
        let rare = self.rare()?;
        // Before the tags: whoever vouches for more has said first what was invalidated.
        let vouched = validity.vouched();
        let until = rare.lifespan.prompt_until.min(rare.assured.vouched(vouched).until());
        if !self.is_live(validity) || !validity.clock.is_before(until) {
            return None;
        }
        // What is invalidated from now on is found by its tags, as before.
        self.usable_until.store(until, Ordering::Relaxed);
        Some(until)
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

/// An entry was found usable, and goes on to be while the epoch is the same and a moment is still to come.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(feature = "memory"), allow(dead_code, reason = "for the store"))]
pub(crate) struct Usable {
    pub(crate) epoch: u64,
    /// In nanoseconds of the operating system's clock; 0 if the cache goes by another.
    pub(crate) until: u64,
}

impl Stored {
    /// Whether it answers a call that starts now, and nothing else is to be done.
    pub(crate) fn is_usable(&self, validity: &Validity) -> bool {
        self.usable(validity).is_some()
    }

    /// The same, with what has to stay as it is for the answer to stand.
    pub(crate) fn usable(&self, validity: &Validity) -> Option<Usable> {
        let meta = &self.meta;
        // The epoch is read before the tags: see `freshness`, invariant 3.
        let epoch = validity.freshness.epoch();
        if !self.is_live_at(epoch) {
            return None;
        }
        let mut until = meta.usable_until.load(Ordering::Relaxed);
        if until != NEVER && !validity.clock.is_before(until) {
            until = meta.vouched_until(validity)?;
        }
        Some(Usable { epoch, until: if until == NEVER || validity.clock.is_system() { until } else { 0 } })
    }

    /// Whether nothing of it was invalidated until this epoch, which was read before.
    #[inline]
    pub(crate) fn is_live_at(&self, epoch: u64) -> bool {
        self.meta.found_live.is_live(epoch, || self.meta.lineage().is_live())
    }

    /// Until when what uses it now may be used.
    pub(crate) fn assured(&self, validity: &Validity) -> Assured {
        self.meta.assured().vouched(validity.vouched())
    }

    /// Whether it is within its `ttl`.
    pub(crate) fn is_fresh(&self, validity: &Validity) -> bool {
        validity.clock.nanos() < self.meta.lifespan().fresh_until
    }

    /// How far it can still be used: `None` if it is invalidated, not to be trusted, or too old for anything.
    pub(crate) fn age(&self, validity: &Validity) -> Option<Age> {
        let meta = &self.meta;
        // In the order of `vouched_until`.
        let assured = self.assured(validity);
        let live = meta.is_live(validity);
        let now = validity.clock.nanos();
        meta.lifespan().age(now).filter(|_| live && now < assured.until())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::backend::{BootInstant, TagId};
    use crate::freshness::function_tags::BaseTags;
    use crate::rt::clock::{Clock, to_nanos};
    use crate::trust::layers::testing::{Mute, validity, vouch};

    const SECOND: Duration = Duration::from_secs(1);

    fn lifespan(prompt: u64, keep: u64) -> Lifespan {
        Lifespan { prompt_until: prompt, fresh_until: prompt, serve_until: keep, keep_until: keep }
    }

    fn entry(validity: &Validity, lifespan: Lifespan, assured: Assured) -> Arc<Stored> {
        let base = Arc::new(BaseTags::new(1, &validity.freshness, [TagId(1)]));
        let lineage = Lineage::own(base, Some(validity.freshness.intern(TagId(2))), Vec::new(), 1, &[]);
        StoredValue::erased(Meta::new(None, lineage, lifespan, assured, 1, false), 5_u8)
    }

    #[test]
    fn what_is_rare_is_kept_aside_and_comes_back() {
        let validity = validity(Clock::system(), []);
        let lineage = || entry(&validity, Lifespan::until(NEVER), Assured::default()).meta.lineage().clone();
        let kept = |lifespan: Lifespan, assured, weight, uncached| {
            let meta = Meta::new(None, lineage(), lifespan, assured, weight, uncached);
            assert_eq!((meta.assured(), meta.weight(), meta.is_uncached()), (assured, weight, uncached));
            assert_eq!(meta.lifespan(), lifespan);
            meta.rare().is_some()
        };
        let never = Assured::default();
        assert!(!kept(Lifespan::until(NEVER), never, 1, false) && !kept(Lifespan::until(7), never, 1, false));
        assert!(kept(lifespan(7, 8), never, 1, false) && kept(Lifespan::until(7), Assured::new(9), 1, false));
        assert!(kept(Lifespan::until(7), never, 2, false) && kept(Lifespan::until(7), never, 1, true));
        assert!(size_of::<Meta>() <= 48);
    }

    #[test]
    fn it_is_used_as_long_as_it_is_vouched_for_and_not_longer() {
        let clock = Clock::manual();
        let validity = validity(&clock, [Mute::new(SECOND)]);
        let validity = &validity;
        let nanos = |seconds: u64| to_nanos(SECOND) * seconds;
        let long = entry(validity, Lifespan::until(NEVER), Assured::new(nanos(5)));
        let short = entry(validity, Lifespan::until(nanos(10)), Assured::new(nanos(5)));
        clock.advance(4 * SECOND);
        assert!(long.is_usable(validity) && short.is_usable(validity));
        clock.advance(2 * SECOND);
        assert!(!long.is_usable(validity), "nobody vouches for it");
        vouch(validity, 0, BootInstant::now() + 3_600 * SECOND);
        assert!(long.is_usable(validity) && short.is_usable(validity));
        clock.advance(4 * SECOND);
        assert!(long.is_usable(validity) && !short.is_usable(validity), "its lifetime ends all the same");
        assert_eq!((long.age(validity), short.age(validity)), (Some(Age::Prompt), None));
        validity.freshness.invalidate(&[TagId(2)]);
        assert!(!long.is_usable(validity), "what is vouched for can be invalidated");
    }
}

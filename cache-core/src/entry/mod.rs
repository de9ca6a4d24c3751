//! An entry as this process keeps it: the value as it is, and what decides whether it may still be used.

pub(crate) mod birth;
pub(crate) mod idle;
pub(crate) mod policy;
pub(crate) mod refresh_backoff;
pub(crate) mod value_codec;

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::entry::birth::{Birth, Born};
use crate::entry::idle::IdleTimer;
use crate::entry::policy::{Lifespan, Staleness};
use crate::entry::refresh_backoff::BackOff;
#[cfg(feature = "memory")]
use crate::events::residents::Residents;
use crate::freshness::dependencies::Dependencies;
use crate::freshness::epoch::LastFoundLive;
use crate::key::call_key::{CallKey, LongKey};
use crate::rt::clock::NEVER;
use crate::stats::kinds::MissReason;
use crate::trust::deadline::TrustDeadline;
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
    /// backends vouch for it, and from one hit that has to be noted to the next, whenever that is looked at.
    usable_until: AtomicU64,
    born: Birth,
}

/// What it depends on, and how. There is one of these in each entry, so the usual one is small.
#[derive(Debug)]
enum What {
    /// It has one end at most, weighs 1, and no backend has to vouch for it: `usable_until` says all there is to say.
    Usual(Dependencies),
    Rare(Box<Rare>),
}

#[derive(Debug)]
struct Rare {
    dependencies: Dependencies,
    back_off: BackOff,
    lifespan: Lifespan,
    idle: Option<IdleTimer>,
    trust_deadline: TrustDeadline,
    weight: u32,
    uncached: bool,
}

impl Meta {
    pub(crate) fn new(
        key: Option<&CallKey>,
        dependencies: Dependencies,
        lifespan: Lifespan,
        born: Born,
        trust_deadline: TrustDeadline,
        weight: u32,
        uncached: bool,
    ) -> Self {
        let usual = lifespan.has_one_end() && trust_deadline == TrustDeadline::default() && weight == 1 && !uncached;
        Self {
            key: key.and_then(CallKey::long).cloned(),
            what: if usual {
                What::Usual(dependencies)
            } else {
                let (back_off, idle) = (BackOff::default(), lifespan.idle.map(IdleTimer::new));
                What::Rare(Box::new(Rare { dependencies, back_off, lifespan, idle, trust_deadline, weight, uncached }))
            },
            found_live: LastFoundLive::never(),
            usable_until: AtomicU64::new(
                lifespan
                    .refresh_at
                    .min(trust_deadline.until())
                    .min(lifespan.idle.map_or(NEVER, |idle| idle.next_note())),
            ),
            born: Birth::new(born, lifespan.own_end == NEVER),
        }
    }

    #[inline]
    pub(crate) fn dependencies(&self) -> &Dependencies {
        match &self.what {
            What::Usual(dependencies) => dependencies,
            What::Rare(rare) => &rare.dependencies,
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
            None => {
                let once = Lifespan::until(self.usable_until.load(Ordering::Relaxed));
                if self.born.is_endless() { Lifespan { own_end: NEVER, ..once } } else { once }
            }
        }
    }

    /// When its value was computed.
    pub(crate) fn born(&self) -> Birth {
        self.born
    }

    /// When its `ttl` ends, whatever memory is told; [`NEVER`] without one.
    pub(crate) fn own_end(&self) -> u64 {
        self.lifespan().own_end
    }

    /// Whether it can answer calls though its `ttl` has ended.
    pub(crate) fn may_be_stale(&self) -> bool {
        self.rare().is_some_and(|rare| rare.lifespan.keep_until > rare.lifespan.fresh_until)
    }

    /// When it is of no use any more, as things stand: a hit may move that.
    #[cfg_attr(not(feature = "memory"), allow(dead_code, reason = "for the store"))]
    pub(crate) fn ends_at(&self) -> u64 {
        self.lifespan().keep_until.min(self.idle_end())
    }

    fn idle(&self) -> Option<&IdleTimer> {
        self.rare()?.idle.as_ref()
    }

    fn idle_end(&self) -> u64 {
        self.idle().map_or(NEVER, IdleTimer::end)
    }

    /// Its `idle_ttl`, if a hit was noted that backends are yet to be told of. Whoever asks tells them.
    #[inline]
    pub(crate) fn take_untold_hit(&self) -> Option<Duration> {
        self.idle()?.take_untold()
    }

    pub(crate) fn trust_deadline(&self) -> TrustDeadline {
        self.rare().map(|rare| rare.trust_deadline).unwrap_or_default()
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
        self.found_live.is_live(epoch, || self.dependencies().is_live_at(epoch))
    }

    /// Until when it may be used, if that is beyond what was known: a backend vouches for it, or a hit is noted.
    #[cold]
    fn usable_again(&self, validity: &Validity) -> Option<u64> {
        let rare = self.rare()?;
        // Before the tags: whoever vouches for more has said first what was invalidated.
        let vouched = validity.vouched();
        let until = rare.lifespan.refresh_at.min(rare.trust_deadline.vouched(vouched).until());
        if !self.is_live(validity) || !validity.clock.is_before(until) {
            return None;
        }
        let until = match &rare.idle {
            Some(idle) => until.min(idle.hit(validity.clock.nanos())?),
            None => until,
        };
        // What is invalidated from now on is found by its tags, as before.
        self.usable_until.store(until, Ordering::Relaxed);
        Some(until)
    }
}

/// An entry in memory, with a value of any type. (An [`Entry`](crate::backend::Entry) is one in a backend.)
pub(crate) type CachedEntry = EntryOf<dyn Any + Send + Sync>;

/// An entry with a value of this type. One allocation, whatever the type.
#[derive(Debug)]
pub(crate) struct EntryOf<T: ?Sized> {
    pub(crate) meta: Meta,
    pub(crate) value: T,
}

impl<T: Any + Send + Sync> EntryOf<T> {
    pub(crate) fn erased(meta: Meta, value: T) -> Arc<CachedEntry> {
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

impl CachedEntry {
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
            until = meta.usable_again(validity)?;
        }
        Some(Usable { epoch, until: if until == NEVER || validity.clock.is_system() { until } else { 0 } })
    }

    /// Whether nothing of it was invalidated until this epoch, which was read before.
    #[inline]
    pub(crate) fn is_live_at(&self, epoch: u64) -> bool {
        self.meta.found_live.is_live(epoch, || self.meta.dependencies().is_live_at(epoch))
    }

    /// Until when what uses it now may be used.
    pub(crate) fn trust_deadline(&self, validity: &Validity) -> TrustDeadline {
        self.meta.trust_deadline().vouched(validity.vouched())
    }

    /// Where it is counted while it is in memory.
    #[cfg(feature = "memory")]
    pub(crate) fn residents(&self) -> Option<&Residents> {
        self.meta.dependencies().residents()
    }

    /// Whether it is within its `ttl`.
    pub(crate) fn is_fresh(&self, validity: &Validity) -> bool {
        validity.clock.nanos() < self.meta.lifespan().fresh_until
    }

    /// Why it answers no call: it is known not to be usable.
    #[cold]
    pub(crate) fn why_unusable(&self, validity: &Validity) -> MissReason {
        if !self.meta.is_live(validity) {
            return MissReason::Invalidated;
        }
        let is_trusted = validity.clock.nanos() < self.trust_deadline(validity).until();
        if is_trusted { MissReason::Expired } else { MissReason::Unavailable }
    }

    /// How far it can still be used: `None` if it is invalidated, not to be trusted, or too old for anything.
    pub(crate) fn staleness(&self, validity: &Validity) -> Option<Staleness> {
        let meta = &self.meta;
        // In the order of `usable_again`.
        let trust_deadline = self.trust_deadline(validity);
        let live = meta.is_live(validity);
        let now = validity.clock.nanos();
        meta.lifespan().staleness(now).filter(|_| live && now < trust_deadline.until().min(meta.idle_end()))
    }

    /// It answers a call although it is old, or about to be: that prolongs its life as any hit does.
    pub(crate) fn note_hit(&self, validity: &Validity) {
        if let Some(idle) = self.meta.idle() {
            idle.hit(validity.clock.nanos());
        }
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
        Lifespan {
            refresh_at: prompt,
            fresh_until: prompt,
            serve_until: keep,
            keep_until: keep,
            own_end: prompt,
            idle: None,
        }
    }

    fn entry(validity: &Validity, lifespan: Lifespan, trust_deadline: TrustDeadline) -> Arc<CachedEntry> {
        let base = Arc::new(BaseTags::new(1, &validity.freshness, [TagId(1)]));
        let dependencies = Dependencies::own(base, Some(validity.freshness.intern(TagId(2))), Vec::new(), 1, &[]);
        EntryOf::erased(Meta::new(None, dependencies, lifespan, Born::default(), trust_deadline, 1, false), 5_u8)
    }

    #[test]
    fn what_is_rare_is_kept_aside_and_comes_back() {
        let validity = validity(Clock::system(), []);
        let dependencies =
            || entry(&validity, Lifespan::until(NEVER), TrustDeadline::default()).meta.dependencies().clone();
        let kept = |lifespan: Lifespan, trust_deadline, weight, uncached| {
            let meta = Meta::new(None, dependencies(), lifespan, Born::default(), trust_deadline, weight, uncached);
            assert_eq!((meta.trust_deadline(), meta.weight(), meta.is_uncached()), (trust_deadline, weight, uncached));
            assert_eq!(meta.lifespan(), lifespan);
            meta.rare().is_some()
        };
        let never = TrustDeadline::default();
        assert!(!kept(Lifespan::until(NEVER), never, 1, false) && !kept(Lifespan::until(7), never, 1, false));
        assert!(kept(lifespan(7, 8), never, 1, false) && kept(Lifespan::until(7), TrustDeadline::new(9), 1, false));
        assert!(kept(Lifespan::until(7), never, 2, false) && kept(Lifespan::until(7), never, 1, true));
        let of_memory = |own_end| Lifespan { own_end, ..Lifespan::until(7) };
        assert!(!kept(of_memory(NEVER), never, 1, false), "memory alone ends it");
        assert!(kept(of_memory(9), never, 1, false), "memory ends it before its time");
        assert!(size_of::<Meta>() <= 56);
    }

    #[test]
    fn a_value_may_be_older_than_the_clock() {
        let age = |now, age, later| Birth::new(Born { now, age }, false).age(later);
        assert_eq!((age(5, 0, 5), age(5, 0, 9), age(5, 100, 9)), (0, 4, 104));
        assert_eq!(age(9, 0, 5), 0, "clocks never go back");
        for (now, old) in [(0, u64::MAX), (u64::MAX, 0), (u64::MAX, u64::MAX)] {
            let birth = Birth::new(Born { now, age: old }, true);
            assert!(birth.is_endless() && birth.age(u64::MAX) > 0);
        }
    }

    #[test]
    fn it_is_used_as_long_as_it_is_vouched_for_and_not_longer() {
        let clock = Clock::manual();
        let validity = validity(&clock, [Mute::new(SECOND)]);
        let validity = &validity;
        let nanos = |seconds: u64| to_nanos(SECOND) * seconds;
        let long = entry(validity, Lifespan::until(NEVER), TrustDeadline::new(nanos(5)));
        let short = entry(validity, Lifespan::until(nanos(10)), TrustDeadline::new(nanos(5)));
        clock.advance(4 * SECOND);
        assert!(long.is_usable(validity) && short.is_usable(validity));
        clock.advance(2 * SECOND);
        assert!(!long.is_usable(validity), "nobody vouches for it");
        vouch(validity, 0, BootInstant::now() + 3_600 * SECOND);
        assert!(long.is_usable(validity) && short.is_usable(validity));
        clock.advance(4 * SECOND);
        assert!(long.is_usable(validity) && !short.is_usable(validity), "its lifetime ends all the same");
        assert_eq!((long.staleness(validity), short.staleness(validity)), (Some(Staleness::Fresh), None));
        validity.freshness.invalidate(&[TagId(2)]);
        assert!(!long.is_usable(validity), "what is vouched for can be invalidated");
    }
}

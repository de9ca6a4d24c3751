//! How long results may be used, and how they are renewed: the refresh options of a function.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::backend::Lifetimes;
use crate::entry::idle::Idle;
use crate::rt::clock::NEVER;
use crate::rt::clock::to_nanos;

/// The refresh options of one function.
#[derive(Clone, Copy, Debug, Default)]
pub struct Policy {
    jitter: Option<f64>,
    refresh_ahead: Option<f64>,
    stale_while_revalidate: Option<Duration>,
    pub(crate) stale_if_error: Option<Duration>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) lease: Option<Duration>,
    pub(crate) max_wait: Option<Duration>,
    pub(crate) idle_ttl: Option<Duration>,
}

impl Policy {
    /// The `jitter` option.
    pub fn jitter(&mut self, share: f64) {
        self.jitter = Some(share.clamp(0.0, 1.0));
    }

    /// The `refresh_ahead` option.
    pub fn refresh_ahead(&mut self, share: f64) {
        self.refresh_ahead = Some(share.clamp(0.0, 1.0));
    }

    /// The `stale_while_revalidate` option.
    pub fn stale_while_revalidate(&mut self, time: Duration) {
        self.stale_while_revalidate = Some(time);
    }

    /// The `stale_if_error` option.
    pub fn stale_if_error(&mut self, time: Duration) {
        self.stale_if_error = Some(time);
    }

    /// The `timeout` option.
    pub fn timeout(&mut self, time: Duration) {
        self.timeout = Some(time);
    }

    /// The `lease` option.
    pub fn lease(&mut self, time: Duration) {
        self.lease = Some(time);
    }

    /// The `max_wait` option.
    pub fn max_wait(&mut self, time: Duration) {
        self.max_wait = Some(time);
    }

    /// The `idle_ttl` option.
    pub fn idle_ttl(&mut self, time: Duration) {
        self.idle_ttl = Some(time);
    }

    /// A lifetime drawn from the spread.
    pub(crate) fn spread(&self, ttl: Duration) -> Duration {
        match self.jitter {
            Some(share) => ttl.saturating_sub(ttl.mul_f64(share * random())),
            None => ttl,
        }
    }

    /// What a new entry is given.
    pub(crate) fn lifetimes(&self, fresh: Option<Duration>) -> Lifetimes {
        let stale = self.stale_while_revalidate.max(self.stale_if_error).unwrap_or_default();
        Lifetimes { fresh, keep: fresh.map(|fresh| fresh.saturating_add(stale)), idle: self.idle_ttl }
    }

    /// The moments at which an entry of this age changes, in memory until `limit` from now at most.
    pub(crate) fn lifespan(&self, now: u64, age: Duration, lifetimes: Lifetimes, limit: Option<Duration>) -> Lifespan {
        let limit = limit.map_or(NEVER, |limit| now.saturating_add(to_nanos(limit)));
        let at = |end: Option<Duration>| {
            let end = [end, lifetimes.keep].into_iter().flatten().min();
            end.map_or(NEVER, |end| now.saturating_add(to_nanos(end.saturating_sub(age)))).min(limit)
        };
        let fresh = lifetimes.fresh;
        let served = self.stale_while_revalidate.unwrap_or_default();
        let kept = served.max(self.stale_if_error.unwrap_or_default());
        let prompt = fresh.map(|fresh| self.refresh_ahead.map_or(fresh, |share| fresh.mul_f64(share)));
        let stale = |by: Duration| at(fresh.map(|fresh| fresh.saturating_add(by)));
        let own_end = fresh.map_or(NEVER, |fresh| now.saturating_add(to_nanos(fresh.saturating_sub(age))));
        let idle = self.idle_ttl.map(|ttl| Idle::new(now, ttl));
        Lifespan {
            refresh_at: at(prompt),
            fresh_until: at(fresh),
            serve_until: stale(served),
            keep_until: stale(kept),
            own_end,
            idle,
        }
    }
}

/// The moments at which an entry changes, in nanoseconds of the cache's clock, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lifespan {
    /// From then on a call that uses it starts a run in the background.
    pub(crate) refresh_at: u64,
    /// When its `ttl` ends.
    pub(crate) fresh_until: u64,
    /// From then on it is used only where a run fails or takes too long.
    pub(crate) serve_until: u64,
    /// From then on it is worthless.
    pub(crate) keep_until: u64,
    /// When its `ttl` ends, also if memory is told to keep it for less.
    pub(crate) own_end: u64,
    /// What else ends it.
    pub(crate) idle: Option<Idle>,
}

/// How stale an entry is: where it stands in its [`Lifespan`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Staleness {
    /// It answers calls, and no run is due.
    Fresh,
    /// It answers calls, and a run in the background is due.
    RefreshDue,
    /// It answers calls whose run fails or takes too long.
    StaleOnly,
}

impl Lifespan {
    /// How long runs in the background may be due, in nanoseconds.
    pub(crate) fn due_for(&self) -> u64 {
        self.serve_until.saturating_sub(self.refresh_at)
    }

    /// How long it may take the place of runs that fail, in nanoseconds.
    pub(crate) fn falls_back_for(&self) -> u64 {
        self.keep_until.saturating_sub(self.fresh_until)
    }

    /// That of an entry which is used until then, and worthless from then on.
    pub(crate) fn until(end: u64) -> Self {
        Self { refresh_at: end, fresh_until: end, serve_until: end, keep_until: end, own_end: end, idle: None }
    }

    /// Whether it changes once only, and its `ttl` ends then or never.
    pub(crate) fn has_one_end(&self) -> bool {
        let once = Self::until(self.refresh_at);
        *self == once || *self == Self { own_end: NEVER, ..once }
    }

    /// `None` once it is over.
    pub(crate) fn staleness(&self, now: u64) -> Option<Staleness> {
        if now < self.refresh_at {
            Some(Staleness::Fresh)
        } else if now < self.serve_until {
            Some(Staleness::RefreshDue)
        } else {
            (now < self.keep_until).then_some(Staleness::StaleOnly)
        }
    }
}

/// Evenly from 0 to 1. Good enough to keep lifetimes from ending together.
fn random() -> f64 {
    static SEED: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(0_u64));
    static DRAWN: AtomicU64 = AtomicU64::new(0);
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
    // splitmix64
    let mut bits = SEED.wrapping_add(DRAWN.fetch_add(1, Ordering::Relaxed).wrapping_add(1).wrapping_mul(STEP));
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^= bits >> 31;
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_stages_of_an_entry() {
        let mut policy = Policy::default();
        policy.refresh_ahead(0.5);
        policy.stale_while_revalidate(seconds(5));
        policy.stale_if_error(seconds(20));
        let lifetimes = policy.lifetimes(Some(seconds(10)));
        assert_eq!(lifetimes.keep, Some(seconds(30)));
        let at = |age| policy.lifespan(0, seconds(age), lifetimes, None).staleness(0);
        assert_eq!(
            (at(4), at(5), at(14)),
            (Some(Staleness::Fresh), Some(Staleness::RefreshDue), Some(Staleness::RefreshDue))
        );
        assert_eq!((at(15), at(29), at(30)), (Some(Staleness::StaleOnly), Some(Staleness::StaleOnly), None));
        let limited = policy.lifespan(0, Duration::ZERO, lifetimes, Some(seconds(3)));
        assert_eq!(limited.keep_until, to_nanos(seconds(3)), "memory keeps nothing for longer than it is told to");
    }

    #[test]
    fn without_options_there_is_one_stage() {
        let policy = Policy::default();
        let lifetimes = policy.lifetimes(Some(seconds(10)));
        let at = |age| policy.lifespan(0, seconds(age), lifetimes, None).staleness(0);
        assert_eq!((at(9), at(10)), (Some(Staleness::Fresh), None));
        assert_eq!(policy.lifespan(0, seconds(1 << 40), policy.lifetimes(None), None).keep_until, NEVER);
    }

    #[test]
    fn a_spread_is_even_and_within_bounds() {
        let mut policy = Policy::default();
        policy.jitter(0.1);
        let drawn: Vec<_> = (0..1_000).map(|_| policy.spread(seconds(1_000))).collect();
        assert!(drawn.iter().all(|ttl| (seconds(900)..=seconds(1_000)).contains(ttl)));
        let early = drawn.iter().filter(|ttl| **ttl < seconds(950)).count();
        assert!((400..600).contains(&early), "{early} of 1000 in the first half");
    }
}

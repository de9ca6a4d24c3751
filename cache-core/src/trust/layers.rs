//! The backends of a cache as it hears from them: how far each vouches for what was taken in, and what nearer ones are
//! told of what farther ones say.
//!
//! # A backend that only some processes share
//!
//! The farthest backend is the one that all processes share: every invalidation is recorded there. A nearer one may be
//! shared by a few of them, so it knows nothing of what the others invalidate; it is like memory in that. So each process
//! passes on to its nearer backends what it hears from farther ones, and until a nearer one has recorded that
//! ([`Near`]), the process refuses what it has with these tags. Four things make this right:
//!
//! 1. **What is stored in a nearer backend holds stamps from before its data was read**, in that backend's own order: of
//!    the lease, which is taken before the body begins and before a farther backend is asked. This is so only for what the
//!    body has made and for what the *farthest* backend had, which is the truth. So nothing that was found in between is
//!    stored nearer: its tags have no position in the nearer order (`Found::meta`), and what is made of it has none either.
//! 2. **So a passed-on invalidation kills what is older than it, and nothing survives by being stored late.** It is
//!    recorded in the farthest backend before anybody hears of it. Whoever reads the truth after it was recorded nearer has
//!    the newer data, and whoever took their stamp before that holds an older one.
//! 3. **A process that may have missed something refuses everything older than that.** When it begins, after a doubt, and
//!    when too much is waiting, it invalidates a tag that nobody carries, which moves the nearer backend's clock, and
//!    refuses from then on what holds a stamp from before ([`Backend::known_stamp`] says where the clock is). It harms no
//!    other process's entries. It does so by itself, whatever other processes have passed on, so it need not trust them.
//! 4. **A nearer backend is read only while the farther ones vouch**, as memory is used, and what comes from it is vouched
//!    for as far as they do. What they vouch for was heard, and so refused or passed on, before.
//!
//! A reader looks at what is to be refused before it reads ([`Layers::view`]): what is recorded nearer while it reads is no
//! longer refused then, and its answer may be from before. And it takes its stamp for memory before that: what is heard
//! after the look is first noted here and then marked, so the mark is newer than the stamp.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::backend::{Backend, BootInstant, Listener, ListenerHandle, Reading, TagId};
use crate::events::ledger::Ledger;
use crate::freshness::invalidation::Freshness;
use crate::freshness::watch;
use crate::rt::clock::NEVER;
use crate::rt::clock::{Clock, to_nanos};
use crate::stats::kinds::{InvalidationBy, InvalidationOrigin, InvalidationOutcome};
use crate::tag;
use crate::trust::deadline::TrustDeadline;
use crate::trust::nearer::{Near, Refused};

/// The backends of a cache, from the nearest to the farthest.
pub(crate) struct Layers {
    layers: Vec<Arc<Layer>>,
    ledger: Arc<Ledger>,
}

/// One of them. Listens to it.
pub(crate) struct Layer {
    freshness: Arc<Freshness>,
    ledger: Arc<Ledger>,
    clock: Clock,
    /// Until when it vouches, in nanoseconds of `clock`; [`NEVER`] ends that of a backend which need not.
    trusted_until: AtomicU64,
    /// Of those that are nearer than this one.
    nearer: Vec<Arc<Near>>,
}

/// What can be used of a backend, from before it is read.
pub(crate) struct View {
    refused: Refused,
    /// How far the farther backends vouch for what it has.
    pub(crate) trust_deadline: TrustDeadline,
}

impl Layers {
    pub(crate) fn new(backends: &[Arc<dyn Backend>], freshness: &Arc<Freshness>, clock: &Clock) -> Self {
        let ledger = Arc::<Ledger>::default();
        let near: Vec<_> = backends.iter().rev().skip(1).rev().map(|backend| Arc::new(Near::new(backend))).collect();
        let layer = |(layer, backend): (usize, &Arc<dyn Backend>)| {
            let trusted_until = if backend.max_staleness().is_some() { 0 } else { NEVER };
            Arc::new(Layer {
                freshness: Arc::clone(freshness),
                ledger: Arc::clone(&ledger),
                clock: clock.clone(),
                trusted_until: AtomicU64::new(trusted_until),
                nearer: near.iter().take(layer).map(Arc::clone).collect(),
            })
        };
        let layers = backends.iter().enumerate().map(layer).collect();
        Self { layers, ledger }
    }

    /// What is counted and told of the cache itself.
    pub(crate) fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// Has each hear from its backend.
    pub(crate) fn attach_to(&self, backends: &[Arc<dyn Backend>]) {
        for (layer, backend) in self.layers.iter().zip(backends) {
            let listener: std::sync::Weak<Layer> = Arc::downgrade(layer);
            backend.attach(ListenerHandle::new(listener));
        }
    }

    fn near(&self) -> &[Arc<Near>] {
        self.layers.last().map_or(&[], |farthest| &farthest.nearer)
    }

    /// What all of them vouch for: all that is found live after this was asked.
    pub(crate) fn vouched(&self) -> u64 {
        vouched_by(&self.layers)
    }

    /// What can be used of backend number `layer`, which is not yet asked. `now` is in nanoseconds of the cache's clock.
    /// `None`: nothing, as the farther ones don't vouch.
    pub(crate) fn view(&self, layer: usize, now: u64) -> Option<View> {
        let Some(near) = self.near().get(layer) else {
            return Some(View { refused: Refused::default(), trust_deadline: TrustDeadline::default() });
        };
        // First how far they vouch: whoever vouches for more has said first what was invalidated.
        let vouched = vouched_by(self.layers.get(layer + 1..).unwrap_or_default());
        (now < vouched).then(|| View { refused: near.refused(), trust_deadline: TrustDeadline::new(vouched) })
    }

    /// An invalidation by this process has begun.
    pub(crate) fn invalidation<'a>(&'a self, ids: &'a [TagId]) -> Unrecorded<'a> {
        Unrecorded { near: self.near(), ids, recorded: Vec::new() }
    }
}

fn vouched_by(layers: &[Arc<Layer>]) -> u64 {
    layers.iter().map(|layer| layer.trusted_until.load(Ordering::Acquire)).min().unwrap_or(NEVER)
}

impl View {
    /// Takes away what can't be used.
    pub(crate) fn restrict(&self, reading: &mut Reading) {
        if reading.live.as_ref().is_some_and(|live| self.refused.contains(&live.entry.tags)) {
            reading.live = None;
        }
    }
}

/// An invalidation by this process, which each backend is told of. What a nearer one hasn't recorded when this is dropped, as
/// it failed or as nobody waited for it, is passed on to it as if it had been heard: a farther one may have recorded it.
pub(crate) struct Unrecorded<'a> {
    near: &'a [Arc<Near>],
    ids: &'a [TagId],
    recorded: Vec<usize>,
}

impl Unrecorded<'_> {
    pub(crate) fn recorded_by(&mut self, layer: usize) {
        if layer < self.near.len() {
            self.recorded.push(layer);
        }
    }
}

impl Drop for Unrecorded<'_> {
    fn drop(&mut self) {
        let left = self.near.iter().enumerate().filter(|(layer, _)| !self.recorded.contains(layer));
        left.for_each(|(_, near)| near.hear(self.ids));
    }
}

impl Listener for Layer {
    fn invalidated(&self, tags: &[TagId]) {
        // Memory last: see the head of this file.
        self.nearer.iter().for_each(|near| near.hear(tags));
        watch::invalidate(&self.freshness, tags);
        let by = if tags.contains(&tag::EVERYTHING) { InvalidationBy::Everything } else { InvalidationBy::Unknown };
        self.ledger.invalidated(by, InvalidationOrigin::Elsewhere, InvalidationOutcome::Done, tags);
    }

    fn doubt(&self) {
        self.nearer.iter().for_each(Near::hear_everything);
        watch::invalidate(&self.freshness, &[tag::EVERYTHING]);
        self.ledger.missed_messages();
    }

    fn trusted_until(&self, deadline: BootInstant) {
        if self.trusted_until.load(Ordering::Relaxed) == NEVER {
            return; // it said that it need not
        }
        // The clock first: what time passes in between is taken from what is left.
        let now = self.clock.nanos();
        let left = deadline.saturating_duration_since(BootInstant::now());
        self.trusted_until.store(now.saturating_add(to_nanos(left)).min(NEVER - 1), Ordering::Release);
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use std::time::Duration;

    use super::*;
    use crate::backend::{BoxFuture, Busy, Entry, EntryKey, Lease, LeaseAnswer, LeaseRequest, Stamp, StoreAnswer};
    use crate::error::Error;
    use crate::reference::SharedMemory;
    use crate::trust::validity::Validity;

    /// A backend that says nothing by itself.
    #[derive(Debug)]
    pub(crate) struct Mute {
        memory: SharedMemory,
        max_staleness: Option<Duration>,
    }

    impl Mute {
        pub(crate) fn new(max_staleness: impl Into<Option<Duration>>) -> Self {
            Self { memory: SharedMemory::new(), max_staleness: max_staleness.into() }
        }
    }

    impl Backend for Mute {
        fn name(&self) -> &str {
            "mute"
        }
        fn read<'a>(&'a self, key: &'a EntryKey) -> BoxFuture<'a, Result<Reading, Error>> {
            self.memory.read(key)
        }
        fn lease<'a>(
            &'a self,
            key: &'a EntryKey,
            request: LeaseRequest<'a>,
        ) -> BoxFuture<'a, Result<LeaseAnswer, Error>> {
            self.memory.lease(key, request)
        }
        fn wait<'a>(&'a self, key: &'a EntryKey, busy: Busy) -> BoxFuture<'a, Result<(), Error>> {
            self.memory.wait(key, busy)
        }
        fn store<'a>(
            &'a self,
            key: &'a EntryKey,
            lease: Box<dyn Lease>,
            entry: Entry,
        ) -> BoxFuture<'a, Result<StoreAnswer, Error>> {
            self.memory.store(key, lease, entry)
        }
        fn invalidate<'a>(&'a self, tags: &'a [TagId]) -> BoxFuture<'a, Result<Stamp, Error>> {
            self.memory.invalidate(tags)
        }
        fn known_stamp(&self) -> Option<Stamp> {
            self.memory.known_stamp()
        }
        fn attach(&self, _: ListenerHandle) {}
        fn max_staleness(&self) -> Option<Duration> {
            self.max_staleness
        }
        fn close(&self) -> BoxFuture<'_, ()> {
            self.memory.close()
        }
    }

    /// Of a cache with these backends.
    pub(crate) fn validity(clock: impl Into<Clock>, backends: impl IntoIterator<Item = Mute>) -> Validity {
        let backend = |mute| -> Arc<dyn Backend> { Arc::new(mute) };
        Validity::new(&backends.into_iter().map(backend).collect::<Vec<_>>(), clock.into())
    }

    pub(crate) fn vouch(validity: &Validity, layer: usize, deadline: BootInstant) {
        validity.layers.layers[layer].trusted_until(deadline);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::testing::{Mute, validity, vouch};
    use super::*;
    use crate::trust::validity::Validity;

    const SECOND: Duration = Duration::from_secs(1);

    /// Of a cache with backends of which some vouch.
    fn of(vouching: &[bool]) -> Validity {
        let backends = vouching.iter().map(|vouches| Mute::new(vouches.then_some(SECOND)));
        validity(Clock::manual().clock(), backends)
    }

    fn at(seconds: u32) -> BootInstant {
        BootInstant::now() + seconds * SECOND
    }

    /// About so many seconds: some time passes on the way.
    fn is_about(until: u64, seconds: u64) -> bool {
        let seconds = seconds * to_nanos(SECOND);
        (seconds.saturating_sub(to_nanos(SECOND))..=seconds).contains(&until)
    }

    #[test]
    fn the_backend_that_vouches_least_decides() {
        let cache = of(&[true, true]);
        let vouched = || cache.vouched();
        vouch(&cache, 0, at(3_600));
        assert_eq!(vouched(), 0, "the other one hasn't said anything yet");
        vouch(&cache, 1, at(100));
        assert!(is_about(vouched(), 100));
        vouch(&cache, 0, at(7_200));
        assert!(is_about(vouched(), 100), "whoever speaks last doesn't decide");
        vouch(&cache, 1, at(200));
        assert!(is_about(vouched(), 200));
        vouch(&cache, 0, at(50));
        assert!(is_about(vouched(), 50));
    }

    #[test]
    fn a_backend_that_need_not_vouch_limits_nothing() {
        for (vouching, own) in [([false, true], 1), ([true, false], 0)] {
            let cache = of(&vouching);
            assert_eq!(cache.vouched(), 0);
            vouch(&cache, own, at(100));
            vouch(&cache, 1 - own, at(10));
            assert!(is_about(cache.vouched(), 100));
        }
        assert_eq!(of(&[false, false]).vouched(), NEVER);
        assert_eq!(of(&[]).vouched(), NEVER);
    }

    #[test]
    fn a_nearer_backend_is_used_as_far_as_farther_ones_vouch() {
        let cache = of(&[true, true, false]);
        let view = |layer, now| cache.layers.view(layer, now).map(|view| view.trust_deadline.until());
        assert_eq!((view(0, 0), view(1, 0), view(2, 0)), (None, Some(NEVER), Some(NEVER)));
        vouch(&cache, 0, at(3_600));
        assert_eq!(view(0, 0), None, "its own word is of no use");
        vouch(&cache, 1, at(100));
        assert!(view(0, 0).is_some_and(|until| is_about(until, 100)));
        assert!(view(0, to_nanos(98 * SECOND)).is_some());
        assert_eq!(view(0, to_nanos(100 * SECOND)), None);
    }
}

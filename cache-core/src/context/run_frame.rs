//! The frame of a run under way: collects what its entry will depend on, and knows which runs it was called from.

use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use crate::flight::single::FlightId;
use crate::freshness::dependencies::Dependencies;
use crate::freshness::invalidation::Freshness;
use crate::freshness::watch;
use crate::scope::Scope;
use crate::tag::{NamedTag, TagSet};
use crate::thread_cache::thread::OUTSIDE;
use crate::trust::deadline::TrustDeadline;
use crate::util::sync::lock;

/// The next number of a run or an observer.
pub(super) static NEXT_NUMBER: AtomicU64 = AtomicU64::new(OUTSIDE + 1);

/// One run: where it collects what its entry depends on.
#[derive(Debug)]
pub(crate) struct Frame {
    /// Of no other run as long as the process lives.
    pub(crate) number: u64,
    /// The cache it is a run of.
    pub(crate) cache: u64,
    /// `None` for a run that nobody waits for: bypassed, or a recursion.
    pub(crate) flight: Option<FlightId>,
    /// The run that called the function.
    parent: Option<Weak<Frame>>,
    /// The nearest run that may wait for this one: that which called it, or, as what runs leave behind may go on and call
    /// others, one further up. Those that are over are left out, so that a chain of such keeps none of them.
    above: Mutex<Option<Arc<Frame>>>,
    /// Its flight has landed.
    over: AtomicBool,
    /// What it is a part of, where memory is bounded.
    pub(crate) recursion: Option<Recursion>,
    /// `None` for what is no run.
    pub(crate) scope: Option<Scope>,
    collected: Mutex<Collected>,
    /// Once its body has begun.
    body: OnceLock<Body>,
    /// It, or a run that waits for it, holds leases that are to be given up once it is dead.
    watched: AtomicBool,
}

/// The runs of one function that call each other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recursion {
    pub(crate) function: u64,
    /// When the outermost of them began, by the clock of evictions of the function's memory.
    pub(crate) since: u64,
    /// This run isn't the outermost.
    pub(crate) is_nested: bool,
}

/// What a run depends on for certain, and which stamp it holds for the tags it adds.
#[derive(Debug)]
struct Body {
    own: Dependencies,
    stamp: u64,
    freshness: Arc<Freshness>,
}

/// So much inherited is searched for duplicates, which few runs come to: what a thread's table answers again isn't even
/// reported again.
const COMPACT_AT: usize = 1024;

/// What a run collected.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    pub(crate) tags: TagSet,
    /// Of everything it used.
    pub(crate) inherited: Vec<Dependencies>,
    /// It, or something it used, must not be stored.
    pub(crate) uncached: bool,
    /// Until when everything it used may be used though no backend vouches for it; see [`TrustDeadline`].
    pub(crate) trust_deadline: TrustDeadline,
    pub(crate) ttl: Option<Duration>,
    /// When `inherited` is next searched for duplicates.
    compact_at: usize,
    /// So many of `inherited` were found live at this epoch.
    checked: (usize, u64),
    /// The runs that it has called and waits for, and some that are over.
    running: Vec<Weak<Frame>>,
    closed: bool,
}

/// So many of these are kept before those that are over are taken out.
const RUNNING: usize = 8;

/// A check looks at so many runs under way. One that has more below it is taken for live, and found out at its end.
const MOST_CHECKED: usize = 1_000;

impl Collected {
    fn add(&mut self, dependencies: &Dependencies) {
        if self.inherited.last().is_some_and(|last| last.is_same(dependencies)) {
            return;
        }
        self.inherited.push(dependencies.clone());
        if self.inherited.len() >= self.compact_at {
            // A loop over the same few children must not grow it.
            self.inherited.sort_unstable_by_key(Dependencies::place);
            self.inherited.dedup_by(|a, b| a.is_same(b));
            self.compact_at = (self.inherited.len() * 4).max(COMPACT_AT);
            self.checked = (0, 0);
        }
    }

    /// Whether all it inherited is live at this epoch, which was read before.
    fn is_live_at(&mut self, epoch: u64) -> bool {
        let (checked, at) = self.checked;
        let unchecked = self.inherited.get(if at == epoch { checked } else { 0 }..).unwrap_or_default();
        let live = unchecked.iter().all(|dependencies| dependencies.is_live_at(epoch));
        if live {
            self.checked = (self.inherited.len(), epoch);
        }
        live
    }

    fn add_running(&mut self, run: &Arc<Frame>) {
        if self.running.len() == self.running.capacity() && self.running.len() >= RUNNING {
            self.running.retain(|run| run.upgrade().is_some_and(|run| !run.is_over()));
        }
        self.running.push(Arc::downgrade(run));
    }
}

impl Frame {
    pub(crate) fn new(cache: u64, flight: Option<FlightId>, parent: Option<&Arc<Self>>, scope: Option<Scope>) -> Self {
        let collected = Mutex::new(Collected { compact_at: COMPACT_AT, ..Collected::default() });
        let above = Mutex::new(parent.and_then(Self::still_running));
        let watched = AtomicBool::new(parent.is_some_and(|parent| parent.is_watched()));
        let parent = parent.map(Arc::downgrade);
        let number = NEXT_NUMBER.fetch_add(1, Ordering::Relaxed);
        let over = AtomicBool::new(false);
        let (body, recursion) = (OnceLock::new(), None);
        Self { number, cache, flight, parent, above, over, recursion, scope, collected, body, watched }
    }

    /// The same as a part of a recursion.
    pub(crate) fn in_recursion(mut self, recursion: Option<Recursion>) -> Self {
        self.recursion = recursion;
        self
    }

    /// The body begins: what the run depends on for certain, and its stamp. The run that called it depends on it from now on.
    pub(crate) fn begin_body(self: &Arc<Self>, own: Dependencies, stamp: u64, freshness: Arc<Freshness>) {
        if self.body.set(Body { own, stamp, freshness }).is_ok()
            && let Some(parent) = self.parent()
        {
            parent.change(|collected| collected.add_running(self));
            self.may_be_dead(|| self.body.get().is_some_and(|body| !body.own.is_live()));
        }
    }

    /// From now on, whoever adds what is dead already has it looked at.
    pub(crate) fn set_watched(&self) {
        self.watched.store(true, Ordering::Relaxed);
    }

    fn is_watched(&self) -> bool {
        self.watched.load(Ordering::Relaxed)
    }

    /// It has come to depend on more, which the last look may not have seen.
    fn may_be_dead(&self, is_dead: impl FnOnce() -> bool) {
        if self.is_watched() && is_dead() {
            watch::look_soon();
        }
    }

    /// Whether nothing is known to have been invalidated of what the run depends on so far, the runs that it has called and
    /// waits for included. `true` before its body has begun.
    pub(crate) fn is_live(self: &Arc<Self>) -> bool {
        let mut due = vec![Arc::clone(self)];
        for _ in 0..MOST_CHECKED {
            let Some(run) = due.pop() else { break };
            if !run.is_live_itself(&mut due) {
                return false;
            }
        }
        true
    }

    /// The same without the runs that it has called, which come to those that are `due`.
    fn is_live_itself(&self, due: &mut Vec<Arc<Self>>) -> bool {
        let Some(Body { own, stamp, freshness }) = self.body.get() else { return true };
        // Before what is looked at: see `freshness`, invariant 3.
        let epoch = freshness.epoch();
        if !own.is_live() {
            return false;
        }
        let mut collected = lock(&self.collected);
        due.extend(collected.running.iter().filter_map(Weak::upgrade).filter(|run| !run.is_over()));
        if !collected.is_live_at(epoch) {
            return false;
        }
        let added = collected.tags.clone();
        drop(collected);
        let scope = self.scope.as_ref().map_or("", Scope::name);
        let is_older = |tag: NamedTag| !freshness.intern_below(tag.id, tag.head).is_newer_than(*stamp);
        added.is_empty() || added.carried_in(scope).into_iter().all(is_older)
    }

    /// This one, or the nearest above that isn't over.
    fn still_running(self: &Arc<Self>) -> Option<Arc<Self>> {
        let mut nearest = Some(Arc::clone(self));
        Self::skip_over(&mut nearest);
        if let Some(frame) = &nearest {
            let mut above = frame.above();
            Self::skip_over(&mut above);
            // Dropped after the lock.
            let _before = mem::replace(&mut *lock(&frame.above), above);
        }
        nearest
    }

    fn skip_over(frame: &mut Option<Arc<Self>>) {
        while let Some(over) = frame.take_if(|frame| frame.is_over()) {
            *frame = over.above();
        }
    }

    fn above(&self) -> Option<Arc<Self>> {
        lock(&self.above).clone()
    }

    /// Its flight has landed, or it had none: nobody waits in it any more.
    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::Release);
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// The run that called the function, unless it is over.
    pub(crate) fn parent(&self) -> Option<Arc<Self>> {
        self.parent.as_ref()?.upgrade()
    }

    /// For what happens during a run and is no part of it. It can't wait for that run either: it holds it up.
    pub(crate) fn beside(run: &Arc<Self>) -> Self {
        let beside = Self::new(run.cache, None, Some(run), None);
        beside.close();
        beside
    }

    /// The flights of this run and of those it was called from.
    pub(crate) fn flights(&self) -> Vec<FlightId> {
        let mut flights = Vec::from_iter(self.flight);
        let mut frame = self.above();
        while let Some(run) = frame {
            flights.extend(run.flight);
            frame = run.above();
        }
        flights
    }

    /// Takes in what the run depends on because it used this entry.
    pub(crate) fn inherit(&self, dependencies: &Dependencies, uncached: bool, trust_deadline: TrustDeadline) {
        let mut collected = lock(&self.collected);
        if collected.closed {
            return;
        }
        collected.uncached |= uncached;
        let trust_deadline =
            if dependencies.cache() == self.cache { trust_deadline } else { trust_deadline.elsewhere() };
        collected.trust_deadline = collected.trust_deadline.min(trust_deadline);
        collected.add(dependencies);
        drop(collected);
        self.may_be_dead(|| !dependencies.is_live());
    }

    /// Tags that the run has added.
    pub(crate) fn add_tags(&self, tags: TagSet) {
        self.change(|collected| collected.tags.append(tags));
        // Seldom, so without a look of its own.
        self.may_be_dead(|| true);
    }

    /// Takes in what was collected beside it, by a run of this cache.
    pub(crate) fn take_in(&self, cache: u64, more: &Collected) {
        let trust_deadline = if cache == self.cache { more.trust_deadline } else { more.trust_deadline.elsewhere() };
        self.change(|collected| {
            collected.uncached |= more.uncached;
            collected.trust_deadline = collected.trust_deadline.min(trust_deadline);
            more.inherited.iter().for_each(|dependencies| collected.add(dependencies));
        });
        self.may_be_dead(|| !more.inherited.iter().all(Dependencies::is_live));
    }

    /// Ends the collecting: what is reported later, by something the run left behind, no longer counts.
    pub(crate) fn close(&self) -> Collected {
        let mut collected = lock(&self.collected);
        mem::replace(&mut *collected, Collected { closed: true, ..Collected::default() })
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Collected)) {
        let mut collected = lock(&self.collected);
        if !collected.closed {
            change(&mut collected);
        }
    }
}

/// One after the other: a chain of them would overflow the stack.
impl Drop for Frame {
    fn drop(&mut self) {
        let mut next = take_above(self);
        while let Some(frame) = next {
            next = Arc::into_inner(frame).and_then(|mut last| take_above(&mut last));
        }
    }
}

fn take_above(frame: &mut Frame) -> Option<Arc<Frame>> {
    frame.above.get_mut().unwrap_or_else(PoisonError::into_inner).take()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::BootInstant;
    use crate::backend::TagId;
    use crate::entry::birth::Born;
    use crate::entry::policy::Lifespan;
    use crate::entry::{CachedEntry, EntryOf, Meta};
    use crate::freshness::epoch::EPOCH;
    use crate::freshness::function_tags::BaseTags;
    use crate::rt::clock::{Clock, NEVER, to_nanos};
    use crate::trust::layers::testing::{Mute, validity, vouch};
    use crate::trust::validity::Validity;

    #[test]
    fn a_loop_over_the_same_children_grows_nothing() {
        let freshness = Freshness::new(&EPOCH);
        let base = Arc::new(BaseTags::new(1, &freshness, [TagId(1)]));
        let child = |id| Dependencies::own(Arc::clone(&base), Some(freshness.intern(TagId(id))), Vec::new(), 1, &[]);
        let children = [2, 3, 4].map(child);
        let frame = || Frame::new(1, None, None, None);
        let (returned, given_up) = (frame(), frame());
        for _ in 0..10 * COMPACT_AT {
            let beside = frame();
            for child in &children {
                returned.inherit(child, false, TrustDeadline::default());
                beside.inherit(child, false, TrustDeadline::default());
            }
            given_up.take_in(1, &beside.close());
        }
        for run in [returned, given_up] {
            assert!((3..=COMPACT_AT).contains(&run.close().inherited.len()));
        }
    }

    const SECOND: Duration = Duration::from_secs(1);

    /// An entry of the cache of this number.
    fn entry(
        (cache, validity): (u64, &Validity),
        lifespan: Lifespan,
        trust_deadline: TrustDeadline,
    ) -> Arc<CachedEntry> {
        let base = Arc::new(BaseTags::new(cache, &validity.freshness, [TagId(1)]));
        let dependencies = Dependencies::own(base, Some(validity.freshness.intern(TagId(2))), Vec::new(), 1, &[]);
        EntryOf::erased(Meta::new(None, dependencies, lifespan, Born::default(), trust_deadline, 1, false), 5_u8)
    }

    /// What a run in one cache makes of an entry of another one is as old as that one's backends left it.
    #[test]
    fn nobody_vouches_for_what_is_of_another_cache() {
        let clock = Clock::manual();
        let [own, other] = [(), ()].map(|()| validity(&clock, [Mute::new(SECOND)]));
        let (here, there) = ((1, &own), (2, &other));
        let nanos = |seconds: u64| to_nanos(SECOND) * seconds;
        let of_other = entry(there, Lifespan::until(NEVER), TrustDeadline::new(nanos(5)));
        let of_own = entry(here, Lifespan::until(NEVER), TrustDeadline::new(nanos(3)));
        let made_of = |entries: &[&Arc<CachedEntry>]| {
            let frame = Frame::new(1, None, None, None);
            entries
                .iter()
                .for_each(|entry| frame.inherit(entry.meta.dependencies(), false, entry.meta.trust_deadline()));
            entry(here, Lifespan::until(NEVER), frame.close().trust_deadline)
        };
        vouch(&own, 0, BootInstant::now() + 3_600 * SECOND);
        let (unmixed, mixed) = (made_of(&[&of_own]), made_of(&[&of_own, &of_other]));
        let of_mixed = made_of(&[&mixed]);
        clock.advance(4 * SECOND);
        assert!([&unmixed, &mixed, &of_mixed].iter().all(|entry| entry.is_usable(&own)));
        clock.advance(2 * SECOND);
        assert!(unmixed.is_usable(&own) && !mixed.is_usable(&own) && !of_mixed.is_usable(&own));
        assert_eq!(
            (unmixed.staleness(&own), of_mixed.staleness(&own)),
            (Some(crate::entry::policy::Staleness::Fresh), None)
        );
    }
}

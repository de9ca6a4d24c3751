//! One run per key: flights, those who wait for them, and the hand-over when a leader goes away.
//!
//! # Invariants
//!
//! 1. A key has at most one current flight. It ends exactly once: landed with an outcome or abandoned.
//! 2. The leader holds the [`Leader`] guard. However it goes away (done, error, cancel, panic), the flight ends and
//!    everyone who waits is woken; of those who were woken to nothing, the first one leads the next flight.
//! 3. A flight that nobody should join any more (its run is known to be stale) can be succeeded while it still flies,
//!    but its successor can't be before it has ended: so at most two runs of a key overlap, however fast invalidations
//!    come.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::future::{Future, poll_fn};
use std::hash::{BuildHasher, BuildHasherDefault};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Poll, Waker};

use std::sync::atomic::{AtomicU64, Ordering};

use crate::freshness::IdHasher;
use crate::sync::{Arc, Mutex, Weak, lock};

/// Names a flight in the whole process. Later flights have greater ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FlightId(u64);

impl FlightId {
    /// The id of the next flight: every flight that starts from now on has at least this one.
    pub(crate) fn upcoming() -> Self {
        Self(NEXT_ID.load(Ordering::Acquire))
    }

    fn next() -> Self {
        Self(NEXT_ID.fetch_add(1, Ordering::AcqRel))
    }
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// A run and everyone who waits for it. `O` is what it ends with, `P` what is known of it while it flies.
#[derive(Debug)]
pub(crate) struct Flight<O, P> {
    id: FlightId,
    state: Mutex<State<O, P>>,
    predecessor: Option<Weak<Flight<O, P>>>,
}

#[derive(Debug)]
struct State<O, P> {
    phase: Phase<O>,
    progress: P,
    /// In the order of arrival.
    waiting: BTreeMap<u64, Waker>,
    next_waiter: u64,
}

#[derive(Debug)]
enum Phase<O> {
    Flying,
    Landed(O),
    Abandoned,
}

impl<O: Clone, P> Flight<O, P> {
    fn new(progress: P, predecessor: Option<Weak<Flight<O, P>>>) -> Self {
        let state = State { phase: Phase::Flying, progress, waiting: BTreeMap::new(), next_waiter: 0 };
        Self { id: FlightId::next(), state: Mutex::new(state), predecessor }
    }

    pub(crate) fn id(&self) -> FlightId {
        self.id
    }

    fn is_flying(&self) -> bool {
        matches!(lock(&self.state).phase, Phase::Flying)
    }

    fn end(&self, phase: Phase<O>) {
        let mut state = lock(&self.state);
        if matches!(state.phase, Phase::Flying) {
            state.phase = phase;
            let waiting = std::mem::take(&mut state.waiting);
            drop(state);
            // Outside the lock: a waker may run anything. What it does is no reason to leave the others waiting, nor to keep
            // from the caller what its run came to.
            for waker in waiting.into_values() {
                let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
            }
        }
    }

    /// Waits for the end: the outcome, or `None` if the leader went away without one.
    ///
    /// Cancel safe: a dropped waiter leaves no trace.
    pub(crate) async fn wait(self: &Arc<Self>) -> Option<O> {
        let mut waiter = Waiter { flight: self, number: None };
        poll_fn(|cx| {
            // Cloned and dropped outside the lock: a waker may run anything.
            let waker = cx.waker().clone();
            let mut state = lock(&waiter.flight.state);
            match &state.phase {
                Phase::Landed(outcome) => Poll::Ready(Some(outcome.clone())),
                Phase::Abandoned => Poll::Ready(None),
                Phase::Flying => {
                    let number = *waiter.number.get_or_insert_with(|| {
                        state.next_waiter += 1;
                        state.next_waiter
                    });
                    let replaced = state.waiting.insert(number, waker);
                    drop(state);
                    drop(replaced);
                    Poll::Pending
                }
            }
        })
        .await
    }
}

struct Waiter<'a, O, P> {
    flight: &'a Flight<O, P>,
    number: Option<u64>,
}

impl<O, P> Drop for Waiter<'_, O, P> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            let waker = lock(&self.flight.state).waiting.remove(&number);
            drop(waker); // outside the lock
        }
    }
}

/// What flights are told apart by.
pub(crate) trait Key: Clone {
    /// Equal keys have equal hashes.
    fn hash_code(&self) -> u64;

    /// Whether it is that key, as far as can be told without code of the user's. A clone is always told to be it.
    fn is_known_to_be(&self, other: &Self) -> Option<bool>;

    /// Whether it is that key, by the user's word.
    fn is(&self, other: &Self) -> bool;
}

const SHARDS: usize = 16;

/// The flights of one function, by key.
#[derive(Debug)]
pub(crate) struct Flights<K, O, P> {
    shards: [Mutex<Map<K, O, P>>; SHARDS],
}

/// By the hashes of the keys, which they bring along. Not by the keys: a map would ask the user under the lock whether
/// they are equal.
type Map<K, O, P> = HashMap<u64, OneHash<K, O, P>, BuildHasherDefault<IdHasher>>;

/// The current flights of the keys of one hash: hardly ever more than one.
#[derive(Debug)]
struct OneHash<K, O, P> {
    first: Current<K, O, P>,
    more: Vec<Current<K, O, P>>,
}

#[derive(Debug)]
struct Current<K, O, P> {
    key: K,
    flight: Arc<Flight<O, P>>,
}

impl<K, O, P> OneHash<K, O, P> {
    fn iter(&self) -> impl Iterator<Item = &Current<K, O, P>> {
        std::iter::once(&self.first).chain(&self.more)
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = &mut Current<K, O, P>> {
        std::iter::once(&mut self.first).chain(&mut self.more)
    }
}

/// Keys that a user was asked about, with the answers.
struct Asked<K>(Vec<(K, bool)>);

impl<K: Key> Asked<K> {
    /// Which of these flights is the key's. `Err`: the user has to be asked about this key first.
    fn find<O, P>(&self, flights: &OneHash<K, O, P>, key: &K) -> Result<Option<usize>, K> {
        for (place, current) in flights.iter().enumerate() {
            let told = |(other, is): &(K, bool)| (other.is_known_to_be(&current.key) == Some(true)).then_some(*is);
            let is = current.key.is_known_to_be(key).or_else(|| self.0.iter().find_map(told));
            match is {
                Some(true) => return Ok(Some(place)),
                Some(false) => {}
                None => return Err(current.key.clone()),
            }
        }
        Ok(None)
    }
}

/// What a caller becomes.
pub(crate) enum Role<K: Key, O: Clone, P> {
    /// It runs the body.
    Lead(Leader<K, O, P>),
    /// It waits for this flight.
    Join(Arc<Flight<O, P>>),
}

impl<K: Key, O: Clone, P> Flights<K, O, P> {
    pub(crate) fn new() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()) }
    }

    fn shard(&self, hash: u64) -> &Mutex<Map<K, O, P>> {
        &self.shards[(BuildHasherDefault::<IdHasher>::default().hash_one(hash) >> 60) as usize % SHARDS]
    }

    /// Does something under the lock, knowing which of the flights of the key's hash is its own, if it has one.
    fn locked<R>(&self, key: &K, act: impl FnOnce(&mut Map<K, O, P>, u64, Option<usize>) -> R) -> R {
        let hash = key.hash_code();
        // Dropped after the lock, as they may be the last of their kind.
        let mut asked = Asked(Vec::new());
        loop {
            let mut shard = lock(self.shard(hash));
            match shard.get(&hash).map_or(Ok(None), |flights| asked.find(flights, key)) {
                Ok(place) => return act(&mut shard, hash, place),
                Err(unknown) => {
                    // Outside the lock: the user's `Eq` may run anything. Each answer counts as long as it is needed, so
                    // this ends unless others come and go faster than they are asked about.
                    drop(shard);
                    let is = unknown.is(key);
                    asked.0.push((unknown, is));
                }
            }
        }
    }

    /// Joins the key's flight if there is one that `joinable` accepts (or that can't be succeeded yet); else leads a
    /// new one.
    pub(crate) fn join_or_lead(
        self: &Arc<Self>,
        key: &K,
        progress: P,
        joinable: impl FnOnce(FlightId, &mut P) -> bool,
    ) -> Role<K, O, P> {
        // Dropped after the lock: they may hold the last of a value.
        let (mut before, mut replaced) = (None, None);
        let role = self.locked(key, |shard, hash, place| {
            let current = place.and_then(|place| shard.get_mut(&hash)?.iter_mut().nth(place));
            if let Some(Current { flight, .. }) = &current {
                if joinable(flight.id, &mut lock(&flight.state).progress) {
                    return Role::Join(Arc::clone(flight));
                }
                before = flight.predecessor.as_ref().and_then(Weak::upgrade);
                if before.as_ref().is_some_and(|before| before.is_flying()) {
                    return Role::Join(Arc::clone(flight));
                }
            }
            let predecessor = current.as_ref().map(|current| Arc::downgrade(&current.flight));
            let flight = Arc::new(Flight::new(progress, predecessor));
            match current {
                Some(current) => replaced = Some(std::mem::replace(&mut current.flight, Arc::clone(&flight))),
                None => add(shard, hash, Current { key: key.clone(), flight: Arc::clone(&flight) }),
            }
            Role::Lead(Leader { flights: Arc::clone(self), key: key.clone(), flight, landed: false })
        });
        drop((before, replaced));
        role
    }

    /// The key's flight, if it has one.
    pub(crate) fn current(&self, key: &K) -> Option<Arc<Flight<O, P>>> {
        self.locked(key, |shard, hash, place| {
            shard.get(&hash)?.iter().nth(place?).map(|current| Arc::clone(&current.flight))
        })
    }

    /// How many keys have a flight.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).values().map(|flights| 1 + flights.more.len()).sum::<usize>()).sum()
    }

    fn remove(&self, key: &K, flight: &Arc<Flight<O, P>>) {
        let hash = key.hash_code();
        let mut shard = lock(self.shard(hash));
        if let Some(removed) = take(&mut shard, hash, flight) {
            if shard.is_empty() && shard.capacity() > 64 {
                shard.shrink_to_fit();
            }
            drop(shard);
            drop(removed);
        }
    }
}

fn add<K, O, P>(shard: &mut Map<K, O, P>, hash: u64, current: Current<K, O, P>) {
    match shard.entry(hash) {
        Entry::Vacant(place) => {
            place.insert(OneHash { first: current, more: Vec::new() });
        }
        Entry::Occupied(place) => place.into_mut().more.push(current),
    }
}

/// By its place, whatever its key: only it is this one.
fn take<K, O, P>(shard: &mut Map<K, O, P>, hash: u64, flight: &Arc<Flight<O, P>>) -> Option<Current<K, O, P>> {
    let is_it = |current: &Current<K, O, P>| Arc::ptr_eq(&current.flight, flight);
    let flights = shard.get_mut(&hash)?;
    if let Some(place) = flights.more.iter().position(is_it) {
        return Some(flights.more.swap_remove(place));
    }
    if !is_it(&flights.first) {
        return None;
    }
    match flights.more.pop() {
        Some(last) => Some(std::mem::replace(&mut flights.first, last)),
        None => shard.remove(&hash).map(|flights| flights.first),
    }
}

/// The duty to end a flight. Dropping it abandons the flight.
pub(crate) struct Leader<K: Key, O: Clone, P> {
    flights: Arc<Flights<K, O, P>>,
    key: K,
    flight: Arc<Flight<O, P>>,
    landed: bool,
}

impl<K: Key, O: Clone, P> Leader<K, O, P> {
    pub(crate) fn id(&self) -> FlightId {
        self.flight.id
    }

    /// Tells what is known of the run.
    pub(crate) fn set_progress<R>(&self, change: impl FnOnce(&mut P) -> R) -> R {
        change(&mut lock(&self.flight.state).progress)
    }

    /// Ends the flight with this outcome.
    pub(crate) fn land(mut self, outcome: O) {
        self.landed = true;
        self.end(Phase::Landed(outcome));
    }

    fn end(&self, phase: Phase<O>) {
        // First out of the map, then the wake-up: who is woken must not join this flight again.
        self.flights.remove(&self.key, &self.flight);
        self.flight.end(phase);
    }
}

impl<K: Key, O: Clone, P> Drop for Leader<K, O, P> {
    fn drop(&mut self) {
        if !self.landed {
            self.end(Phase::Abandoned);
        }
    }
}

/// Only here so that a `wait` is known to be `Send`.
#[allow(dead_code, reason = "checked by the compiler, never called")]
fn wait_is_send(flight: &Arc<Flight<u8, u8>>) -> impl Future<Output = Option<u8>> + Send {
    flight.wait()
}

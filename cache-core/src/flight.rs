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

use std::collections::{BTreeMap, HashMap};
use std::future::{Future, poll_fn};
use std::hash::{BuildHasher, BuildHasherDefault, Hash};
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

    fn follows_a_flying_one(&self) -> bool {
        self.predecessor.as_ref().and_then(Weak::upgrade).is_some_and(|before| before.is_flying())
    }

    fn end(&self, phase: Phase<O>) {
        let mut state = lock(&self.state);
        if matches!(state.phase, Phase::Flying) {
            state.phase = phase;
            let waiting = std::mem::take(&mut state.waiting);
            drop(state);
            // Outside the lock: a waker may run anything.
            for waker in waiting.into_values() {
                waker.wake();
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

const SHARDS: usize = 16;

/// The flights of one function, by key.
#[derive(Debug)]
pub(crate) struct Flights<K, O, P> {
    shards: [Mutex<Map<K, O, P>>; SHARDS],
}

/// Keys bring a hash along.
type Map<K, O, P> = HashMap<K, Arc<Flight<O, P>>, BuildHasherDefault<IdHasher>>;

/// What a caller becomes.
pub(crate) enum Role<K: Eq + Hash + Clone, O: Clone, P> {
    /// It runs the body.
    Lead(Leader<K, O, P>),
    /// It waits for this flight.
    Join(Arc<Flight<O, P>>),
}

impl<K: Eq + Hash + Clone, O: Clone, P> Flights<K, O, P> {
    pub(crate) fn new() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()) }
    }

    fn shard(&self, key: &K) -> &Mutex<Map<K, O, P>> {
        &self.shards[(BuildHasherDefault::<IdHasher>::default().hash_one(key) >> 60) as usize % SHARDS]
    }

    /// Joins the key's flight if there is one that `joinable` accepts (or that can't be succeeded yet); else leads a
    /// new one.
    pub(crate) fn join_or_lead(
        self: &Arc<Self>,
        key: &K,
        progress: P,
        joinable: impl FnOnce(FlightId, &P) -> bool,
    ) -> Role<K, O, P> {
        let mut shard = lock(self.shard(key));
        let predecessor = match shard.get(key) {
            None => None,
            Some(flight) => {
                if joinable(flight.id, &lock(&flight.state).progress) || flight.follows_a_flying_one() {
                    return Role::Join(Arc::clone(flight));
                }
                Some(Arc::downgrade(flight))
            }
        };
        let flight = Arc::new(Flight::new(progress, predecessor));
        let replaced = shard.insert(key.clone(), Arc::clone(&flight));
        drop(shard);
        drop(replaced);
        Role::Lead(Leader { flights: Arc::clone(self), key: key.clone(), flight })
    }

    /// The key's flight, if it has one.
    pub(crate) fn current(&self, key: &K) -> Option<Arc<Flight<O, P>>> {
        lock(self.shard(key)).get(key).map(Arc::clone)
    }

    /// How many keys have a flight.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    fn remove(&self, key: &K, flight: &Arc<Flight<O, P>>) {
        let mut shard = lock(self.shard(key));
        if shard.get(key).is_some_and(|current| Arc::ptr_eq(current, flight)) {
            let removed = shard.remove_entry(key);
            if shard.is_empty() && shard.capacity() > 64 {
                shard.shrink_to_fit();
            }
            drop(shard);
            drop(removed);
        }
    }
}

/// The duty to end a flight. Dropping it abandons the flight.
pub(crate) struct Leader<K: Eq + Hash + Clone, O: Clone, P> {
    flights: Arc<Flights<K, O, P>>,
    key: K,
    flight: Arc<Flight<O, P>>,
}

impl<K: Eq + Hash + Clone, O: Clone, P> Leader<K, O, P> {
    pub(crate) fn id(&self) -> FlightId {
        self.flight.id
    }

    /// Tells what is known of the run.
    pub(crate) fn set_progress(&self, change: impl FnOnce(&mut P)) {
        change(&mut lock(&self.flight.state).progress);
    }

    /// Ends the flight with this outcome.
    pub(crate) fn land(self, outcome: O) {
        self.end(Phase::Landed(outcome));
    }

    fn end(&self, phase: Phase<O>) {
        // First out of the map, then the wake-up: who is woken must not join this flight again.
        self.flights.remove(&self.key, &self.flight);
        self.flight.end(phase);
    }
}

impl<K: Eq + Hash + Clone, O: Clone, P> Drop for Leader<K, O, P> {
    fn drop(&mut self) {
        self.end(Phase::Abandoned);
    }
}

/// Only here so that a `wait` is known to be `Send`.
#[allow(dead_code, reason = "checked by the compiler, never called")]
fn wait_is_send(flight: &Arc<Flight<u8, u8>>) -> impl Future<Output = Option<u8>> + Send {
    flight.wait()
}

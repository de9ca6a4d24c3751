//! One run per key: the flights of one function, and the hand-over when a leader goes away.
//!
//! # Invariants
//!
//! 1. The leader holds the [`Leader`] guard. However it goes away (done, error, cancel, panic), the flight ends; of those
//!    who were woken to nothing, the first one leads the next flight.
//! 2. Calls join the latest flight. One that they shouldn't join any more (its run is known to be stale, or superseded) can
//!    be succeeded while it still flies, but only if it flies alone: so at most two runs of a key overlap, however fast
//!    invalidations come. Runs that were asked for on purpose ([`lead`](Flights::lead)) wait for none and add to these.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, BuildHasherDefault};

use crate::flight::single::{End, Flight, FlightId};
use crate::util::id_hasher::IdHasher;
use crate::util::sync::{Arc, Mutex, Weak, lock};

/// What flights are told apart by.
pub(crate) trait Key: Clone {
    /// Equal keys have equal hashes.
    fn hash_code(&self) -> u64;

    /// Whether it is that key, as far as can be told without code of the user's. A clone is always told to be it.
    fn is_known_to_be(&self, other: &Self) -> Option<bool>;

    /// Whether it is that key, by the user's word.
    fn is(&self, other: &Self) -> bool;

    /// Whether it takes code of the user's to tell it from others.
    fn asks_user(&self) -> bool;
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

/// Those of the keys of one hash: hardly ever more than one key.
#[derive(Debug)]
struct OneHash<K, O, P> {
    first: OneKey<K, O, P>,
    more: Vec<OneKey<K, O, P>>,
}

/// Those of one key.
#[derive(Debug)]
struct OneKey<K, O, P> {
    key: K,
    latest: Arc<Flight<O, P>>,
    /// Those before it that still fly, the oldest first: hardly ever any.
    before: Vec<Arc<Flight<O, P>>>,
}

impl<K, O, P> OneHash<K, O, P> {
    fn iter(&self) -> impl Iterator<Item = &OneKey<K, O, P>> {
        std::iter::once(&self.first).chain(&self.more)
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = &mut OneKey<K, O, P>> {
        std::iter::once(&mut self.first).chain(&mut self.more)
    }
}

impl<K, O, P> OneKey<K, O, P> {
    /// The oldest first.
    fn flights(&self) -> impl Iterator<Item = &Arc<Flight<O, P>>> {
        self.before.iter().chain([&self.latest])
    }
}

/// Keys that a user was asked about, with the answers. To be dropped outside of locks: they may be the last of their kind.
pub(crate) struct Asked<K> {
    /// Apart, as there are hardly ever two: so it takes no memory.
    first: Option<(K, bool)>,
    more: Vec<(K, bool)>,
}

impl<K: Key> Asked<K> {
    pub(crate) fn nothing() -> Self {
        Self { first: None, more: Vec::new() }
    }

    pub(crate) fn note(&mut self, key: K, is: bool) {
        match self.first {
            None => self.first = Some((key, is)),
            Some(_) => self.more.push((key, is)),
        }
    }

    /// The answer about this key.
    pub(crate) fn told(&self, key: &K) -> Option<bool> {
        let is = |(other, is): &(K, bool)| (other.is_known_to_be(key) == Some(true)).then_some(*is);
        self.first.iter().chain(&self.more).find_map(is)
    }

    /// Which of these keys it is. `Err`: the user has to be asked about this one first.
    fn find<O, P>(&self, flights: &OneHash<K, O, P>, key: &K) -> Result<Option<usize>, K> {
        for (place, current) in flights.iter().enumerate() {
            let is = current.key.is_known_to_be(key).or_else(|| self.told(&current.key));
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
    /// As many fly as may, and it can join none: it waits until one of them has ended, and asks again.
    Full(Vec<Arc<Flight<O, P>>>),
}

/// What a caller makes of the latest flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Latest {
    /// It joins.
    Joined,
    /// It doesn't.
    Stale,
    /// Nobody is at its run, nor will be: it ends here.
    Claimed,
}

impl<K: Key, O: Clone, P> Flights<K, O, P> {
    pub(crate) fn new() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()) }
    }

    fn shard(&self, hash: u64) -> &Mutex<Map<K, O, P>> {
        &self.shards[(BuildHasherDefault::<IdHasher>::default().hash_one(hash) >> 60) as usize % SHARDS]
    }

    /// Does something under the lock, knowing which of the keys of its hash it is, if it has a flight.
    fn locked<R>(&self, key: &K, act: impl FnOnce(&mut Map<K, O, P>, u64, Option<usize>) -> R) -> R {
        let hash = key.hash_code();
        let mut asked = Asked::nothing();
        loop {
            let mut shard = lock(self.shard(hash));
            match shard.get(&hash).map_or(Ok(None), |flights| asked.find(flights, key)) {
                Ok(place) => {
                    let left_behind = place.and_then(|place| take_left_behind(&mut shard, hash, place));
                    let result = act(&mut shard, hash, place.filter(|_| left_behind.is_none()));
                    drop(shard);
                    drop(left_behind);
                    return result;
                }
                Err(unknown) => {
                    // Outside the lock: the user's `Eq` may run anything. Each answer counts as long as it is needed, so
                    // this ends unless others come and go faster than they are asked about.
                    drop(shard);
                    let is = unknown.is(key);
                    asked.note(unknown, is);
                }
            }
        }
    }

    /// Joins the key's latest flight if `judge` says so; else leads a new one, if there is room for it.
    pub(crate) fn join_or_lead(
        self: &Arc<Self>,
        key: &K,
        progress: P,
        judge: impl FnOnce(FlightId, &mut P) -> Latest,
    ) -> Role<K, O, P> {
        // Dropped after the lock: it may hold the last of a value.
        let mut claimed = None;
        let role = self.locked(key, |shard, hash, place| {
            let Some(of_key) = place.and_then(|place| shard.get_mut(&hash)?.iter_mut().nth(place)) else {
                let flight = Arc::new(Flight::new(progress));
                add(shard, hash, OneKey { key: key.clone(), latest: Arc::clone(&flight), before: Vec::new() });
                return Role::Lead(self.leader(key, flight, Vec::new()));
            };
            let latest = &of_key.latest;
            match if latest.is_superseded() {
                Latest::Stale
            } else {
                latest.with_progress(|progress| judge(latest.id(), progress))
            } {
                Latest::Joined => return Role::Join(Arc::clone(latest)),
                Latest::Stale if !of_key.before.is_empty() => {
                    return Role::Full(of_key.flights().cloned().collect());
                }
                Latest::Stale => of_key.before.push(Arc::clone(latest)),
                Latest::Claimed => claimed = Some(Arc::clone(latest)),
            }
            let flight = Arc::new(Flight::new(progress));
            of_key.latest = Arc::clone(&flight);
            Role::Lead(self.leader(key, flight, of_key.before.iter().map(Arc::downgrade).collect()))
        });
        if let Some(claimed) = claimed {
            claimed.end(End::Abandoned);
        }
        role
    }

    /// Leads a new flight, whatever flies; others join it from now on. `None` if one of the key's flights is one of `own`.
    pub(crate) fn lead(self: &Arc<Self>, key: &K, progress: P, own: &[FlightId]) -> Option<Leader<K, O, P>> {
        self.locked(key, |shard, hash, place| {
            let flight = Arc::new(Flight::new(progress));
            let Some(of_key) = place.and_then(|place| shard.get_mut(&hash)?.iter_mut().nth(place)) else {
                add(shard, hash, OneKey { key: key.clone(), latest: Arc::clone(&flight), before: Vec::new() });
                return Some(self.leader(key, flight, Vec::new()));
            };
            if of_key.flights().any(|flight| own.contains(&flight.id())) {
                return None;
            }
            of_key.before.push(std::mem::replace(&mut of_key.latest, Arc::clone(&flight)));
            of_key.before.iter().for_each(|before| before.overtake());
            Some(self.leader(key, flight, of_key.before.iter().map(Arc::downgrade).collect()))
        })
    }

    fn leader(
        self: &Arc<Self>,
        key: &K,
        flight: Arc<Flight<O, P>>,
        before: Vec<Weak<Flight<O, P>>>,
    ) -> Leader<K, O, P> {
        let (hash, asks_user) = (key.hash_code(), key.asks_user());
        Leader { flights: Arc::clone(self), hash, asks_user, flight, before, ended: false }
    }

    /// How many flights there are.
    pub(crate) fn len(&self) -> usize {
        let of_key = |of_key: &OneKey<K, O, P>| 1 + of_key.before.len();
        let of_shard =
            |shard: &Mutex<Map<K, O, P>>| lock(shard).values().flat_map(OneHash::iter).map(of_key).sum::<usize>();
        self.shards.iter().map(of_shard).sum()
    }

    fn remove(&self, hash: u64, flight: &Arc<Flight<O, P>>) {
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

fn add<K, O, P>(shard: &mut Map<K, O, P>, hash: u64, of_key: OneKey<K, O, P>) {
    match shard.entry(hash) {
        Entry::Vacant(place) => {
            place.insert(OneHash { first: of_key, more: Vec::new() });
        }
        Entry::Occupied(place) => place.into_mut().more.push(of_key),
    }
}

/// A flight, and its key if it has no other.
type Taken<K, O, P> = (Option<Arc<Flight<O, P>>>, Option<OneKey<K, O, P>>);

/// By its place, whatever its key: only it is this one. What is taken is to be dropped after the lock.
fn take<K, O, P>(shard: &mut Map<K, O, P>, hash: u64, flight: &Arc<Flight<O, P>>) -> Option<Taken<K, O, P>> {
    let flights = shard.get_mut(&hash)?;
    let is_it = |other: &Arc<Flight<O, P>>| Arc::ptr_eq(other, flight);
    let place = flights.iter().position(|of_key| of_key.flights().any(is_it))?;
    let of_key = flights.iter_mut().nth(place)?;
    if let Some(place) = of_key.before.iter().position(is_it) {
        return Some((Some(of_key.before.remove(place)), None));
    }
    if let Some(latest) = of_key.before.pop() {
        return Some((Some(std::mem::replace(&mut of_key.latest, latest)), None));
    }
    Some((None, take_key(shard, hash, place)))
}

fn take_key<K, O, P>(shard: &mut Map<K, O, P>, hash: u64, place: usize) -> Option<OneKey<K, O, P>> {
    let flights = shard.get_mut(&hash)?;
    match place.checked_sub(1) {
        Some(place) => Some(flights.more.swap_remove(place)),
        None => match flights.more.pop() {
            Some(last) => Some(std::mem::replace(&mut flights.first, last)),
            None => shard.remove(&hash).map(|flights| flights.first),
        },
    }
}

/// The key and its flights, if they are the parent's of a forked process: they never end here. As the first who finds them
/// takes them away, the latest speaks for all.
fn take_left_behind<K, O: Clone, P>(shard: &mut Map<K, O, P>, hash: u64, place: usize) -> Option<OneKey<K, O, P>> {
    let latest = &shard.get(&hash)?.iter().nth(place)?.latest;
    if latest.id().has_leader() { None } else { take_key(shard, hash, place) }
}

/// The duty to end a flight. Dropping it abandons the flight.
pub(crate) struct Leader<K: Key, O: Clone, P> {
    flights: Arc<Flights<K, O, P>>,
    hash: u64,
    asks_user: bool,
    flight: Arc<Flight<O, P>>,
    /// Those that flew when this one began.
    before: Vec<Weak<Flight<O, P>>>,
    ended: bool,
}

impl<K: Key, O: Clone, P> Leader<K, O, P> {
    pub(crate) fn id(&self) -> FlightId {
        self.flight.id()
    }

    /// Tells what is known of the run.
    pub(crate) fn set_progress<R>(&self, change: impl FnOnce(&mut P) -> R) -> R {
        self.flight.with_progress(change)
    }

    /// Its flight.
    pub(crate) fn flight(&self) -> &Arc<Flight<O, P>> {
        &self.flight
    }

    /// See [`Flight::let_go`].
    pub(crate) fn let_go(&self) {
        self.flight.let_go();
    }

    /// Whether the result of a later flight has taken the place of this one's.
    pub(crate) fn is_superseded(&self) -> bool {
        self.flight.is_superseded()
    }

    /// Whether a run that was asked for on purpose may take the lease from others: not from a later one here.
    pub(crate) fn may_take_over(&self) -> bool {
        !self.flight.is_overtaken() && !self.is_superseded()
    }

    /// Puts the result where others find it, in the place of those of all flights that began before. `false` if that of a
    /// later one is there; then nothing is left in place, if need be by `take_out`.
    pub(crate) fn place(&self, put: impl FnOnce(), take_out: impl FnOnce()) -> bool {
        self.supersede_earlier();
        self.flight.place(put, take_out)
    }

    /// No result of a flight that began before takes any place from now on.
    pub(crate) fn supersede_earlier(&self) {
        self.before.iter().filter_map(Weak::upgrade).for_each(|before| before.supersede(self.asks_user));
    }

    /// Ends the flight with this outcome.
    pub(crate) fn land(self, outcome: O) {
        self.end_with(End::Landed(outcome));
    }

    /// Ends it without an outcome, as its run has failed.
    pub(crate) fn fail(self) {
        self.end_with(End::Failed);
    }

    /// Ends it without an outcome, as its run was cancelled.
    pub(crate) fn abandon(self) {
        self.end_with(End::Abandoned);
    }

    fn end_with(mut self, end: End<O>) {
        self.ended = true;
        self.end(end);
    }

    fn end(&self, end: End<O>) {
        // First out of the map, then the wake-up: who is woken must not join this flight again.
        self.flights.remove(self.hash, &self.flight);
        self.flight.end(end);
    }
}

impl<K: Key, O: Clone, P> Drop for Leader<K, O, P> {
    fn drop(&mut self) {
        if !self.ended {
            self.end(if std::thread::panicking() { End::Panicked } else { End::Abandoned });
        }
    }
}

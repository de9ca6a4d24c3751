//! Everything the processes share, behind one lock.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;
use std::time::Duration;

use super::Usage;
use super::buckets::Order;
use crate::backend::{Entry, EntryKey, LeaseRequest, LiveEntry, Reading, Seen, Stamp, TagId};

/// How many old entries each store looks at, to remove what is dead. More than one, so that garbage shrinks.
const SWEPT_PER_STORE: usize = 4;
/// Of so many keys it is remembered that their last run has left nothing, until another one begins.
const UNSTORED: usize = 64;

pub(super) struct State {
    pub(super) order: Order,
    entries: HashMap<EntryKey, Stored>,
    /// The entries from oldest to newest. Invariant: holds exactly the keys and numbers of `entries`.
    by_age: BTreeMap<u64, EntryKey>,
    /// How far the sweep has come.
    swept: u64,
    leases: HashMap<EntryKey, Held>,
    /// Keys whose last lease was given back without an entry, the latest last.
    unstored: VecDeque<EntryKey>,
    max_entries: Option<usize>,
}

struct Stored {
    blob: Vec<u8>,
    number: u64,
    stored: Duration,
    expires: Option<Duration>,
    /// When it ends unless it is touched.
    idle_until: Option<Duration>,
}

struct Held {
    token: u64,
    duration: Duration,
    follows_unstored: bool,
    waiters: HashMap<u64, Waker>,
}

impl Held {
    fn into_waiters(self) -> Waiters {
        Waiters(self.waiters.into_values().collect())
    }
}

pub(super) enum Answer {
    /// With those who waited for the one who held it.
    Granted {
        token: u64,
        stamp: Stamp,
        follows_unstored: bool,
        waiters: Waiters,
    },
    Busy {
        token: u64,
        duration: Duration,
        follows_unstored: bool,
    },
    Changed,
}

/// Wakers to call once the lock is free.
#[must_use]
pub(super) struct Waiters(Vec<Waker>);

impl Waiters {
    pub(super) fn wake(self) {
        self.0.into_iter().for_each(Waker::wake);
    }
}

impl Default for State {
    fn default() -> Self {
        Self {
            order: Order::new(),
            entries: HashMap::new(),
            by_age: BTreeMap::new(),
            swept: 0,
            leases: HashMap::new(),
            unstored: VecDeque::new(),
            max_entries: None,
        }
    }
}

impl State {
    pub(super) fn read(&mut self, key: &EntryKey, now: Duration) -> (Reading, Stamp) {
        let stamp = Stamp(self.order.now());
        self.remove_if_worthless(key, now);
        let found = self.entries.get(key).and_then(|stored| Some((stored, Entry::from_bytes(&stored.blob).ok()?)));
        let Some((stored, entry)) = found else {
            self.remove(key); // damaged, or nothing
            return (Reading { live: None, seen: Seen::default() }, stamp);
        };
        let remaining = stored.expires.map(|expires| expires.saturating_sub(now));
        let age = now.saturating_sub(stored.stored);
        (Reading { live: Some(LiveEntry { entry, remaining, age }), seen: Seen(stored.number) }, stamp)
    }

    pub(super) fn lease(
        &mut self,
        key: &EntryKey,
        request: LeaseRequest<'_>,
        duration: Duration,
        now: Duration,
    ) -> Answer {
        let LeaseRequest { seen, tags, take_over, .. } = request;
        self.remove_if_worthless(key, now);
        if !take_over && self.entries.get(key).is_some_and(|stored| stored.number != seen.0) {
            return Answer::Changed;
        }
        if let Some(held) = self.leases.get(key).filter(|_| !take_over) {
            let Held { token, duration, follows_unstored, .. } = *held;
            return Answer::Busy { token, duration, follows_unstored };
        }
        let waiters = self.leases.remove(key).map_or(Waiters(Vec::new()), Held::into_waiters);
        let follows_unstored = self.forget_unstored(key);
        // First the stamp: a bucket made now counts everything before now as invalidated.
        let stamp = Stamp(self.order.now());
        self.order.ensure(tags.iter().copied());
        let token = self.number();
        self.leases.insert(key.clone(), Held { token, duration, follows_unstored, waiters: HashMap::new() });
        Answer::Granted { token, stamp, follows_unstored, waiters }
    }

    /// Whether the key's last lease was given back without an entry.
    fn forget_unstored(&mut self, key: &EntryKey) -> bool {
        let place = self.unstored.iter().position(|unstored| unstored == key);
        place.and_then(|place| self.unstored.remove(place)).is_some()
    }

    /// The run has ended and left nothing. `None`: another lease, or none, is held by now.
    pub(super) fn release_unstored(&mut self, key: &EntryKey, token: u64) -> Option<Waiters> {
        let waiters = self.release(key, token)?;
        self.unstored.push_back(key.clone());
        if self.unstored.len() > UNSTORED {
            self.unstored.pop_front();
        }
        Some(waiters)
    }

    /// `None`: the lease is lost, nothing was written.
    pub(super) fn store(&mut self, key: &EntryKey, token: u64, entry: &Entry, now: Duration) -> Option<Waiters> {
        let waiters = self.release(key, token)?;
        self.remove(key);
        // Tags that were added during the run have had no bucket made for them yet.
        self.order.ensure(entry.tags.iter().map(|held| held.tag));
        let number = self.number();
        let from_now = |time: Option<Duration>| time.map(|time| now.saturating_add(time));
        let (expires, idle_until) = (from_now(entry.lifetimes.keep), from_now(entry.lifetimes.idle));
        let stored = Stored { blob: entry.to_bytes(), number, stored: now, expires, idle_until };
        self.entries.insert(key.clone(), stored);
        self.by_age.insert(number, key.clone());
        self.sweep(now);
        self.enforce_limit();
        Some(waiters)
    }

    /// It was used: it lives on for so long, if its other lifetimes allow.
    pub(super) fn touch(&mut self, key: &EntryKey, idle: Duration, now: Duration) {
        self.remove_if_worthless(key, now);
        if let Some(until) = self.entries.get_mut(key).and_then(|stored| stored.idle_until.as_mut()) {
            *until = now.saturating_add(idle).max(*until);
        }
    }

    pub(super) fn invalidate(&mut self, tags: &[TagId]) -> Stamp {
        Stamp(self.order.invalidate(tags))
    }

    /// `None`: another lease, or none, is held by now.
    pub(super) fn release(&mut self, key: &EntryKey, token: u64) -> Option<Waiters> {
        if self.leases.get(key)?.token != token {
            return None;
        }
        self.leases.remove(key).map(Held::into_waiters)
    }

    /// Whether that lease is still held; if so, `waker` is called when it ends. The waker it replaces goes to `waker`: a
    /// waker must not be dropped under the lock, it may own a lease.
    pub(super) fn watch(&mut self, key: &EntryKey, token: u64, waiter: u64, waker: &mut Option<Waker>) -> bool {
        let Some(held) = self.leases.get_mut(key).filter(|held| held.token == token) else { return false };
        if let Some(new) = waker.take() {
            *waker = held.waiters.insert(waiter, new);
        }
        true
    }

    /// The waker that was to be called.
    #[must_use]
    pub(super) fn unwatch(&mut self, key: &EntryKey, token: u64, waiter: u64) -> Option<Waker> {
        self.leases.get_mut(key).filter(|held| held.token == token)?.waiters.remove(&waiter)
    }

    /// All waiters, to make them look again.
    pub(super) fn take_waiters(&mut self) -> Waiters {
        Waiters(self.leases.values_mut().flat_map(|held| held.waiters.drain().map(|(_, waker)| waker)).collect())
    }

    pub(super) fn end_leases(&mut self) -> Waiters {
        let waiters = self.take_waiters();
        self.leases.clear();
        waiters
    }

    /// Numbers entries, leases and waiters, of all stores: never reused.
    pub(super) fn number(&mut self) -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        NEXT.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn limit(&mut self, max: usize) {
        self.max_entries = Some(max);
        self.enforce_limit();
    }

    pub(super) fn usage(&self) -> Usage {
        Usage {
            entries: self.entries.len(),
            bytes: self.entries.values().map(|stored| stored.blob.len()).sum(),
            tag_records: self.order.records(),
            leases: self.leases.len(),
        }
    }

    pub(super) fn blobs(&mut self) -> impl Iterator<Item = &mut Vec<u8>> {
        self.entries.values_mut().map(|stored| &mut stored.blob)
    }

    pub(super) fn remove(&mut self, key: &EntryKey) -> bool {
        match self.entries.remove(key) {
            Some(stored) => self.by_age.remove(&stored.number).is_some(),
            None => false,
        }
    }

    pub(super) fn remove_all(&mut self) {
        self.entries.clear();
        self.by_age.clear();
    }

    /// Removes the entry if it is too old, dead or not readable. What is dead stays dead: stamps only grow.
    fn remove_if_worthless(&mut self, key: &EntryKey, now: Duration) {
        let Some(stored) = self.entries.get(key) else { return };
        let expired = [stored.expires, stored.idle_until].into_iter().flatten().any(|end| end <= now);
        if expired || !Entry::tags_of(&stored.blob).is_ok_and(|tags| self.order.live(&tags)) {
            self.remove(key);
        }
    }

    fn sweep(&mut self, now: Duration) {
        let next: Vec<_> = self
            .by_age
            .range((Excluded(self.swept), Unbounded))
            .take(SWEPT_PER_STORE)
            .map(|(number, key)| (*number, key.clone()))
            .collect();
        // At the end it starts over.
        self.swept = if next.len() < SWEPT_PER_STORE { 0 } else { next.last().map_or(0, |(number, _)| *number) };
        for (_, key) in next {
            self.remove_if_worthless(&key, now);
        }
    }

    fn enforce_limit(&mut self) {
        while self.max_entries.is_some_and(|max| self.entries.len() > max) {
            let Some((_, key)) = self.by_age.pop_first() else { break };
            self.entries.remove(&key);
        }
    }
}

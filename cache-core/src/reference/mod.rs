//! [`SharedMemory`]: a backend in memory, for tests, and the reference implementation of the [`Backend`] contract.
//!
//! It simulates several processes inside one. It has one lock and needs no network, runtime or timer. Tests can give it a
//! manual clock, and inject the losses and faults that a real backend can suffer: see [`faults`].

mod buckets;
pub mod faults;
mod lease;
mod state;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use self::lease::{MemoryLease, Wait};
use self::state::{Answer, State};
use crate::backend::{
    Backend, BoxFuture, Busy, Entry, EntryKey, Lease, LeaseAnswer, LeaseRequest, ListenerHandle, Reading, Stamp,
    StoreAnswer, TagId,
};
use crate::error::{Error, ErrorKind};
use crate::rt::clock::Clock;

/// How long a lease is said to last when the caller doesn't say.
const DEFAULT_LEASE: Duration = Duration::from_secs(10);

/// A backend in memory, shared by all handles made from the same [`new`](Self::new).
///
/// A clone is a handle of the same process; [`another_process`](Self::another_process) makes a handle of another one.
/// Listeners of the other processes hear of an invalidation before `invalidate` returns.
///
/// A lease lasts as long as its guard: it needs no renewal, and its duration is only what [`Busy`] reports. A leaked guard
/// therefore holds its key forever, until [`expire_leases`](Self::expire_leases) ends it as the death of its process would.
///
/// ```
/// use cache_core::backend::{Backend, EntryKey};
/// use cache_core::reference::SharedMemory;
///
/// let first = SharedMemory::new();
/// let second = first.another_process();
/// # pollster::block_on(async {
/// let key = EntryKey::new(*b"key");
/// assert!(second.read(&key).await?.live.is_none());
/// # Ok::<(), cache_core::Error>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct SharedMemory {
    shared: Arc<Shared>,
    process: Arc<Process>,
}

/// What all processes share.
pub(crate) struct Shared {
    state: Mutex<State>,
    processes: Mutex<Vec<Weak<Process>>>,
    clock: Clock,
}

/// What belongs to one process.
#[derive(Default)]
pub(crate) struct Process {
    listeners: Mutex<Vec<ListenerHandle>>,
    /// The newest stamp heard of; 0 is none.
    known: AtomicU64,
    closed: AtomicBool,
    failing: Mutex<Option<ErrorKind>>,
}

/// No code that may panic runs under these locks, so a poisoned one is still in order.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SharedMemory {
    /// Makes an empty store with the system's clock.
    pub fn new() -> Self {
        Self::with_clock(Clock::system())
    }

    /// Makes an empty store whose lifetimes are measured with this clock.
    pub fn with_clock(clock: impl Into<Clock>) -> Self {
        let shared = Arc::new(Shared { state: Mutex::default(), processes: Mutex::default(), clock: clock.into() });
        Self::join(shared)
    }

    /// Bounds the number of entries of all processes together. The oldest are evicted first. With 0, each entry is evicted at
    /// once.
    #[must_use]
    pub fn with_max_entries(self, max: usize) -> Self {
        lock(&self.shared.state).limit(max);
        self
    }

    /// Makes a handle to the same store that counts as another process.
    #[must_use]
    pub fn another_process(&self) -> Self {
        Self::join(Arc::clone(&self.shared))
    }

    /// What the store holds at this moment, for tests of its bounds.
    pub fn usage(&self) -> Usage {
        lock(&self.shared.state).usage()
    }

    fn join(shared: Arc<Shared>) -> Self {
        let process = Arc::new(Process::default());
        let mut processes = lock(&shared.processes);
        processes.retain(|process| process.strong_count() > 0);
        processes.push(Arc::downgrade(&process));
        drop(processes);
        Self { shared, process }
    }

    /// The store, if this process may use it.
    fn state(&self) -> Result<MutexGuard<'_, State>, Error> {
        self.process.check()?;
        Ok(lock(&self.shared.state))
    }

    fn do_lease(&self, key: &EntryKey, request: LeaseRequest<'_>) -> Result<LeaseAnswer, Error> {
        let duration = request.duration.unwrap_or(DEFAULT_LEASE);
        let answer = self.state()?.lease(key, request, duration, self.shared.clock.now());
        Ok(match answer {
            Answer::Granted { token, stamp, follows_unstored, waiters } => {
                waiters.wake();
                self.process.learn(stamp);
                LeaseAnswer::Granted(Box::new(MemoryLease::new(&self.shared, key, token, stamp, follows_unstored)))
            }
            Answer::Busy { token, duration, follows_unstored } => {
                LeaseAnswer::Busy(Busy { remaining: duration, holder: token.to_le_bytes().to_vec(), follows_unstored })
            }
            Answer::Changed => LeaseAnswer::Changed,
        })
    }

    fn do_store(&self, key: &EntryKey, lease: Box<dyn Lease>, entry: &Entry) -> Result<StoreAnswer, Error> {
        let lease = lease.into_any().downcast::<MemoryLease>().map_err(|_| foreign())?;
        let mut state = self.state()?;
        let token = lease.token_for(&self.shared, key).ok_or_else(foreign)?;
        let freed = state.store(key, token, entry, self.shared.clock.now());
        drop(state);
        // `lease` is dropped after the lock: giving it back takes the lock again.
        Ok(match freed {
            Some(waiters) => {
                waiters.wake();
                StoreAnswer::Stored
            }
            None => StoreAnswer::LeaseLost,
        })
    }

    fn do_invalidate(&self, tags: &[TagId]) -> Result<Stamp, Error> {
        let stamp = self.state()?.invalidate(tags);
        self.process.learn(stamp);
        let processes: Vec<_> = lock(&self.shared.processes).iter().filter_map(Weak::upgrade).collect();
        for process in processes {
            process.learn(stamp);
            let listeners = process.live_listeners();
            // Of the caches in this process, one is the caller. If there is only one, it knows.
            if Arc::ptr_eq(&process, &self.process) && listeners.len() < 2 {
                continue;
            }
            for listener in listeners.iter().filter_map(ListenerHandle::upgrade) {
                listener.invalidated(tags);
            }
        }
        Ok(stamp)
    }
}

fn foreign() -> Error {
    Error::new(ErrorKind::Refused, "a lease was given to `store` that this backend did not grant for this key")
}

impl Process {
    fn check(&self) -> Result<(), Error> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::new(ErrorKind::Closed, "this handle to the shared memory has been closed"));
        }
        match *lock(&self.failing) {
            Some(kind) => Err(Error::new(kind, "the shared memory was told to fail")),
            None => Ok(()),
        }
    }

    fn learn(&self, stamp: Stamp) {
        self.known.fetch_max(stamp.0, Ordering::AcqRel);
    }

    fn live_listeners(&self) -> Vec<ListenerHandle> {
        let mut listeners = lock(&self.listeners);
        listeners.retain(|listener| listener.upgrade().is_some());
        listeners.clone()
    }
}

impl Backend for SharedMemory {
    fn name(&self) -> &str {
        "shared-memory"
    }

    // Every future below does its work in one poll, so it has happened wholly or not at all when it is dropped.

    fn read<'a>(&'a self, key: &'a EntryKey) -> BoxFuture<'a, Result<Reading, Error>> {
        Box::pin(async move {
            let (reading, stamp) = self.state()?.read(key, self.shared.clock.now());
            self.process.learn(stamp);
            Ok(reading)
        })
    }

    fn lease<'a>(&'a self, key: &'a EntryKey, request: LeaseRequest<'a>) -> BoxFuture<'a, Result<LeaseAnswer, Error>> {
        Box::pin(async move { self.do_lease(key, request) })
    }

    fn wait<'a>(&'a self, key: &'a EntryKey, busy: Busy) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(Wait::new(self, key, &busy))
    }

    fn store<'a>(
        &'a self,
        key: &'a EntryKey,
        lease: Box<dyn Lease>,
        entry: Entry,
    ) -> BoxFuture<'a, Result<StoreAnswer, Error>> {
        Box::pin(async move { self.do_store(key, lease, &entry) })
    }

    fn prolongs(&self) -> bool {
        true
    }

    fn touch(&self, key: &EntryKey, idle: Duration) {
        if let Ok(mut state) = self.state() {
            state.touch(key, idle, self.shared.clock.now());
        }
    }

    fn invalidate<'a>(&'a self, tags: &'a [TagId]) -> BoxFuture<'a, Result<Stamp, Error>> {
        Box::pin(async move { self.do_invalidate(tags) })
    }

    fn known_stamp(&self) -> Option<Stamp> {
        Some(self.process.known.load(Ordering::Acquire)).filter(|known| *known > 0).map(Stamp)
    }

    fn attach(&self, listener: ListenerHandle) {
        let mut listeners = lock(&self.process.listeners);
        listeners.retain(|listener| listener.upgrade().is_some());
        listeners.push(listener);
    }

    fn max_staleness(&self) -> Option<Duration> {
        None
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.process.closed.store(true, Ordering::Release);
            let waiters = lock(&self.shared.state).take_waiters();
            waiters.wake();
        })
    }
}

impl Default for SharedMemory {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for SharedMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedMemory").field("clock", &self.shared.clock).field("usage", &self.usage()).finish()
    }
}

/// What a [`SharedMemory`] keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Entries, those included that are dead or too old but not yet removed.
    pub entries: usize,
    /// Bytes of these entries, without their keys.
    pub bytes: usize,
    /// Tags whose last invalidation is remembered one by one.
    pub tag_records: usize,
    /// Leases held.
    pub leases: usize,
}

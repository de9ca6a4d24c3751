//! Backends that break the contract in one way each.

use std::any::Any;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cache_core::Error;
use cache_core::backend::{
    Backend, BackendHold, BoxFuture, Busy, Entry, EntryKey, Lease, LeaseAnswer, LeaseRequest, ListenerHandle,
    LiveEntry, Reading, Seen, Stamp, StoreAnswer, TagId,
};
use cache_core::reference::SharedMemory;

/// Ways to break the contract.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Flaw {
    None,
    IgnoresTags,
    IgnoresStamps,
    IgnoresLateTags,
    InvalidatesOneTagOnly,
    ForgetsInvalidationsOnLoss,
    ClockStandsStill,
    DoesntLearnFromItself,
    NeverReleases,
    StoreDoesntRelease,
    TwoLeases,
    LeasesExpireWhileHeld,
    NoFence,
    IgnoresTakeOver,
    TakesOverAlways,
    LeavesNothingAlways,
    DropReleasesOthers,
    KeepsWhatIsGivenUp,
    ForgetsChanged,
    AlwaysChanged,
    NeverWakes,
    WakesAtTheEndOfTheLease,
    Spins,
    ForgetsTtl,
    CutsTtlToSeconds,
    SkipsWhatIsOver,
    LeaksCancelledLease,
    MixesKeys,
    LosesLargeValues,
    LosesEmptyValues,
    DeafListener,
    KeepsListenerAlive,
    Panics,
    Hangs,
    WorksAfterClose,
    AcceptsForeignLeases,
    EndsHoldsSilently,
    ForgetsDroppedHolds,
    HoldsInvalidateEarly,
}

/// A [`SharedMemory`] with one flaw.
#[derive(Clone, Debug)]
pub(crate) struct Flawed {
    pub(crate) memory: SharedMemory,
    pub(crate) flaw: Flaw,
    /// Everything ever stored.
    pub(crate) kept: Arc<Mutex<HashMap<EntryKey, Entry>>>,
    /// Whether the record of tags was lost.
    pub(crate) lost: Arc<AtomicBool>,
}

/// Wraps the guard of a lease.
#[derive(Debug)]
struct FlawedLease {
    inner: Option<Box<dyn Lease>>,
    stamp: Stamp,
    leaks: bool,
    keeps: bool,
    /// On drop, everybody's leases go.
    breaks: Option<SharedMemory>,
    follows_unstored: bool,
}

impl FlawedLease {
    fn of(inner: Option<Box<dyn Lease>>, stamp: Stamp) -> Self {
        Self { inner, stamp, leaks: false, keeps: false, breaks: None, follows_unstored: false }
    }
}

impl Lease for FlawedLease {
    fn stamp(&self) -> Stamp {
        self.stamp
    }
    fn follows_unstored(&self) -> bool {
        self.follows_unstored
    }
    fn give_up(&self) -> bool {
        self.keeps
    }
    fn into_any(mut self: Box<Self>) -> Box<dyn Any + Send + Sync> {
        self.breaks = None;
        match self.inner.take() {
            Some(inner) => inner.into_any(),
            None => Box::new(()),
        }
    }
}

impl Drop for FlawedLease {
    fn drop(&mut self) {
        if let Some(memory) = &self.breaks {
            memory.lose_leases();
        }
        if let Some(inner) = self.inner.take().filter(|_| self.leaks) {
            std::mem::forget(inner);
        }
    }
}

impl Flawed {
    fn is(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    fn key(&self, key: &EntryKey) -> EntryKey {
        if self.is(Flaw::MixesKeys) {
            // As if written into a text with a separator.
            return EntryKey::new(String::from_utf8_lossy(key.as_bytes()).trim().as_bytes());
        }
        key.clone()
    }

    async fn do_read(&self, key: &EntryKey) -> Result<Reading, Error> {
        assert!(!self.is(Flaw::Panics), "a backend must not panic");
        let mut reading = self.memory.read(&self.key(key)).await?;
        let kept = self.kept.lock().unwrap().get(key).cloned();
        let revive = match self.flaw {
            Flaw::IgnoresTags => true,
            Flaw::ForgetsInvalidationsOnLoss => self.lost.load(Ordering::Acquire),
            _ => false,
        };
        if let Some(entry) = kept.filter(|_| revive && reading.live.is_none()) {
            reading.live = Some(LiveEntry { entry, remaining: None, age: Duration::ZERO });
        }
        Ok(reading)
    }

    async fn do_lease(&self, key: &EntryKey, request: LeaseRequest<'_>) -> Result<LeaseAnswer, Error> {
        let key = &self.key(key);
        let mut request = request;
        match self.flaw {
            Flaw::IgnoresTakeOver => request.take_over = false,
            Flaw::TakesOverAlways => request.take_over = true,
            _ => {}
        }
        if self.is(Flaw::ForgetsChanged) {
            request.seen = self.memory.read(key).await?.seen;
        }
        if self.is(Flaw::AlwaysChanged) && request.seen != Seen::default() {
            return Ok(LeaseAnswer::Changed);
        }
        if self.is(Flaw::LeasesExpireWhileHeld) && request.duration.is_some_and(|time| time < Duration::from_secs(1)) {
            let answer = self.memory.lease(key, request).await?;
            self.memory.expire_leases();
            return Ok(answer);
        }
        let answer = self.memory.lease(key, request).await?;
        let stamp = |stamp| if self.is(Flaw::ClockStandsStill) { Stamp(1) } else { stamp };
        let wrap = |inner: Box<dyn Lease>| {
            let stamp = stamp(inner.stamp());
            let breaks = self.is(Flaw::DropReleasesOthers).then(|| self.memory.clone());
            let (leaks, keeps) = (self.is(Flaw::NeverReleases), self.is(Flaw::KeepsWhatIsGivenUp));
            let follows_unstored = self.is(Flaw::LeavesNothingAlways);
            Box::new(FlawedLease { inner: Some(inner), stamp, leaks, keeps, breaks, follows_unstored })
        };
        Ok(match answer {
            LeaseAnswer::Granted(lease) if self.is(Flaw::LeaksCancelledLease) => {
                let stamp = lease.stamp();
                let mut cancelled = Box::new(FlawedLease::of(Some(lease), stamp));
                cancelled.leaks = true;
                tokio::task::yield_now().await; // as if the answer came over a network
                cancelled.leaks = false;
                LeaseAnswer::Granted(cancelled)
            }
            LeaseAnswer::Granted(lease) => LeaseAnswer::Granted(wrap(lease)),
            LeaseAnswer::Busy(_) if self.is(Flaw::TwoLeases) => {
                LeaseAnswer::Granted(Box::new(FlawedLease::of(None, Stamp(1))))
            }
            other => other,
        })
    }

    async fn do_store(&self, key: &EntryKey, lease: Box<dyn Lease>, mut entry: Entry) -> Result<StoreAnswer, Error> {
        let key = &self.key(key);
        self.kept.lock().unwrap().insert(key.clone(), entry.clone());
        match self.flaw {
            Flaw::IgnoresStamps => {
                let newest = entry.tags.iter().map(|held| held.stamp).max();
                entry.tags.iter_mut().for_each(|held| held.stamp = newest.unwrap_or(held.stamp));
            }
            Flaw::IgnoresLateTags => {
                // Takes the stamp when it stores.
                let now = self.memory.known_stamp();
                entry.tags.iter_mut().for_each(|held| held.stamp = now.unwrap_or(held.stamp));
            }
            Flaw::ForgetsTtl => entry.lifetimes.keep = None,
            Flaw::CutsTtlToSeconds => {
                entry.lifetimes.keep = entry.lifetimes.keep.map(|keep| Duration::from_secs(keep.as_secs()));
                entry.lifetimes.keep = entry.lifetimes.keep.filter(|keep| !keep.is_zero());
            }
            Flaw::SkipsWhatIsOver if entry.lifetimes.keep == Some(Duration::ZERO) => return Ok(StoreAnswer::Stored),
            Flaw::LosesLargeValues => entry.payload.truncate(1 << 20),
            Flaw::LosesEmptyValues if entry.payload.is_empty() => return Ok(StoreAnswer::Stored),
            _ => {}
        }
        let any = lease.into_any();
        if self.is(Flaw::AcceptsForeignLeases) && any.downcast_ref::<()>().is_none() && !is_ours(&*any) {
            return Ok(StoreAnswer::Stored);
        }
        let lease = Box::new(FlawedLease::of(Some(Box::new(Opaque(any))), Stamp(0)));
        let answer = self.memory.store(key, lease, entry.clone()).await?;
        if answer == StoreAnswer::LeaseLost && self.is(Flaw::NoFence) {
            self.memory.lose_leases();
            let seen = self.memory.read(key).await?.seen;
            let request = LeaseRequest { duration: None, seen, tags: &[], take_over: false };
            if let LeaseAnswer::Granted(lease) = self.memory.lease(key, request).await? {
                return self.memory.store(key, lease, entry).await;
            }
        }
        if self.is(Flaw::StoreDoesntRelease) {
            let seen = self.memory.read(key).await?.seen;
            let request = LeaseRequest { duration: None, seen, tags: &[], take_over: false };
            std::mem::forget(self.memory.lease(key, request).await?);
        }
        Ok(answer)
    }
}

/// A lease as `into_any` gave it.
#[derive(Debug)]
struct Opaque(Box<dyn Any + Send + Sync>);

impl Lease for Opaque {
    fn stamp(&self) -> Stamp {
        Stamp(0)
    }
    fn into_any(self: Box<Self>) -> Box<dyn Any + Send + Sync> {
        self.0
    }
}

/// Whether it came from a `SharedMemory`: the type is private, its name is not.
fn is_ours(lease: &(dyn Any + Send + Sync)) -> bool {
    let memory = SharedMemory::new();
    let key = EntryKey::new(*b"any");
    let request = LeaseRequest { duration: None, seen: Seen::default(), tags: &[], take_over: false };
    let Ok(LeaseAnswer::Granted(ours)) = pollster::block_on(memory.lease(&key, request)) else { return false };
    (*ours.into_any()).type_id() == lease.type_id()
}

/// A hold that lives and dies with its process.
#[derive(Debug)]
struct FlawedHold {
    /// What is invalidated; `None` once it is over.
    tags: Option<Vec<TagId>>,
    memory: SharedMemory,
    flaw: Flaw,
}

impl FlawedHold {
    fn over(mut self: Box<Self>, forgets: bool) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            let tags = self.tags.take().unwrap_or_default();
            if forgets { Ok(()) } else { self.memory.invalidate(&tags).await.map(drop) }
        })
    }
}

impl BackendHold for FlawedHold {
    fn placed(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            match &self.tags {
                Some(tags) if self.flaw == Flaw::HoldsInvalidateEarly => self.memory.invalidate(tags).await.map(drop),
                _ => Ok(()),
            }
        })
    }
    fn lost(&self) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
    fn end(self: Box<Self>) -> BoxFuture<'static, Result<(), Error>> {
        let forgets = self.flaw == Flaw::EndsHoldsSilently;
        self.over(forgets)
    }
    fn leave(self: Box<Self>) -> BoxFuture<'static, Result<(), Error>> {
        self.over(false)
    }
}

impl Drop for FlawedHold {
    fn drop(&mut self) {
        if let Some(tags) = self.tags.take().filter(|_| self.flaw != Flaw::ForgetsDroppedHolds) {
            let _ = pollster::block_on(self.memory.invalidate(&tags));
        }
    }
}

impl Backend for Flawed {
    fn name(&self) -> &str {
        "flawed"
    }
    fn read<'a>(&'a self, key: &'a EntryKey) -> BoxFuture<'a, Result<Reading, Error>> {
        Box::pin(self.do_read(key))
    }
    fn lease<'a>(&'a self, key: &'a EntryKey, request: LeaseRequest<'a>) -> BoxFuture<'a, Result<LeaseAnswer, Error>> {
        Box::pin(self.do_lease(key, request))
    }
    fn wait<'a>(&'a self, key: &'a EntryKey, busy: Busy) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            match self.flaw {
                Flaw::NeverWakes => std::future::pending().await,
                Flaw::WakesAtTheEndOfTheLease => tokio::time::sleep(busy.remaining).await,
                Flaw::Spins => {}
                _ => return self.memory.wait(&self.key(key), busy).await,
            }
            Ok(())
        })
    }
    fn store<'a>(
        &'a self,
        key: &'a EntryKey,
        lease: Box<dyn Lease>,
        entry: Entry,
    ) -> BoxFuture<'a, Result<StoreAnswer, Error>> {
        Box::pin(self.do_store(key, lease, entry))
    }
    fn invalidate<'a>(&'a self, tags: &'a [TagId]) -> BoxFuture<'a, Result<Stamp, Error>> {
        Box::pin(async move {
            if self.is(Flaw::Hangs) {
                std::future::pending::<()>().await;
            }
            let first = if self.is(Flaw::InvalidatesOneTagOnly) { tags.len().min(1) } else { tags.len() };
            self.memory.invalidate(&tags[..first]).await
        })
    }
    fn hold(&self, tags: &[TagId]) -> Option<Box<dyn BackendHold>> {
        Some(Box::new(FlawedHold { tags: Some(tags.to_vec()), memory: self.memory.clone(), flaw: self.flaw }))
    }
    fn known_stamp(&self) -> Option<Stamp> {
        if self.is(Flaw::DoesntLearnFromItself) { Some(Stamp(1)) } else { self.memory.known_stamp() }
    }
    fn attach(&self, listener: ListenerHandle) {
        match self.flaw {
            Flaw::DeafListener => {}
            Flaw::KeepsListenerAlive => {
                std::mem::forget(listener.upgrade());
                self.memory.attach(listener);
            }
            _ => self.memory.attach(listener),
        }
    }
    fn max_staleness(&self) -> Option<Duration> {
        self.memory.max_staleness()
    }
    fn close(&self) -> BoxFuture<'_, ()> {
        if self.is(Flaw::WorksAfterClose) { Box::pin(async {}) } else { self.memory.close() }
    }
}

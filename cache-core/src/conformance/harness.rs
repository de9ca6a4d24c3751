//! What the points are written with: every operation with a limit, every error turned into a failure of the point.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use super::futures::yield_now;
use super::subject::Hook;
use super::{Broken, Conformance, Point, Subject, Verdict};
use crate::backend::{
    Backend, BoxFuture, Busy, Entry, EntryKey, HeldTag, Lease, LeaseAnswer, LeaseRequest, Lifetimes, Reading, Seen,
    Stamp, StoreAnswer, TagId,
};
use crate::error::Error;

/// Longer than any patience: waking before it ends is the work of a message.
pub(super) const LONG_LEASE: Duration = Duration::from_secs(30);

pub(super) type Outcome = Result<Verdict, Broken>;

/// One point being checked.
pub(super) struct Probe<'p> {
    pub(super) suite: &'p Conformance,
    pub(super) subject: &'p Subject,
    point: Point,
}

impl<'p> Probe<'p> {
    pub(super) async fn subject(suite: &Conformance, point: Point) -> Result<Subject, Broken> {
        let made = (suite.make)().await;
        made.map_err(|error| Broken::new(point, format!("the backend could not be made: {error} ({error:?})")))
    }

    pub(super) fn new(suite: &'p Conformance, point: Point, subject: &'p Subject) -> Self {
        Self { suite, subject, point }
    }

    pub(super) fn first(&self) -> Side<'_> {
        Side { probe: self, backend: &*self.subject.first, name: "the first process" }
    }

    pub(super) fn second(&self) -> Side<'_> {
        Side { probe: self, backend: &*self.subject.second, name: "the second process" }
    }

    pub(super) fn both(&self) -> [Side<'_>; 2] {
        [self.first(), self.second()]
    }

    pub(super) fn stranger(&self) -> Option<Side<'_>> {
        let backend = self.subject.stranger.as_deref()?;
        Some(Side { probe: self, backend, name: "the other prefix" })
    }

    pub(super) fn broken(&self, what: impl Into<String>) -> Broken {
        Broken::new(self.point, what)
    }

    /// A failure unless this holds.
    pub(super) fn ensure(&self, holds: bool, what: impl FnOnce() -> String) -> Result<(), Broken> {
        if holds { Ok(()) } else { Err(self.broken(what())) }
    }

    /// For `wait`, releases and messages: a failure of this point if it takes too long.
    pub(super) async fn soon<T>(&self, what: &str, work: impl Future<Output = T>) -> Result<T, Broken> {
        self.timed(self.suite.patience, work)
            .await?
            .ok_or_else(|| self.broken(format!("{what}: not within {:?}", self.suite.patience)))
    }

    /// For operations: a failure of [`Point::Time`] if it takes too long.
    pub(super) async fn within<T>(
        &self,
        limit: Duration,
        what: &str,
        work: impl Future<Output = T>,
    ) -> Result<T, Broken> {
        let done = self.timed(limit, work).await?;
        done.ok_or_else(|| Broken::new(Point::Time, format!("{what} took longer than {limit:?} ({} ran)", self.point)))
    }

    /// `None` after this time. A panic is a failure.
    pub(super) async fn timed<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Result<Option<T>, Broken> {
        let mut timeout = (self.suite.sleep)(limit);
        let mut work = pin!(work);
        poll_fn(|context| {
            match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
                Err(_) => return Poll::Ready(Err(Broken::new(Point::Errors, format!("a panic ({} ran)", self.point)))),
                Ok(Poll::Ready(done)) => return Poll::Ready(Ok(Some(done))),
                Ok(Poll::Pending) => {}
            }
            timeout.as_mut().poll(context).map(|()| Ok(None))
        })
        .await
    }

    /// Real time, whatever clock the backend has.
    pub(super) fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        (self.suite.sleep)(time)
    }

    /// Time for the backend.
    pub(super) async fn pass(&self, time: Duration) {
        match &self.subject.advance {
            Some(advance) => advance(time).await,
            None => self.sleep(time).await,
        }
    }

    pub(super) async fn run(&self, hook: &Hook) {
        hook().await;
    }
}

/// One process's handle.
#[derive(Clone, Copy)]
pub(super) struct Side<'p> {
    pub(super) probe: &'p Probe<'p>,
    pub(super) backend: &'p dyn Backend,
    pub(super) name: &'static str,
}

impl Side<'_> {
    pub(super) async fn op<T>(&self, what: &str, work: impl Future<Output = Result<T, Error>>) -> Result<T, Broken> {
        let what = format!("`{what}` in {}", self.name);
        let done = self.probe.within(self.probe.suite.limit, &what, work).await?;
        done.map_err(|error| self.probe.broken(format!("{what} failed: {error} ({error:?})")))
    }

    pub(super) async fn read(&self, key: &EntryKey) -> Result<Reading, Broken> {
        self.op("read", async { self.backend.read(key).await }).await
    }

    pub(super) async fn lease(&self, key: &EntryKey, seen: Seen, tags: &[TagId]) -> Result<LeaseAnswer, Broken> {
        self.lease_for(key, seen, tags, LONG_LEASE).await
    }

    pub(super) async fn lease_for(
        &self,
        key: &EntryKey,
        seen: Seen,
        tags: &[TagId],
        duration: Duration,
    ) -> Result<LeaseAnswer, Broken> {
        let request = LeaseRequest { duration: Some(duration), seen, tags, take_over: false };
        self.op("lease", async { self.backend.lease(key, request).await }).await
    }

    /// A lease of a run that is to replace what is there, at once.
    pub(super) async fn taken_over(&self, key: &EntryKey, tags: &[TagId]) -> Result<Box<dyn Lease>, Broken> {
        let request = LeaseRequest { duration: Some(LONG_LEASE), seen: Seen::default(), tags, take_over: true };
        match self.op("lease", async { self.backend.lease(key, request).await }).await? {
            LeaseAnswer::Granted(lease) => Ok(lease),
            other => Err(self.probe.broken(format!("`lease` that takes over was answered with {other:?}"))),
        }
    }

    /// A lease that nothing stands against: at once.
    pub(super) async fn granted_now(&self, key: &EntryKey, tags: &[TagId]) -> Result<Box<dyn Lease>, Broken> {
        let seen = self.read(key).await?.seen;
        match self.lease(key, seen, tags).await? {
            LeaseAnswer::Granted(lease) => Ok(lease),
            other => Err(self.unexpected(&other)),
        }
    }

    /// A lease that nothing stands against but a predecessor whose release may be on its way.
    pub(super) async fn granted(&self, key: &EntryKey, tags: &[TagId]) -> Result<Box<dyn Lease>, Broken> {
        self.free(key, tags, "nobody holds a lease on it", false).await
    }

    /// A lease that is about to become free, whatever is stored meanwhile.
    pub(super) async fn soon_granted(&self, key: &EntryKey, why: &str) -> Result<Box<dyn Lease>, Broken> {
        self.free(key, &[], why, true).await
    }

    async fn free(
        &self,
        key: &EntryKey,
        tags: &[TagId],
        why: &str,
        may_change: bool,
    ) -> Result<Box<dyn Lease>, Broken> {
        let attempts = async {
            loop {
                let seen = self.read(key).await?.seen;
                match self.lease(key, seen, tags).await? {
                    LeaseAnswer::Granted(lease) => return Ok(lease),
                    // Not `wait`: whether that works is another point.
                    LeaseAnswer::Busy(_) => self.probe.sleep(Duration::from_millis(5)).await,
                    LeaseAnswer::Changed if may_change => yield_now().await,
                    LeaseAnswer::Changed => return Err(self.unexpected(&LeaseAnswer::Changed)),
                }
            }
        };
        let what = format!("{} should be granted a lease, because {why}", self.name);
        self.probe.soon(&what, attempts).await?
    }

    fn unexpected(&self, answer: &LeaseAnswer) -> Broken {
        self.probe.broken(format!(
            "`lease` for a free key, asked with what `read` had just seen, was answered with {answer:?} in {}",
            self.name
        ))
    }

    /// A lease that is busy.
    pub(super) async fn busy(&self, key: &EntryKey, why: &str) -> Result<Busy, Broken> {
        let seen = self.read(key).await?.seen;
        match self.lease(key, seen, &[]).await? {
            LeaseAnswer::Busy(busy) => Ok(busy),
            LeaseAnswer::Granted(_) => Err(self.probe.broken(format!("a second lease was granted: {why}"))),
            LeaseAnswer::Changed => {
                Err(self.probe.broken(format!("`lease` answered `Changed` though nothing was stored: {why}")))
            }
        }
    }

    pub(super) async fn wait(&self, key: &EntryKey, busy: Busy) -> Result<(), Broken> {
        let waited = self.backend.wait(key, busy).await;
        waited.map_err(|error| self.probe.broken(format!("`wait` in {} failed: {error} ({error:?})", self.name)))
    }

    pub(super) async fn store(
        &self,
        key: &EntryKey,
        lease: Box<dyn Lease>,
        entry: Entry,
    ) -> Result<StoreAnswer, Broken> {
        self.op("store", async { self.backend.store(key, lease, entry).await }).await
    }

    /// A store that must succeed.
    pub(super) async fn stored(&self, key: &EntryKey, lease: Box<dyn Lease>, entry: Entry) -> Result<(), Broken> {
        let answer = self.store(key, lease, entry).await?;
        self.probe.ensure(answer == StoreAnswer::Stored, || {
            format!("`store` in {} said the lease was lost, though it was held", self.name)
        })
    }

    /// Lease, run, store: an entry whose tags have the stamp of its run.
    pub(super) async fn put(&self, key: &EntryKey, payload: &[u8], tags: &[TagId]) -> Result<Stamp, Broken> {
        let lease = self.granted(key, tags).await?;
        let stamp = lease.stamp();
        self.stored(key, lease, entry(payload, tags, stamp)).await?;
        Ok(stamp)
    }

    pub(super) async fn invalidate(&self, tags: &[TagId]) -> Result<Stamp, Broken> {
        self.op("invalidate", async { self.backend.invalidate(tags).await }).await
    }

    pub(super) async fn expect_live(&self, key: &EntryKey, entry: &Entry, why: &str) -> Result<Reading, Broken> {
        let reading = self.read(key).await?;
        match &reading.live {
            None => return Err(self.probe.broken(format!("{} doesn't find a live entry: {why}", self.name))),
            Some(found) if found.entry != *entry => {
                return Err(self.probe.broken(format!(
                    "{} reads another entry than was stored: {why}; stored {entry:?}, read {:?}",
                    self.name, found.entry
                )));
            }
            Some(_) => {}
        }
        self.probe.ensure(reading.seen != Seen::default(), || {
            format!("`read` in {} finds an entry and says it saw none: {why}", self.name)
        })?;
        Ok(reading)
    }

    pub(super) async fn expect_dead(&self, key: &EntryKey, why: &str) -> Result<(), Broken> {
        let reading = self.read(key).await?;
        self.probe.ensure(reading.live.is_none(), || format!("{} reads a dead entry as live: {why}", self.name))
    }
}

pub(super) fn key(name: &str) -> EntryKey {
    EntryKey::new(name.as_bytes())
}

/// Without lifetimes.
pub(super) fn entry(payload: &[u8], tags: &[TagId], stamp: Stamp) -> Entry {
    let mut tags: Vec<_> = tags.iter().map(|tag| HeldTag { tag: *tag, stamp }).collect();
    tags.sort_unstable_by_key(|held| held.tag);
    tags.dedup_by_key(|held| held.tag);
    Entry { payload: payload.to_vec(), tags, lifetimes: Lifetimes::default() }
}

/// Tag ids as hashes are: spread over all 64 bits.
pub(super) fn tag(number: u64) -> TagId {
    TagId(number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

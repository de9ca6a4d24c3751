//! The guard of a lease: renews it while it lives, gives it back when it is dropped.

use std::any::Any;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use cache_core::backend::{Lease, Stamp};
use tokio::sync::watch;

use crate::connection::{Answer, Command};
use crate::core::Core;
use crate::error::Fault;
use crate::health::Operation;
use crate::keys::{KeyHash, hash_text};
use crate::{random, scripts};

/// A lease, or the attempt to get one: the server may have granted it though we never heard so.
pub(crate) struct RedisLease {
    core: Arc<Core>,
    hash: KeyHash,
    token: Bytes,
    duration: Duration,
    stamp: Stamp,
    /// The tag buckets that have been there since.
    buckets: BTreeSet<Bytes>,
    /// Dropping it ends the renewal.
    renewal: Option<watch::Sender<()>>,
    /// There may be something to give back.
    armed: bool,
}

impl RedisLease {
    /// A new token, before it is sent.
    pub(crate) fn attempt(core: &Arc<Core>, hash: KeyHash, duration: Duration) -> Self {
        let token: Bytes = format!("{:032x}", random::wide()).into();
        core.held.insert(token.clone(), hash);
        let (core, stamp, buckets) = (Arc::clone(core), Stamp(0), BTreeSet::new());
        Self { core, hash, token, duration, stamp, buckets, renewal: None, armed: true }
    }

    pub(crate) fn token(&self) -> Bytes {
        self.token.clone()
    }

    /// The attempt has succeeded; the stamp script was given these buckets. Must be called on the backend's runtime.
    pub(crate) fn granted(mut self, stamp: u64, buckets: BTreeSet<Bytes>) -> Self {
        self.stamp = Stamp(stamp);
        self.buckets = buckets;
        let (alive, ended) = watch::channel(());
        self.renewal = Some(alive);
        let command = renew(&self.core, self.hash, &self.token, self.duration);
        tokio::spawn(keep(Arc::clone(&self.core), command, self.duration, ended));
        self
    }

    /// The stamp script was given this bucket. If it is lost meanwhile, what is stored is a miss.
    pub(crate) fn has_bucket(&self, bucket: &Bytes) -> bool {
        self.buckets.contains(bucket)
    }

    /// There is nothing to give back (any more).
    pub(crate) fn disarm(mut self) {
        self.armed = false;
    }

    pub(crate) fn is_of(&self, core: &Arc<Core>, hash: KeyHash) -> bool {
        Arc::ptr_eq(&self.core, core) && self.hash == hash
    }
}

impl Lease for RedisLease {
    fn stamp(&self) -> Stamp {
        self.stamp
    }

    fn holder(&self) -> Option<&[u8]> {
        Some(&self.token)
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send + Sync> {
        self
    }
}

impl Drop for RedisLease {
    fn drop(&mut self) {
        self.core.held.remove(&self.token);
        if self.armed {
            self.core.release(release(&self.core, self.hash, &self.token));
        }
    }
}

impl fmt::Debug for RedisLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLease").field("stamp", &self.stamp).finish_non_exhaustive()
    }
}

/// The leases this process holds, to give them back at the end.
#[derive(Debug, Default)]
pub(crate) struct Held(Mutex<HashMap<Bytes, KeyHash>>);

impl Held {
    fn insert(&self, token: Bytes, hash: KeyHash) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(token, hash);
    }

    fn remove(&self, token: &Bytes) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(token);
    }

    /// What gives all of them back.
    pub(crate) fn releases(&self, core: &Core) -> Vec<Command> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.iter().map(|(token, hash)| release(core, *hash, token)).collect()
    }
}

fn release(core: &Core, hash: KeyHash, token: &Bytes) -> Command {
    let args = [token.clone(), core.names.wake.clone().into(), Bytes::copy_from_slice(&hash_text(hash))];
    Command::script(&scripts::RELEASE, vec![core.names.lease(hash)], args)
}

fn renew(core: &Core, hash: KeyHash, token: &Bytes, duration: Duration) -> Command {
    let args = [token.clone(), milliseconds(duration).to_string().into()];
    Command::script(&scripts::RENEW, vec![core.names.lease(hash)], args)
}

/// Renews every third of the duration, until the guard is dropped or the lease is lost. A lost lease isn't taken again:
/// the run goes on, but what it stores will be refused.
async fn keep(core: Arc<Core>, command: Command, duration: Duration, mut ended: watch::Receiver<()>) {
    loop {
        tokio::select! {
            _ = ended.changed() => return,
            () = tokio::time::sleep(duration / 3) => {}
        }
        let answer: Answer = core.servers.call_one(command.clone(), core.deadline()).await;
        match answer {
            Ok(reply) if reply.number() == Some(0) => return,
            Ok(_) => core.monitor.success(Operation::Renew),
            Err(Fault::Closed) => return,
            Err(fault) => core.monitor.fault(Operation::Renew, &fault),
        }
    }
}

/// At least one; and no more than Redis can add to the time.
pub(crate) fn milliseconds(duration: Duration) -> u64 {
    const LONGEST: u128 = 1 << 42;
    u64::try_from(duration.as_nanos().div_ceil(1_000_000).clamp(1, LONGEST)).unwrap_or(1)
}

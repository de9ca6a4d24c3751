//! The guard of a lease: renews it while it lives, gives it back when it is dropped.
//!
//! What gives it back is repeated while the connection is gone, for as long as the lease may stand: see
//! [`returns`](crate::returns).

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use cache_core::backend::{Lease, Stamp, TagId};
use tokio::sync::watch;

use crate::connection::{Answer, Command};
use crate::core::Core;
use crate::error::Fault;
use crate::health::{Operation, TroubleKind};
use crate::keys::{KeyHash, hash_text};
use crate::order::Position;
use crate::returns::Way;
use crate::scripts::Script;
use crate::{random, scripts};

/// A lease, or the attempt to get one: the server may have granted it though we never heard so.
pub(crate) struct RedisLease {
    core: Arc<Core>,
    hash: KeyHash,
    token: Bytes,
    duration: Duration,
    /// The stamp.
    position: Position,
    /// The tags that the buckets have been able to tell of since.
    tags: Vec<TagId>,
    /// Dropping it ends the renewal.
    renewal: Option<watch::Sender<()>>,
    /// There may be something to give back.
    armed: bool,
    /// The run has ended and left nothing.
    unstored: bool,
    /// So had the one before.
    follows_unstored: bool,
}

impl RedisLease {
    /// A new token, before it is sent.
    pub(crate) fn attempt(core: &Arc<Core>, hash: KeyHash, duration: Duration) -> Self {
        let token: Bytes = format!("{:032x}", random::wide()).into();
        core.held.insert(token.clone(), (hash, duration));
        let (core, position, tags) = (Arc::clone(core), Position { clock: 0, generation: 0 }, Vec::new());
        let (renewal, unstored, follows_unstored) = (None, false, false);
        Self { core, hash, token, duration, position, tags, renewal, armed: true, unstored, follows_unstored }
    }

    pub(crate) fn token(&self) -> Bytes {
        self.token.clone()
    }

    /// The attempt has succeeded; the stamp script was given these tags, in their order. Must be called on the backend's
    /// runtime.
    pub(crate) fn granted(mut self, position: Position, tags: Vec<TagId>, follows_unstored: bool) -> Self {
        self.position = position;
        self.follows_unstored = follows_unstored;
        self.tags = tags;
        let (alive, ended) = watch::channel(());
        self.renewal = Some(alive);
        let command = renew(&self.core, self.hash, &self.token, self.duration);
        tokio::spawn(keep(Arc::clone(&self.core), command, self.duration, ended));
        self
    }

    /// Whether its stamp can be compared with those that are given out now.
    pub(crate) fn is_of_this_order(&self) -> bool {
        self.position.generation == self.core.bus.known.generation()
    }

    /// The stamp script was given this tag. If its record is lost meanwhile, what is stored is a miss.
    pub(crate) fn has_tag(&self, tag: TagId) -> bool {
        self.tags.binary_search(&tag).is_ok()
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
        Stamp(self.position.clock)
    }

    fn holder(&self) -> Option<&[u8]> {
        Some(&self.token)
    }

    fn give_up(&self) -> bool {
        self.core.send_back(told(&self.core, &scripts::GIVE_UP, self.hash, &self.token, None), self.duration);
        true
    }

    fn ended_unstored(mut self: Box<Self>) {
        self.unstored = true;
    }

    fn follows_unstored(&self) -> bool {
        self.follows_unstored
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send + Sync> {
        self
    }
}

impl Drop for RedisLease {
    fn drop(&mut self) {
        if self.core.pulse.is_elsewhere() {
            return;
        }
        self.core.held.remove(&self.token);
        if self.armed {
            let command = release(&self.core, self.hash, &self.token, self.unstored);
            if self.renewal.is_some() {
                self.core.send_back(command, self.duration);
            } else {
                self.core.send_back_unseen(command, self.duration);
            }
        }
    }
}

impl fmt::Debug for RedisLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLease").field("stamp", &self.position.clock).finish_non_exhaustive()
    }
}

/// The leases this process holds, to give them back at the end.
#[derive(Debug, Default)]
pub(crate) struct Held(Mutex<HashMap<Bytes, (KeyHash, Duration)>>);

impl Held {
    fn insert(&self, token: Bytes, lease: (KeyHash, Duration)) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(token, lease);
    }

    fn remove(&self, token: &Bytes) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(token);
    }

    /// What gives all of them back, and how long each may stand.
    pub(crate) fn releases(&self, core: &Core) -> Vec<(Command, Duration)> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.iter().map(|(token, (hash, duration))| (release(core, *hash, token, false), *duration)).collect()
    }
}

fn release(core: &Core, hash: KeyHash, token: &Bytes, unstored: bool) -> Command {
    told(core, &scripts::RELEASE, hash, token, Some(Bytes::from_static(if unstored { b"1" } else { b"0" })))
}

/// A script that wakes those who wait.
fn told(core: &Core, script: &'static Script, hash: KeyHash, token: &Bytes, more: Option<Bytes>) -> Command {
    let args = [token.clone(), core.names.wake.clone().into(), Bytes::copy_from_slice(&hash_text(hash))];
    Command::script(script, vec![core.names.lease(hash)], args.into_iter().chain(more))
}

fn renew(core: &Core, hash: KeyHash, token: &Bytes, duration: Duration) -> Command {
    let args = [token.clone(), milliseconds(duration).to_string().into()];
    Command::script(&scripts::RENEW, vec![core.names.lease(hash)], args)
}

/// Renews every third of the duration, and as soon as there is a connection again if there was none then; until the guard
/// is dropped or the lease is lost. A lost lease isn't taken again: the run goes on, but what it stores will be refused.
async fn keep(core: Arc<Core>, command: Command, duration: Duration, mut ended: watch::Receiver<()>) {
    let mut way = Way::none();
    loop {
        tokio::select! {
            _ = ended.changed() => return,
            () = tokio::time::sleep(duration / 3) => {}
            () = way.opens() => {}
        }
        way = Way::to(&core, &command);
        let answer: Answer = core.servers.call_one(command.clone(), core.deadline()).await;
        match answer {
            Ok(reply) => {
                core.monitor.success(Operation::Renew);
                way = Way::none();
                match reply.number() {
                    Some(0) => return,
                    Some(OF_ANOTHER_TYPE) => return core.lease_was_of_another_type(Operation::Renew),
                    _ => {}
                }
            }
            Err(Fault::Closed) => return,
            Err(fault) => core.monitor.fault(Operation::Renew, &fault),
        }
    }
}

/// What the scripts answer that find a key of another type in a lease's place.
pub(crate) const OF_ANOTHER_TYPE: i64 = -1;

impl Core {
    /// A lease's key, or its entry's, held another type. Who held the lease has lost it.
    pub(crate) fn lease_was_of_another_type(&self, during: Operation) {
        let message = "another client has written a list, hash or the like to a key of larder's; it was removed";
        self.monitor.trouble(during, TroubleKind::WrongType, message.to_owned());
    }
}

/// The token of a lease's holder, in the words of `held.lua`; and whether whoever ends it was asked for a message. `None` if
/// it is free.
pub(crate) fn holder(lease: &[u8]) -> Option<(&[u8], bool)> {
    const LONGEST: usize = 64;
    let token = lease.split(|byte| b" !".contains(byte)).next().unwrap_or_default();
    let token = token.get(..LONGEST).unwrap_or(token);
    (token != b"-").then_some((token, lease.ends_with(b"!")))
}

/// At least one; and no more than Redis can add to the time.
pub(crate) fn milliseconds(duration: Duration) -> u64 {
    const LONGEST: u128 = 1 << 42;
    u64::try_from(duration.as_nanos().div_ceil(1_000_000).clamp(1, LONGEST)).unwrap_or(1)
}

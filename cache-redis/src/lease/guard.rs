//! The guard of a lease: the lease is renewed while the guard lives, and released when it is dropped.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cache_core::backend::{Lease, Stamp, TagId};
use tokio::sync::watch;

use super::commands::{give_up, release, renew};
use super::renewal::keep;
use crate::invalidation::Position;
use crate::keys::KeyHash;
use crate::random;
use crate::shared::Shared;

/// A lease, or the attempt to take one: the server may have granted it although its answer was lost.
pub(crate) struct RedisLease {
    shared: Arc<Shared>,
    hash: KeyHash,
    token: Bytes,
    duration: Duration,
    /// The stamp.
    position: Position,
    /// The tags that were given to the stamp script, sorted.
    tags: Vec<TagId>,
    /// Dropping it ends the renewal.
    renewal: Option<watch::Sender<()>>,
    /// There may be a lease to release.
    armed: bool,
    /// The run ended without storing a result.
    unstored: bool,
    /// The run before this one ended without storing a result.
    follows_unstored: bool,
}

impl RedisLease {
    /// Begins an attempt, with a new token. From now on a drop releases whatever was granted.
    pub(crate) fn attempt(shared: &Arc<Shared>, hash: KeyHash, duration: Duration) -> Self {
        let token: Bytes = format!("{:032x}", random::wide()).into();
        shared.held.insert(token.clone(), hash, duration);
        let (shared, position, tags) = (Arc::clone(shared), Position { sequence: 0, generation: 0 }, Vec::new());
        let (renewal, unstored, follows_unstored) = (None, false, false);
        Self { shared, hash, token, duration, position, tags, renewal, armed: true, unstored, follows_unstored }
    }

    pub(crate) fn token(&self) -> Bytes {
        self.token.clone()
    }

    /// The attempt succeeded, and the stamp script was given these tags, sorted. Must be called on the backend's runtime.
    pub(crate) fn granted(mut self, position: Position, tags: Vec<TagId>, follows_unstored: bool) -> Self {
        self.position = position;
        self.follows_unstored = follows_unstored;
        self.tags = tags;
        let (alive, ended) = watch::channel(());
        self.renewal = Some(alive);
        let command = renew(&self.shared, self.hash, &self.token, self.duration);
        tokio::spawn(keep(Arc::clone(&self.shared), command, self.duration, ended));
        self
    }

    /// Whether its stamp can be compared with those that are given out now: the sequence hasn't restarted lower since.
    pub(crate) fn is_of_this_order(&self) -> bool {
        self.position.generation == self.shared.bus.known.generation()
    }

    /// Whether the stamp script was given this tag. If the tag's bucket was lost since, the stored entry is a miss.
    pub(crate) fn has_tag(&self, tag: TagId) -> bool {
        self.tags.binary_search(&tag).is_ok()
    }

    /// There is nothing to release.
    pub(crate) fn disarm(mut self) {
        self.armed = false;
    }

    pub(crate) fn is_of(&self, shared: &Arc<Shared>, hash: KeyHash) -> bool {
        Arc::ptr_eq(&self.shared, shared) && self.hash == hash
    }
}

impl Lease for RedisLease {
    fn stamp(&self) -> Stamp {
        Stamp(self.position.sequence)
    }

    fn holder(&self) -> Option<&[u8]> {
        Some(&self.token)
    }

    fn give_up(&self) -> bool {
        self.shared.send_back(give_up(&self.shared, self.hash, &self.token), self.duration);
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
        if self.shared.watchdog.is_elsewhere() {
            return;
        }
        self.shared.held.remove(&self.token);
        if self.armed {
            let command = release(&self.shared, self.hash, &self.token, self.unstored);
            if self.renewal.is_some() {
                self.shared.send_back(command, self.duration);
            } else {
                self.shared.send_back_unseen(command, self.duration);
            }
        }
    }
}

impl fmt::Debug for RedisLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLease").field("stamp", &self.position.sequence).finish_non_exhaustive()
    }
}

//! The guard of a lease, and waiting for somebody else's.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::{Shared, SharedMemory, lock};
use crate::backend::{Busy, EntryKey, Lease, Stamp};
use crate::error::Error;

/// Held until it is dropped, stored with, or lost.
pub(super) struct MemoryLease {
    shared: Arc<Shared>,
    key: EntryKey,
    token: u64,
    /// The token as others see it.
    name: [u8; 8],
    stamp: Stamp,
    follows_unstored: bool,
}

impl MemoryLease {
    pub(super) fn new(shared: &Arc<Shared>, key: &EntryKey, token: u64, stamp: Stamp, follows_unstored: bool) -> Self {
        let (shared, key, name) = (Arc::clone(shared), key.clone(), token.to_le_bytes());
        Self { shared, key, token, name, stamp, follows_unstored }
    }

    /// The token, if the lease is of this store and key.
    pub(super) fn token_for(&self, shared: &Arc<Shared>, key: &EntryKey) -> Option<u64> {
        (Arc::ptr_eq(&self.shared, shared) && self.key == *key).then_some(self.token)
    }
}

impl Lease for MemoryLease {
    fn stamp(&self) -> Stamp {
        self.stamp
    }

    fn holder(&self) -> Option<&[u8]> {
        Some(&self.name)
    }

    fn ended_unstored(self: Box<Self>) {
        // Dropping it afterwards gives nothing back any more.
        let freed = lock(&self.shared.state).release_unstored(&self.key, self.token);
        if let Some(waiters) = freed {
            waiters.wake();
        }
    }

    fn follows_unstored(&self) -> bool {
        self.follows_unstored
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send + Sync> {
        self
    }
}

impl Drop for MemoryLease {
    fn drop(&mut self) {
        let freed = lock(&self.shared.state).release(&self.key, self.token);
        if let Some(waiters) = freed {
            waiters.wake();
        }
    }
}

impl fmt::Debug for MemoryLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLease").field("key", &self.key).field("stamp", &self.stamp).finish_non_exhaustive()
    }
}

/// Ready once the lease has ended. Woken by whoever ends it.
pub(super) struct Wait<'a> {
    memory: &'a SharedMemory,
    key: &'a EntryKey,
    token: u64,
    waiter: u64,
}

impl<'a> Wait<'a> {
    pub(super) fn new(memory: &'a SharedMemory, key: &'a EntryKey, busy: &Busy) -> Self {
        // Bytes of another backend name no lease here: that one has ended, so to speak. Tokens begin with 1.
        let token = busy.holder.as_slice().try_into().map_or(0, u64::from_le_bytes);
        let waiter = lock(&memory.shared.state).number();
        Self { memory, key, token, waiter }
    }
}

impl Future for Wait<'_> {
    type Output = Result<(), Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut waker = Some(context.waker().clone());
        // Whatever is in `waker` afterwards is dropped after the lock.
        match self.memory.state().map(|mut state| state.watch(self.key, self.token, self.waiter, &mut waker)) {
            Ok(true) => Poll::Pending,
            Ok(false) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let waker = lock(&self.memory.shared.state).unwatch(self.key, self.token, self.waiter);
        drop(waker); // after the lock
    }
}

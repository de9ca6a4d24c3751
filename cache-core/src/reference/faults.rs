//! Losses and faults of a [`SharedMemory`], at will: what a real backend suffers by eviction, failover, a cut network or
//! a flipped bit.
//!
//! After any of them larder must still answer, and never with a value that was invalidated.
//!
//! ```
//! use cache_core::ErrorKind;
//! use cache_core::reference::SharedMemory;
//!
//! let memory = SharedMemory::new();
//! memory.fail_with(Some(ErrorKind::Unavailable)); // now functions run their bodies
//! memory.fail_with(None);
//! memory.flush(); // and everything is a miss once
//! ```

use super::{SharedMemory, lock};
use crate::backend::EntryKey;
use crate::error::ErrorKind;

/// Faults, at will. Except for [`fail_with`](Self::fail_with) they hit the store, thus every process.
impl SharedMemory {
    /// Loses one entry, as by eviction. Whether there was one.
    pub fn lose_entry(&self, key: &EntryKey) -> bool {
        lock(&self.shared.state).remove(key)
    }

    /// Loses all entries.
    pub fn lose_entries(&self) {
        lock(&self.shared.state).remove_all();
    }

    /// Loses all leases while their holders still run, as by eviction: others are granted new ones, and what the old
    /// holders store is refused.
    pub fn lose_leases(&self) {
        let waiters = lock(&self.shared.state).end_leases();
        waiters.wake();
    }

    /// Ends all leases, as if their holders had died and the lease time were over. To the store this is the same as
    /// [`lose_leases`](Self::lose_leases).
    pub fn expire_leases(&self) {
        self.lose_leases();
    }

    /// Loses the record of invalidated tags. Entries that were live may become misses; dead ones stay dead.
    pub fn lose_buckets(&self) {
        lock(&self.shared.state).order.lose_buckets();
    }

    /// Loses the clock. It is re-created ahead of all it ever was.
    pub fn lose_clock(&self) {
        lock(&self.shared.state).order.lose_clock();
    }

    /// Loses everything at once.
    pub fn flush(&self) {
        let mut state = lock(&self.shared.state);
        state.remove_all();
        state.order.lose_buckets();
        state.order.lose_clock();
        let waiters = state.end_leases();
        drop(state);
        waiters.wake();
    }

    /// Lets `damage` change the bytes of every stored entry. Entries that were really changed become misses.
    pub fn corrupt(&self, damage: impl FnMut(&mut Vec<u8>)) {
        lock(&self.shared.state).blobs().for_each(damage);
    }

    /// Makes every operation of this process (this handle and its clones) fail with an error of that kind until it is
    /// called with `None`. Leases are still released when dropped, and listeners still hear of invalidations.
    pub fn fail_with(&self, kind: Option<ErrorKind>) {
        *lock(&self.process.failing) = kind;
        let waiters = lock(&self.shared.state).take_waiters();
        waiters.wake();
    }
}

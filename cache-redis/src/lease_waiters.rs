//! Who in this process waits for which lease. Waiters are woken by a keyspace notification, by a message from the process that
//! released the lease, or when either may have been missed. Nobody polls while one of these will come. Where none can be
//! received, a waiter reads the lease itself, at a [`pace`] that slows down.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use crate::keys::KeyHash;

/// Why a waiter was woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    /// The lease has ended or changed.
    Ended,
    /// A message may have been missed.
    LookAgain,
}

type Senders = HashMap<KeyHash, Vec<(u64, oneshot::Sender<Woken>)>>;

/// The pause between two reads of a lease whose end won't be announced. A waiter loses at most a tenth of the time that it has
/// waited, and reads a lease several times before it ends.
pub(crate) fn pace(waited: Duration, lease: Duration) -> Duration {
    const SHORTEST: Duration = Duration::from_millis(10);
    const LONGEST: Duration = Duration::from_millis(250);
    (waited / 10).min(lease / 10).clamp(SHORTEST, LONGEST)
}

/// All waiters of this process.
#[derive(Debug, Default)]
pub(crate) struct LeaseWaiters {
    state: Mutex<(u64, Senders)>,
    /// Whether there are any.
    any: watch::Sender<bool>,
}

impl LeaseWaiters {
    /// Registers a waiter. Register first and read the lease afterwards, so that no message in between is missed.
    pub(crate) fn register(self: &Arc<Self>, hash: KeyHash) -> Waiter {
        let (sender, woken) = oneshot::channel();
        let mut state = self.lock();
        state.0 += 1;
        let id = state.0;
        state.1.entry(hash).or_default().push((id, sender));
        self.count(&state.1);
        drop(state);
        Waiter { waiters: Arc::clone(self), hash, id, woken }
    }

    /// Whether anybody waits.
    pub(crate) fn any(&self) -> watch::Receiver<bool> {
        self.any.subscribe()
    }

    fn count(&self, senders: &Senders) {
        let any = !senders.is_empty();
        self.any.send_if_modified(|before| std::mem::replace(before, any) != any);
    }

    pub(crate) fn wake(&self, hash: KeyHash) {
        let mut state = self.lock();
        let senders = state.1.remove(&hash);
        self.count(&state.1);
        drop(state);
        for (_, sender) in senders.into_iter().flatten() {
            // A waiter may have gone away.
            let _ = sender.send(Woken::Ended);
        }
    }

    pub(crate) fn wake_all(&self) {
        let mut state = self.lock();
        let senders = std::mem::take(&mut state.1);
        self.count(&state.1);
        drop(state);
        for (_, sender) in senders.into_values().flatten() {
            let _ = sender.send(Woken::LookAgain);
        }
    }

    fn lock(&self) -> MutexGuard<'_, (u64, Senders)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One waiter. Dropping it unregisters it.
#[derive(Debug)]
pub(crate) struct Waiter {
    waiters: Arc<LeaseWaiters>,
    hash: KeyHash,
    id: u64,
    woken: oneshot::Receiver<Woken>,
}

impl Waiter {
    pub(crate) async fn woken(&mut self) -> Woken {
        (&mut self.woken).await.unwrap_or(Woken::LookAgain)
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut state = self.waiters.lock();
        if let Some(senders) = state.1.get_mut(&self.hash) {
            senders.retain(|(id, _)| *id != self.id);
            if senders.is_empty() {
                state.1.remove(&self.hash);
            }
        }
        self.waiters.count(&state.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waiters_are_woken_and_forgotten() {
        let waiters = Arc::new(LeaseWaiters::default());
        let (mut one, mut two) = (waiters.register(1), waiters.register(2));
        let gone = waiters.register(1);
        drop(gone);
        let any = waiters.any();
        waiters.wake(1);
        assert_eq!(one.woken().await, Woken::Ended);
        assert!(*any.borrow());
        waiters.wake_all();
        assert_eq!(two.woken().await, Woken::LookAgain);
        assert!(waiters.lock().1.is_empty());
        assert!(!*any.borrow());
        drop(waiters.register(1));
        assert!(!*any.borrow());
    }

    #[test]
    fn looks_slow_down() {
        let (second, lease) = (Duration::from_secs(1), Duration::from_secs(10));
        assert_eq!(pace(Duration::ZERO, lease), second / 100);
        assert_eq!(pace(second, lease), second / 10);
        assert_eq!(pace(second * 60, lease), second / 4);
        assert_eq!(pace(second * 60, second), second / 10, "much shorter than the lease");
    }
}

//! Who in this process waits for which lease. What wakes them: a keyspace notification, a message of whoever released
//! the lease, or doubt about either. Nothing here polls.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::keys::KeyHash;

/// Why a waiter was woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    /// Something happened to the lease.
    Ended,
    /// Perhaps something was missed.
    LookAgain,
}

type Senders = HashMap<KeyHash, Vec<(u64, oneshot::Sender<Woken>)>>;

/// All waiters of this process.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    state: Mutex<(u64, Senders)>,
}

impl Waiters {
    /// From now on, nothing about this lease is missed.
    pub(crate) fn register(self: &Arc<Self>, hash: KeyHash) -> Waiter {
        let (sender, woken) = oneshot::channel();
        let mut state = self.lock();
        state.0 += 1;
        let id = state.0;
        state.1.entry(hash).or_default().push((id, sender));
        drop(state);
        Waiter { waiters: Arc::clone(self), hash, id, woken }
    }

    pub(crate) fn wake(&self, hash: KeyHash) {
        let senders = self.lock().1.remove(&hash);
        for (_, sender) in senders.into_iter().flatten() {
            // A waiter may have gone away.
            let _ = sender.send(Woken::Ended);
        }
    }

    pub(crate) fn wake_all(&self) {
        let senders = std::mem::take(&mut self.lock().1);
        for (_, sender) in senders.into_values().flatten() {
            let _ = sender.send(Woken::LookAgain);
        }
    }

    fn lock(&self) -> MutexGuard<'_, (u64, Senders)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One who waits; dropping it is going away.
#[derive(Debug)]
pub(crate) struct Waiter {
    waiters: Arc<Waiters>,
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waiters_are_woken_and_forgotten() {
        let waiters = Arc::new(Waiters::default());
        let (mut one, mut two) = (waiters.register(1), waiters.register(2));
        let gone = waiters.register(1);
        drop(gone);
        waiters.wake(1);
        assert_eq!(one.woken().await, Woken::Ended);
        waiters.wake_all();
        assert_eq!(two.woken().await, Woken::LookAgain);
        assert!(waiters.lock().1.is_empty());
    }
}

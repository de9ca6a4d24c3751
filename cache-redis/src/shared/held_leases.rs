//! The leases that this process holds or may hold, so that `close` can release them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use crate::keys::KeyHash;

/// By token: the key of the lease, and the duration that was asked for.
#[derive(Debug, Default)]
pub(crate) struct HeldLeases(Mutex<HashMap<Bytes, (KeyHash, Duration)>>);

impl HeldLeases {
    pub(crate) fn insert(&self, token: Bytes, hash: KeyHash, duration: Duration) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(token, (hash, duration));
    }

    pub(crate) fn remove(&self, token: &Bytes) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(token);
    }

    pub(crate) fn all(&self) -> Vec<(Bytes, KeyHash, Duration)> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.iter().map(|(token, (hash, duration))| (token.clone(), *hash, *duration)).collect()
    }
}

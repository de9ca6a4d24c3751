//! What stands in for the store when the feature `memory` is off: nothing, and it can't be made.

use std::sync::Arc;

use super::{Bound, Evict, Inserted, NotFound};
use crate::entry::CachedEntry;
use crate::key::call_key::{CallKey, CallKeyRef};
use crate::key::{KeyBuf, ShortArgs};
use crate::rt::clock::Clock;
use crate::stats::Counters;
use crate::thread_cache::thread::Thread;
use crate::trust::validity::Validity;

#[derive(Clone, Debug)]
pub(crate) enum Store {}

/// Nothing is ever let go of.
#[must_use]
#[derive(Debug)]
pub(crate) struct DeferredDrops;

impl DeferredDrops {
    pub(crate) fn new() -> Self {
        Self
    }
}

impl Drop for DeferredDrops {
    fn drop(&mut self) {}
}

impl Store {
    /// Never.
    pub(crate) fn open(bound: Bound, _: Evict, _: &Clock) -> Option<Self> {
        let (Bound::Entries(_) | Bound::Weight(_)) = bound;
        None
    }

    pub(crate) fn most_entries(&self) -> Option<u64> {
        match *self {}
    }

    pub(crate) fn generation(&self, _: u64) -> u64 {
        match *self {}
    }

    pub(crate) fn look(
        &self,
        _: &Validity,
        _: &Counters,
        _: &CallKeyRef<'_, '_>,
        _: &mut dyn FnMut(&CachedEntry) -> bool,
    ) -> Result<(), NotFound> {
        match *self {}
    }

    pub(crate) fn get_owned(&self, _: &CallKey) -> Option<Arc<CachedEntry>> {
        match *self {}
    }

    pub(crate) fn insert(&self, _: CallKey, _: Arc<CachedEntry>) -> Inserted {
        match *self {}
    }

    pub(crate) fn eviction_clock(&self) -> Option<u64> {
        match *self {}
    }

    pub(crate) fn withdraw(&self, _: &CallKey) {
        match *self {}
    }

    pub(crate) fn clear(&self) {
        match *self {}
    }

    pub(crate) fn keep_up(&self) -> bool {
        match *self {}
    }

    pub(crate) fn maintain(&self) -> u64 {
        match *self {}
    }
}

/// There is no front either.
#[inline]
pub(crate) fn hit<T>(_: &Thread, _: u64, _: u64, _: ShortArgs) -> Option<T> {
    None
}

pub(crate) fn hit_long<T>(_: &Thread, _: u64, _: u64, _: &[u8], _: &KeyBuf<'_>) -> Option<T> {
    None
}

pub(crate) fn hit_unusual<T>(_: &Thread, _: &CallKeyRef<'_, '_>, _: u64, _: &Validity) -> Option<T> {
    None
}

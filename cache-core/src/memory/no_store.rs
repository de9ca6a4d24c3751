//! What stands in for the store when the feature `memory` is off: nothing, and it can't be made.

use std::sync::Arc;

use super::Bound;
use crate::call_key::{CallKey, CallKeyRef};
use crate::clock::Clock;
use crate::stats::Counters;
use crate::stored::Stored;

#[derive(Clone, Debug)]
pub(crate) enum Store {}

impl Store {
    /// Never.
    pub(crate) fn open(bound: Bound, _: &Clock) -> Option<Self> {
        let (Bound::Entries(_) | Bound::Weight(_)) = bound;
        None
    }

    pub(crate) fn insertions(&self, _: u64) -> u32 {
        match *self {}
    }

    pub(crate) fn look_near<R>(
        &self,
        _: u64,
        _: &CallKeyRef<'_, '_>,
        _: impl FnOnce(&Stored) -> Option<R>,
    ) -> Option<R> {
        match *self {}
    }

    pub(crate) fn look_far<R>(
        &self,
        _: u64,
        _: &Counters,
        _: &CallKeyRef<'_, '_>,
        _: impl FnOnce(&Stored) -> Option<R>,
    ) -> Result<R, Option<Arc<Stored>>> {
        match *self {}
    }

    pub(crate) fn get_owned(&self, _: &CallKey) -> Option<Arc<Stored>> {
        match *self {}
    }

    pub(crate) fn insert(&self, _: CallKey, _: Arc<Stored>) {
        match *self {}
    }

    pub(crate) fn remove(&self, _: &CallKey) {
        match *self {}
    }

    pub(crate) fn clear(&self) {
        match *self {}
    }

    pub(crate) fn maintain(&self) -> u64 {
        match *self {}
    }
}

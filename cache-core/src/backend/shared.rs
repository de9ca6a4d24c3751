//! A backend behind an `Arc` is the same backend.

use std::sync::Arc;
use std::time::Duration;

use crate::backend::{
    Backend, BackendHold, BoxFuture, Busy, Entry, EntryKey, Lease, LeaseAnswer, LeaseRequest, ListenerHandle, Reading,
    Stamp, StoreAnswer, TagId,
};
use crate::codec::Codec;
use crate::error::Error;

impl<B: Backend + ?Sized> Backend for Arc<B> {
    fn name(&self) -> &str {
        (**self).name()
    }
    fn read<'a>(&'a self, key: &'a EntryKey) -> BoxFuture<'a, Result<Reading, Error>> {
        (**self).read(key)
    }
    fn lease<'a>(&'a self, key: &'a EntryKey, request: LeaseRequest<'a>) -> BoxFuture<'a, Result<LeaseAnswer, Error>> {
        (**self).lease(key, request)
    }
    fn wait<'a>(&'a self, key: &'a EntryKey, busy: Busy) -> BoxFuture<'a, Result<(), Error>> {
        (**self).wait(key, busy)
    }
    fn store<'a>(
        &'a self,
        key: &'a EntryKey,
        lease: Box<dyn Lease>,
        entry: Entry,
    ) -> BoxFuture<'a, Result<StoreAnswer, Error>> {
        (**self).store(key, lease, entry)
    }
    fn prolongs(&self) -> bool {
        (**self).prolongs()
    }
    fn touch(&self, key: &EntryKey, idle: Duration) {
        (**self).touch(key, idle);
    }
    fn invalidate<'a>(&'a self, tags: &'a [TagId]) -> BoxFuture<'a, Result<Stamp, Error>> {
        (**self).invalidate(tags)
    }
    fn hold(&self, tags: &[TagId]) -> Option<Box<dyn BackendHold>> {
        (**self).hold(tags)
    }
    fn known_stamp(&self) -> Option<Stamp> {
        (**self).known_stamp()
    }
    fn identity(&self) -> String {
        (**self).identity()
    }
    fn catch_up(&self, stamp: Stamp) -> BoxFuture<'_, Result<bool, Error>> {
        (**self).catch_up(stamp)
    }
    fn attach(&self, listener: ListenerHandle) {
        (**self).attach(listener);
    }
    fn max_staleness(&self) -> Option<Duration> {
        (**self).max_staleness()
    }
    fn codec(&self) -> Option<Arc<dyn Codec>> {
        (**self).codec()
    }
    fn close(&self) -> BoxFuture<'_, ()> {
        (**self).close()
    }
}

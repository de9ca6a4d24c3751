//! `lease`: how long the right to run lasts.

#![cfg(feature = "msgpack")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use larder::backend::{
    Backend, BoxFuture, Busy, Entry, EntryKey, Lease, LeaseAnswer, LeaseRequest, ListenerHandle, Reading, Stamp,
    StoreAnswer, TagId,
};
use larder::reference::SharedMemory;
use larder::{Cache, Error, cached};

use crate::support::seconds;

/// Notes the leases that are asked for.
#[derive(Clone, Debug, Default)]
struct Noting {
    inner: SharedMemory,
    leases: Arc<Mutex<Vec<Option<Duration>>>>,
}

impl Backend for Noting {
    fn name(&self) -> &str {
        "noting"
    }
    fn read<'a>(&'a self, key: &'a EntryKey) -> BoxFuture<'a, Result<Reading, Error>> {
        self.inner.read(key)
    }
    fn lease<'a>(&'a self, key: &'a EntryKey, request: LeaseRequest<'a>) -> BoxFuture<'a, Result<LeaseAnswer, Error>> {
        self.leases.lock().unwrap().push(request.duration);
        self.inner.lease(key, request)
    }
    fn wait<'a>(&'a self, key: &'a EntryKey, busy: Busy) -> BoxFuture<'a, Result<(), Error>> {
        self.inner.wait(key, busy)
    }
    fn store<'a>(
        &'a self,
        key: &'a EntryKey,
        lease: Box<dyn Lease>,
        entry: Entry,
    ) -> BoxFuture<'a, Result<StoreAnswer, Error>> {
        self.inner.store(key, lease, entry)
    }
    fn invalidate<'a>(&'a self, tags: &'a [TagId]) -> BoxFuture<'a, Result<(), Error>> {
        self.inner.invalidate(tags)
    }
    fn known_stamp(&self) -> Option<Stamp> {
        self.inner.known_stamp()
    }
    fn attach(&self, listener: ListenerHandle) {
        self.inner.attach(listener);
    }
    fn max_staleness(&self) -> Option<Duration> {
        None
    }
    fn close(&self) -> BoxFuture<'_, ()> {
        self.inner.close()
    }
}

#[test]
fn it_is_what_the_backend_is_asked_for() {
    #[cached(lease = "10s")]
    fn fixed(id: u64) -> u64 {
        id
    }
    #[cached(lease = seconds(time))]
    fn computed(time: u64) -> u64 {
        time
    }
    #[cached]
    fn plain(id: u64) -> u64 {
        id
    }
    let backend = Noting::default();
    let cache = Cache::builder().backend(backend.clone()).build().unwrap();
    cache.with_sync(|| (fixed(1), computed(3), plain(1)));
    assert_eq!(*backend.leases.lock().unwrap(), [Some(seconds(10)), Some(seconds(3)), None]);
}

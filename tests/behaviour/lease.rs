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
    larder_testbed::left_to!(inner: read wait store invalidate known_stamp attach close);

    fn name(&self) -> &str {
        "noting"
    }
    fn lease<'a>(&'a self, key: &'a EntryKey, request: LeaseRequest<'a>) -> BoxFuture<'a, Result<LeaseAnswer, Error>> {
        self.leases.lock().unwrap().push(request.duration);
        self.inner.lease(key, request)
    }
    fn max_staleness(&self) -> Option<Duration> {
        None
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

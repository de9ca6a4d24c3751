//! Promise 3 under a backend, or a codec, that panics: neither is to, and a call is answered all the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use larder::backend::{
    Backend, BoxFuture, Busy, Entry, EntryKey, Lease, LeaseAnswer, LeaseRequest, ListenerHandle, Reading, Stamp,
    StoreAnswer, TagId,
};
use larder::codec::{Codec, MessagePack};
use larder::reference::SharedMemory;
use larder::{Cache, Error, ErrorKind, cached};

use crate::support::{Runs, block_on};

/// Where it panics.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(u8)]
enum At {
    Nowhere,
    /// When it is called.
    Call,
    /// When its future is polled.
    Poll,
    /// When its future is dropped.
    Drop,
}

#[derive(Clone, Debug, Default)]
struct Moods(Arc<[AtomicU8; 10]>);

#[derive(Clone, Copy, Debug)]
#[repr(usize)]
enum Method {
    Name,
    Read,
    Lease,
    Wait,
    Store,
    Invalidate,
    KnownStamp,
    Close,
    LeaseStamp,
    LeaseDrop,
}

impl Moods {
    fn set(&self, method: Method, at: At) {
        self.0[method as usize].store(at as u8, Ordering::SeqCst);
    }

    fn panics(&self, method: Method, at: At) {
        assert_ne!(self.0[method as usize].load(Ordering::SeqCst), at as u8, "{method:?} is told to panic at {at:?}");
    }

    fn future<'a, T: 'a>(&self, method: Method, future: BoxFuture<'a, T>) -> BoxFuture<'a, T> {
        struct Fragile(Moods, Method);
        impl Drop for Fragile {
            fn drop(&mut self) {
                if !std::thread::panicking() {
                    self.0.panics(self.1, At::Drop);
                }
            }
        }
        self.panics(method, At::Call);
        let fragile = Fragile(self.clone(), method);
        Box::pin(async move {
            fragile.0.panics(method, At::Poll);
            let done = future.await;
            // Dropped with the future, not within a poll of it.
            std::mem::forget(fragile);
            done
        })
    }
}

#[derive(Debug)]
struct Moody {
    inner: SharedMemory,
    moods: Moods,
}

#[derive(Debug)]
struct MoodyLease(Option<Box<dyn Lease>>, Moods);

impl Lease for MoodyLease {
    fn stamp(&self) -> Stamp {
        self.1.panics(Method::LeaseStamp, At::Call);
        self.0.as_ref().unwrap().stamp()
    }
    fn into_any(self: Box<Self>) -> Box<dyn std::any::Any + Send + Sync> {
        self
    }
}

impl Drop for MoodyLease {
    fn drop(&mut self) {
        drop(self.0.take());
        if !std::thread::panicking() {
            self.1.panics(Method::LeaseDrop, At::Call);
        }
    }
}

impl Backend for Moody {
    larder_testbed::left_to!(inner: attach max_staleness);

    fn name(&self) -> &str {
        self.moods.panics(Method::Name, At::Call);
        "moody"
    }
    fn read<'a>(&'a self, key: &'a EntryKey) -> BoxFuture<'a, Result<Reading, Error>> {
        self.moods.future(Method::Read, self.inner.read(key))
    }
    fn lease<'a>(&'a self, key: &'a EntryKey, request: LeaseRequest<'a>) -> BoxFuture<'a, Result<LeaseAnswer, Error>> {
        let moods = self.moods.clone();
        let lease = self.inner.lease(key, request);
        let wrapped = Box::pin(async move {
            Ok(match lease.await? {
                LeaseAnswer::Granted(lease) => LeaseAnswer::Granted(Box::new(MoodyLease(Some(lease), moods))),
                other => other,
            })
        });
        self.moods.future(Method::Lease, wrapped)
    }
    fn wait<'a>(&'a self, key: &'a EntryKey, busy: Busy) -> BoxFuture<'a, Result<(), Error>> {
        self.moods.future(Method::Wait, self.inner.wait(key, busy))
    }
    fn store<'a>(
        &'a self,
        key: &'a EntryKey,
        lease: Box<dyn Lease>,
        entry: Entry,
    ) -> BoxFuture<'a, Result<StoreAnswer, Error>> {
        let mut lease = lease.into_any().downcast::<MoodyLease>().unwrap();
        let inner = lease.0.take().unwrap();
        std::mem::forget(lease);
        self.moods.future(Method::Store, self.inner.store(key, inner, entry))
    }
    fn invalidate<'a>(&'a self, tags: &'a [TagId]) -> BoxFuture<'a, Result<Stamp, Error>> {
        self.moods.future(Method::Invalidate, self.inner.invalidate(tags))
    }
    fn known_stamp(&self) -> Option<Stamp> {
        self.moods.panics(Method::KnownStamp, At::Call);
        self.inner.known_stamp()
    }
    fn close(&self) -> BoxFuture<'_, ()> {
        self.moods.future(Method::Close, self.inner.close())
    }
}

#[test]
fn whatever_the_method() {
    static RUNS: Runs = Runs::new();
    #[cached(tags = ["moody"])]
    fn read(id: u64) -> u64 {
        RUNS.begin();
        id
    }
    // Its leases are dropped.
    #[cached(cache_if = |_| false)]
    fn never_stored(id: u64) -> u64 {
        id
    }
    let (shared, moods) = (SharedMemory::new(), Moods::default());
    let backend = Moody { inner: shared.another_process(), moods: moods.clone() };
    let cache = Cache::builder().without_memory().backend(backend).build().unwrap();
    let errors = || cache.stats().function("read").unwrap().backend_errors;
    let mut id = 0;
    let methods = [
        (Method::Name, 0),
        (Method::Read, 1),
        (Method::Lease, 1),
        (Method::Store, 1),
        (Method::KnownStamp, 0),
        (Method::LeaseStamp, 1),
        (Method::LeaseDrop, 0),
    ];
    for at in [At::Call, At::Poll] {
        for (method, faults) in methods {
            moods.set(method, at);
            id += 1;
            cache.with_sync(|| read(0)); // so that it is there
            let before = errors();
            assert_eq!(cache.with_sync(|| read(id)), id, "{method:?} {at:?}");
            let is_future = matches!(method, Method::Read | Method::Lease | Method::Store);
            assert_eq!(errors() - before, if is_future || at == At::Call { faults } else { 0 }, "{method:?} {at:?}");
            assert_eq!(cache.with_sync(|| never_stored(id)), id, "{method:?} {at:?}");
            moods.set(method, At::Nowhere);
            assert_eq!(cache.with_sync(|| read(id)), id, "{method:?} {at:?}");
            assert_eq!(shared.usage().leases, 0, "{method:?} {at:?}");
        }
        moods.set(Method::Invalidate, at);
        let error = block_on(cache.invalidate_tag("moody")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("the backend `moody` panicked"), "{error}");
        moods.set(Method::Name, At::Call);
        let error = block_on(cache.invalidate_tag("moody")).unwrap_err();
        assert!(error.to_string().contains("panicked"), "{error}");
        moods.set(Method::Name, At::Nowhere);
        moods.set(Method::Invalidate, At::Nowhere);
        block_on(cache.invalidate_tag("moody")).unwrap();
    }
    moods.set(Method::Close, At::Poll);
    block_on(cache.close());
    assert_eq!(format!("{cache:?}").matches("Moody").count(), 1, "it is shown as it is");
}

#[tokio::test]
async fn while_another_process_is_waited_for_and_when_a_call_goes_away() {
    static RUNS: Runs = Runs::new();
    #[cached]
    async fn read(id: u64) -> u64 {
        let run = RUNS.begin().number;
        if run == 1 {
            std::future::pending::<()>().await;
        }
        id
    }
    let (shared, moods) = (SharedMemory::new(), Moods::default());
    let process = |moods: &Moods| {
        let backend = Moody { inner: shared.another_process(), moods: moods.clone() };
        Cache::builder().without_memory().backend(backend).build().unwrap()
    };
    let (here, there) = (process(&Moods::default()), process(&moods));
    let mut first = Box::pin(here.with(read(1)));
    assert!(crate::support::poll_once(&mut first).await.is_none());
    moods.set(Method::Wait, At::Poll);
    assert_eq!(there.with(read(1)).await, 1, "it can't wait, so it runs");
    moods.set(Method::Wait, At::Drop);
    let mut second = Box::pin(there.with(read(1)));
    assert!(crate::support::poll_once(&mut second).await.is_none());
    drop(second);
    moods.set(Method::Wait, At::Nowhere);
    drop(first);
    assert_eq!(there.with(read(1)).await, 1);
    assert_eq!((RUNS.count(), shared.usage().leases, there.stats().flights), (3, 0, 0));
}

/// In which method the codec panics.
static CODEC: AtomicU8 = AtomicU8::new(0);

#[derive(Debug)]
struct MoodyCodec;

impl MoodyCodec {
    fn pass(method: u8) {
        assert_ne!(CODEC.load(Ordering::SeqCst), method, "it is told to panic");
    }
}

impl Codec for MoodyCodec {
    fn name(&self) -> &str {
        Self::pass(1);
        "moody"
    }
    fn encode(&self, value: &dyn erased_serde::Serialize, out: &mut Vec<u8>) -> Result<(), Error> {
        let before = out.len();
        out.extend_from_slice(b"a part of it");
        Self::pass(2);
        out.truncate(before);
        MessagePack.encode(value, out)
    }
    fn decode(
        &self,
        bytes: &[u8],
        read: &mut dyn FnMut(&mut dyn erased_serde::Deserializer<'_>) -> Result<(), erased_serde::Error>,
    ) -> Result<(), Error> {
        Self::pass(3);
        MessagePack.decode(bytes, read)
    }
    fn describes_itself(&self) -> bool {
        Self::pass(4);
        true
    }
}

#[test]
fn in_a_codec() {
    #[cached]
    fn read(id: u64) -> u64 {
        id
    }
    for method in 1..=4 {
        let shared = SharedMemory::new();
        let process =
            || Cache::builder().without_memory().codec(MoodyCodec).backend(shared.another_process()).build().unwrap();
        let cache = process();
        cache.with_sync(|| read(1));
        CODEC.store(method, Ordering::SeqCst);
        for cache in [&cache, &process()] {
            assert_eq!(cache.with_sync(|| (read(1), read(2))), (1, 2), "method {method}");
        }
        CODEC.store(0, Ordering::SeqCst);
        assert_eq!(cache.with_sync(|| (read(1), read(2))), (1, 2));
        assert_eq!(shared.usage().leases, 0);
    }
}

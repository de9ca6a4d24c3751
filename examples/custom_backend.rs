//! A shared layer of your own: here one that counts what it is asked around one that exists, between two "processes".
//!
//! ```text
//! cargo run --features msgpack --example custom_backend
//! ```

#![allow(clippy::print_stdout, reason = "an example prints")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use larder::backend::{
    Backend, BoxFuture, Busy, Entry, EntryKey, Lease, LeaseAnswer, LeaseRequest, ListenerHandle, Reading, Stamp,
    StoreAnswer, TagId,
};
use larder::conformance::{Conformance, Subject};
use larder::reference::SharedMemory;
use larder::{Cache, Clock, Error, ErrorKind, cached};

/// Counts. It keeps larder's promises because the layer it wraps does, and because it changes nothing.
#[derive(Debug)]
struct Counting<B> {
    inner: B,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    reads: AtomicU64,
    stores: AtomicU64,
    bytes: AtomicU64,
    invalidations: AtomicU64,
}

fn one(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

fn taken(count: &AtomicU64) -> u64 {
    count.swap(0, Ordering::Relaxed)
}

impl<B: Backend> Backend for Counting<B> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn read<'a>(&'a self, key: &'a EntryKey) -> BoxFuture<'a, Result<Reading, Error>> {
        one(&self.counts.reads);
        self.inner.read(key)
    }

    fn lease<'a>(&'a self, key: &'a EntryKey, request: LeaseRequest<'a>) -> BoxFuture<'a, Result<LeaseAnswer, Error>> {
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
        one(&self.counts.stores);
        self.counts.bytes.fetch_add(entry.payload.len() as u64, Ordering::Relaxed);
        self.inner.store(key, lease, entry)
    }

    fn invalidate<'a>(&'a self, tags: &'a [TagId]) -> BoxFuture<'a, Result<Stamp, Error>> {
        one(&self.counts.invalidations);
        self.inner.invalidate(tags)
    }

    fn known_stamp(&self) -> Option<Stamp> {
        self.inner.known_stamp()
    }

    fn attach(&self, listener: ListenerHandle) {
        self.inner.attach(listener);
    }

    fn max_staleness(&self) -> Option<Duration> {
        self.inner.max_staleness()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.inner.close()
    }
}

static RUNS: AtomicU64 = AtomicU64::new(0);

#[cached(ttl = "1h", tags = [("word", word)])]
async fn lengthen(word: &str) -> String {
    one(&RUNS);
    word.repeat(100)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let counts = Arc::<Counts>::default();
    let count = |inner| Counting { inner, counts: Arc::clone(&counts) };
    let shared = SharedMemory::new();
    let here = Cache::builder().backend(count(shared.another_process())).build()?;
    let there = Cache::builder().backend(count(shared.another_process())).build()?;
    let report = |what: &str| {
        let Counts { reads, stores, bytes, invalidations } = &*counts;
        let all = [taken(&RUNS), taken(reads), taken(stores), taken(invalidations)];
        let [runs, reads, stores, invalidations] = all;
        let bytes = taken(bytes);
        println!(
            "{what:<28} {runs} runs, {reads} reads, {stores} stores ({bytes} bytes), {invalidations} invalidations"
        );
        all
    };

    here.with(lengthen("a")).await;
    assert_eq!(report("The first call, here:"), [1, 1, 1, 0]);
    here.with(lengthen("a")).await;
    assert_eq!(report("The second, from memory:"), [0, 0, 0, 0]);
    there.with(lengthen("a")).await;
    assert_eq!(report("The first one over there:"), [0, 1, 0, 0]);

    there.with(larder::invalidate_tag(("word", "a"))).await?;
    assert_eq!(report("An invalidation over there:"), [0, 0, 0, 1]);
    here.with(lengthen("a")).await;
    assert_eq!(report("It was heard of here:"), [1, 1, 1, 0]);

    let (first, second) = tokio::join!(here.with(lengthen("b")), there.with(lengthen("b")));
    assert_eq!(first, second);
    assert_eq!(report("Both at the same moment:")[0], 1);

    let suite = Conformance::new(conforming, |time| Box::pin(tokio::time::sleep(time)));
    let report = suite.all().await.map_err(|broken| Error::new(ErrorKind::Config, broken.to_string()))?;
    println!("\nDoes it keep the contract? {report}");
    Ok(())
}

/// Two processes on a new store, for the suite, and how to let time pass there.
async fn conforming() -> Result<Subject, Error> {
    let clock = Clock::manual();
    let shared = SharedMemory::with_clock(&clock);
    let count = |inner| Counting { inner, counts: Arc::default() };
    Ok(Subject::new(count(shared.another_process()), count(shared.another_process())).advance(move |time| {
        clock.advance(time);
        std::future::ready(())
    }))
}

//! Runs that replace an entry, where a backend has one as well.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use larder::backend::{
    Backend, BoxFuture, Busy, Entry, EntryKey, Lease, LeaseAnswer, LeaseRequest, ListenerHandle, Reading, Stamp,
    StoreAnswer, TagId,
};
use larder::reference::SharedMemory;
use larder::{Cache, Error, cached};

use crate::support::{Gate, Runs, two_processes};

/// Holds back what is stored, if it is told to.
#[derive(Clone, Debug)]
struct Slow {
    memory: SharedMemory,
    holds: Arc<AtomicBool>,
    gate: Arc<Gate>,
}

impl Backend for Slow {
    fn name(&self) -> &str {
        "slow"
    }
    fn read<'a>(&'a self, key: &'a EntryKey) -> BoxFuture<'a, Result<Reading, Error>> {
        self.memory.read(key)
    }
    fn lease<'a>(&'a self, key: &'a EntryKey, request: LeaseRequest<'a>) -> BoxFuture<'a, Result<LeaseAnswer, Error>> {
        self.memory.lease(key, request)
    }
    fn wait<'a>(&'a self, key: &'a EntryKey, busy: Busy) -> BoxFuture<'a, Result<(), Error>> {
        self.memory.wait(key, busy)
    }
    fn store<'a>(
        &'a self,
        key: &'a EntryKey,
        lease: Box<dyn Lease>,
        entry: Entry,
    ) -> BoxFuture<'a, Result<StoreAnswer, Error>> {
        Box::pin(async move {
            if self.holds.load(Ordering::SeqCst) {
                self.gate.pass().await;
            }
            self.memory.store(key, lease, entry).await
        })
    }
    fn invalidate<'a>(&'a self, tags: &'a [TagId]) -> BoxFuture<'a, Result<Stamp, Error>> {
        self.memory.invalidate(tags)
    }
    fn known_stamp(&self) -> Option<Stamp> {
        self.memory.known_stamp()
    }
    fn attach(&self, listener: ListenerHandle) {
        self.memory.attach(listener);
    }
    fn max_staleness(&self) -> Option<Duration> {
        self.memory.max_staleness()
    }
    fn close(&self) -> BoxFuture<'_, ()> {
        self.memory.close()
    }
}

/// Calls the function, refreshes it, and calls it again while the backend is being told. What the refresh and that call got,
/// and what is there afterwards.
async fn replace<R, C, P>(refresh: impl Fn() -> R, call: impl Fn() -> C, peek: impl Fn() -> P) -> [Option<usize>; 3]
where
    R: Future<Output = usize>,
    C: Future<Output = usize>,
    P: Future<Output = Option<usize>>,
{
    let slow = Slow { memory: SharedMemory::new(), holds: Arc::default(), gate: Arc::new(Gate::new()) };
    let cache = Cache::builder().backend(slow.clone()).build().unwrap();
    assert_eq!(cache.with(call()).await, 1);
    slow.holds.store(true, Ordering::SeqCst);
    let meanwhile = async {
        slow.gate.arrival().await;
        slow.holds.store(false, Ordering::SeqCst);
        let call = cache.with(call());
        let mut call = std::pin::pin!(call);
        // As far as it comes by itself.
        let first = std::future::poll_fn(|task| std::task::Poll::Ready(call.as_mut().poll(task))).await;
        slow.gate.open(1);
        match first {
            std::task::Poll::Ready(value) => value,
            std::task::Poll::Pending => call.await,
        }
    };
    let (refreshed, meanwhile) = tokio::join!(cache.with(refresh()), meanwhile);
    [Some(refreshed), Some(meanwhile), cache.with(peek()).await]
}

#[tokio::test]
async fn what_is_not_to_be_stored_takes_the_old_one_away_everywhere() {
    static RUNS: Runs = Runs::new();
    #[cached(cache_if = |run| *run == 1, helpers = [refresh, peek])]
    async fn f() -> usize {
        RUNS.add()
    }
    assert_eq!(replace(refresh_f, f, peek_f).await, [Some(2), Some(2), None], "nobody puts it into memory again");
}

#[tokio::test]
async fn what_memory_has_no_room_for_replaces_the_old_one_all_the_same() {
    static RUNS: Runs = Runs::new();
    #[cached(max_bytes = "100B", weigh = |run| if *run == 1 { 1_u64 } else { 1_000 }, helpers = [refresh, peek])]
    async fn f() -> usize {
        RUNS.add()
    }
    assert_eq!(replace(refresh_f, f, peek_f).await, [Some(2); 3]);
}

#[tokio::test]
async fn in_other_processes_too() {
    static RUNS: Runs = Runs::new();
    #[cached(cache_if = |run| run % 2 == 1, helpers = [refresh, prime, peek])]
    async fn f() -> usize {
        RUNS.add()
    }
    let (first, second, _clock) = two_processes();
    assert_eq!((first.with(f()).await, second.with(peek_f()).await), (1, Some(1)));
    assert_eq!(first.with(refresh_f()).await, 2);
    assert_eq!((first.with(peek_f()).await, second.with(peek_f()).await), (None, None));
    assert_eq!((first.with(f()).await, second.with(peek_f()).await), (3, Some(3)));
    second.with(prime_f(10)).await.unwrap();
    assert_eq!((first.with(f()).await, second.with(f()).await), (3, 4), "memory elsewhere isn't told");
}

#[tokio::test]
async fn what_has_no_bytes_takes_those_of_the_old_one_away() {
    static RUNS: Runs = Runs::new();
    /// MessagePack has no bytes for `Some(None)`.
    #[cached(helpers = [refresh, peek])]
    async fn f() -> Option<Option<usize>> {
        Some(Some(RUNS.add()).filter(|run| *run == 1))
    }
    let (first, second, _clock) = two_processes();
    assert_eq!((first.with(f()).await, second.with(peek_f()).await), (Some(Some(1)), Some(Some(Some(1)))));
    assert_eq!((first.with(refresh_f()).await, first.with(f()).await), (Some(None), Some(None)));
    assert_eq!(second.with(peek_f()).await, None);
}

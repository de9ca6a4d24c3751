//! Events to steer runs by, so that no test sleeps.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use larder::backend::{
    Backend, BoxFuture, Busy, Entry, EntryKey, Lease, LeaseAnswer, LeaseRequest, ListenerHandle, Reading, Stamp,
    StoreAnswer, TagId,
};
use larder::reference::SharedMemory;
use larder::{Cache, Error, Memory};
use tokio::sync::Semaphore;

/// A cache of its own.
pub fn cache() -> Cache {
    Cache::builder().build().unwrap()
}

/// Two caches over one backend: two processes, as far as larder can tell.
pub fn two_processes() -> (Cache, Cache, SharedMemory) {
    let shared = SharedMemory::new();
    let process = || Cache::builder().backend(shared.another_process()).build().unwrap();
    (process(), process(), shared)
}

/// A cache without a memory layer over this backend.
pub fn without_memory(shared: &SharedMemory) -> Cache {
    Cache::builder().without_memory().backend(shared.another_process()).build().unwrap()
}

/// A cache whose memory layer has these options.
pub fn with_memory(memory: Memory) -> Cache {
    Cache::builder().memory(memory).build().unwrap()
}

/// Counts runs, and how many overlap.
#[derive(Default)]
pub struct Runs {
    started: AtomicUsize,
    running: AtomicUsize,
    most: AtomicUsize,
}

impl Runs {
    pub const fn new() -> Self {
        Self { started: AtomicUsize::new(0), running: AtomicUsize::new(0), most: AtomicUsize::new(0) }
    }

    /// A run begins; it ends when the guard is dropped. The guard knows which it is, from 1.
    pub fn begin(&self) -> Running<'_> {
        let number = self.started.fetch_add(1, Ordering::SeqCst) + 1;
        let now = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        Running { runs: self, number }
    }

    pub fn count(&self) -> usize {
        self.started.load(Ordering::SeqCst)
    }

    /// How many are over.
    pub fn ended(&self) -> usize {
        let running = self.running.load(Ordering::SeqCst);
        self.count() - running
    }

    pub fn most_at_once(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }
}

pub struct Running<'a> {
    runs: &'a Runs,
    pub number: usize,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.runs.running.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Holds runs back until they are let through, and says when they have come to it.
#[derive(Clone)]
pub struct Gate {
    arrived: Arc<Semaphore>,
    open: Arc<Semaphore>,
}

impl Gate {
    pub fn new() -> Self {
        Self { arrived: Arc::new(Semaphore::new(0)), open: Arc::new(Semaphore::new(0)) }
    }

    /// In a run: waits until let through.
    pub async fn pass(&self) {
        self.arrived.add_permits(1);
        self.open.acquire().await.unwrap().forget();
    }

    /// In the test: waits until a run has come to the gate.
    pub async fn arrival(&self) {
        self.arrived.acquire().await.unwrap().forget();
    }

    /// Lets this many through.
    pub fn open(&self, runs: usize) {
        self.open.add_permits(runs);
    }
}

/// Runs the test on a thread of its own: it fails if it doesn't end.
pub fn in_time(test: impl FnOnce() + Send + 'static) {
    let (ends, ended) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        test();
        let _ = ends.send(());
    });
    if ended.recv_timeout(Duration::from_secs(60)) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
        panic!("it waits for ever");
    }
    thread.join().unwrap();
}

/// Polls once: the future gets as far as its first wait.
pub async fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|cx| {
        std::task::Poll::Ready(match std::pin::Pin::new(&mut *future).poll(cx) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        })
    })
    .await
}

/// Gives way once, on any executor.
pub async fn give_way() {
    let mut gave_way = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut gave_way, true) {
            return std::task::Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

/// Runs a future on this thread, without any runtime.
pub fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut cx = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut cx) {
            std::task::Poll::Ready(output) => return output,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}

/// A process that hears nothing of the others' invalidations: its memory is behind for as long as it may be.
#[derive(Debug)]
pub struct Deaf(pub SharedMemory);

/// How far behind.
pub const STALENESS: Duration = Duration::from_secs(5);

impl Backend for Deaf {
    larder_testbed::left_to!(0: read lease wait store invalidate known_stamp close);

    fn name(&self) -> &str {
        "deaf"
    }
    fn attach(&self, _: ListenerHandle) {}
    fn max_staleness(&self) -> Option<Duration> {
        Some(STALENESS)
    }
}

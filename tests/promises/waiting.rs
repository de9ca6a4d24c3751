//! Nobody waits for ever: sync and async callers, one thread, dropped runtimes.

use std::hash::{Hash, Hasher};
use std::pin::pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use larder::{Cache, Clock, Memory, cached};

use crate::support::{Gate, Runs, block_on, cache, in_time, poll_once};

static RUNS: Runs = Runs::new();
static GATE: LazyLock<Gate> = LazyLock::new(Gate::new);

#[cached]
async fn slow(key: &str) -> String {
    let _run = RUNS.begin();
    GATE.pass().await;
    key.to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn threads_without_a_runtime_wait_for_an_async_run() {
    let cache = cache();
    let mut leader = Box::pin(cache.with(slow("mixed")));
    assert!(poll_once(&mut leader).await.is_none());
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let cache = cache.clone();
            std::thread::spawn(move || block_on(cache.with(slow("mixed"))))
        })
        .collect();
    GATE.open(1);
    assert_eq!(leader.await, "mixed");
    for thread in threads {
        assert_eq!(thread.join().unwrap(), "mixed");
    }
}

#[test]
fn a_leader_whose_runtime_is_dropped_is_replaced() {
    static RUNS: Runs = Runs::new();
    static GATE: LazyLock<Gate> = LazyLock::new(Gate::new);
    #[cached]
    async fn slow() -> usize {
        let run = RUNS.begin();
        GATE.pass().await;
        run.number
    }
    let cache = cache();
    let first = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    drop(first.spawn({
        let cache = cache.clone();
        async move { cache.with(slow()).await }
    }));
    block_on(GATE.arrival());
    let waiter = std::thread::spawn({
        let cache = cache.clone();
        move || tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(cache.with(slow()))
    });
    drop(first); // cancels the leader
    block_on(GATE.arrival());
    GATE.open(1);
    assert_eq!(waiter.join().unwrap(), 2);
}

#[test]
fn sync_calls_inside_a_current_thread_runtime() {
    static RUNS: Runs = Runs::new();
    #[cached]
    fn inner(key: u32) -> u32 {
        RUNS.begin();
        key
    }
    #[cached]
    async fn outer(key: u32) -> u32 {
        tokio::task::yield_now().await;
        inner(key % 2)
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(cache().with(async {
        let (a, b, c, d) = tokio::join!(outer(1), outer(2), outer(3), outer(1));
        assert_eq!((a, b, c, d), (1, 0, 1, 1));
    }));
    assert_eq!(RUNS.count(), 2);
}

/// A waker is code of somebody's executor.
struct Grumpy;

impl Wake for Grumpy {
    fn wake(self: Arc<Self>) {
        panic!("not now")
    }
}

/// Polls once, with a waker that panics.
fn poll_grumpily<F: Future + Unpin>(future: &mut F) -> bool {
    let waker = Waker::from(Arc::new(Grumpy));
    pin!(future).poll(&mut Context::from_waker(&waker)).is_pending()
}

#[tokio::test]
async fn a_waker_that_panics_keeps_nobody_from_an_answer() {
    static GATE: LazyLock<Gate> = LazyLock::new(Gate::new);
    #[cached]
    async fn slow() -> u32 {
        GATE.pass().await;
        1
    }
    let cache = cache();
    let call = || {
        let cache = cache.clone();
        Box::pin(async move { cache.with(slow()).await })
    };
    let (mut leader, mut grumpy) = (call(), call());
    assert!(poll_once(&mut leader).await.is_none());
    assert!(poll_grumpily(&mut grumpy));
    let waiter = tokio::spawn(call());
    tokio::task::yield_now().await;
    GATE.open(1);
    let leader = tokio::spawn(leader);
    let both = tokio::time::timeout(Duration::from_secs(20), async { (leader.await.unwrap(), waiter.await.unwrap()) });
    assert_eq!(both.await.unwrap(), (1, 1));
    assert_eq!(grumpy.await, 1);
}

#[test]
fn a_waker_that_panics_stops_no_clock() {
    static RUNS: Runs = Runs::new();
    #[cached(ttl = "1s", stale_if_error = "1h", timeout = "20ms")]
    async fn slow(key: u32) -> Result<u32, String> {
        if RUNS.begin().number > 2 {
            std::future::pending::<()>().await;
        }
        Ok(key)
    }
    in_time(|| {
        let clock = Clock::manual();
        let cache = Cache::builder().clock(&clock).build().unwrap();
        let [first, second] = [1, 2].map(|key| cache.with(slow(key)));
        assert_eq!((block_on(first), block_on(second)), (Ok(1), Ok(2)));
        clock.advance(Duration::from_secs(1));
        let mut grumpy = Box::pin(cache.with(slow(1)));
        assert!(poll_grumpily(&mut grumpy));
        // Its time is over after the other's.
        assert_eq!(block_on(cache.with(slow(2))), Ok(2));
    });
}

#[tokio::test]
async fn a_waiter_that_is_dropped_wakes_nobody_and_breaks_nothing() {
    static GATE: LazyLock<Gate> = LazyLock::new(Gate::new);
    #[cached]
    async fn slow() -> u32 {
        GATE.pass().await;
        1
    }
    let cache = cache();
    cache
        .with(async {
            let mut leader = Box::pin(slow());
            assert!(poll_once(&mut leader).await.is_none());
            for _ in 0..100 {
                let mut waiter = Box::pin(slow());
                assert!(poll_once(&mut waiter).await.is_none());
            }
            GATE.open(1);
            assert_eq!(leader.await, 1);
        })
        .await;
    assert_eq!(cache.stats().flights, 0);
}

/// Calls the function it wakes from when it is dropped.
struct Nosy(fn());

impl Wake for Nosy {
    fn wake(self: Arc<Self>) {}
}

impl Drop for Nosy {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[test]
fn a_waker_that_comes_back_when_it_is_replaced_holds_up_nobody() {
    #[cached]
    async fn slow() -> u32 {
        std::future::pending::<()>().await;
        1
    }
    in_time(|| {
        let mut quiet = Context::from_waker(Waker::noop());
        let (mut leader, mut waiter) = (pin!(slow()), pin!(slow()));
        assert!(leader.as_mut().poll(&mut quiet).is_pending());
        let nosy = Waker::from(Arc::new(Nosy(|| {
            let mut quiet = Context::from_waker(Waker::noop());
            assert!(pin!(slow()).poll(&mut quiet).is_pending());
        })));
        assert!(waiter.as_mut().poll(&mut Context::from_waker(&nosy)).is_pending());
        drop(nosy);
        assert!(waiter.as_mut().poll(&mut quiet).is_pending());
    });
}

#[test]
fn an_eq_that_comes_back_to_the_function_holds_up_nobody() {
    static GATE: LazyLock<Gate> = LazyLock::new(Gate::new);
    /// Asks for a third key when the first two are compared.
    #[derive(Clone, Eq)]
    struct Nosy(u64);
    impl Hash for Nosy {
        fn hash<H: Hasher>(&self, _: &mut H) {}
    }
    impl PartialEq for Nosy {
        fn eq(&self, other: &Self) -> bool {
            if self.0 + other.0 == 3 {
                assert_eq!(slow(Nosy(9)), 9);
            }
            self.0 == other.0
        }
    }
    #[cached(local)]
    fn slow(nosy: Nosy) -> u64 {
        if nosy.0 == 1 {
            block_on(GATE.pass());
        }
        nosy.0
    }
    in_time(|| {
        let first = std::thread::spawn(|| slow(Nosy(1)));
        block_on(GATE.arrival());
        assert_eq!(slow(Nosy(2)), 2);
        GATE.open(1);
        assert_eq!(first.join().unwrap(), 1);
    });
}

/// The memory layer asks a key's `Eq` outside of its lock. Meanwhile the entry that it asks about may go, and then the last of
/// its key is dropped here.
#[test]
fn a_key_that_calls_when_it_is_dropped_holds_up_nobody() {
    use std::hash::{Hash, Hasher};
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicBool, Ordering};

    static ARMED: AtomicBool = AtomicBool::new(false);
    static EVICTED: AtomicBool = AtomicBool::new(false);
    fn small() -> &'static Cache {
        static SMALL: OnceLock<Cache> = OnceLock::new();
        SMALL.get_or_init(|| Cache::builder().memory(Memory::builder().max_entries(1)).build().unwrap())
    }
    #[derive(Clone)]
    struct Key(u64);
    impl Hash for Key {
        fn hash<H: Hasher>(&self, _: &mut H) {}
    }
    impl PartialEq for Key {
        fn eq(&self, other: &Self) -> bool {
            if ARMED.swap(false, Ordering::SeqCst) {
                let evict = || small().with_sync(|| (1..4).for_each(|id| _ = g(id)));
                std::thread::spawn(evict).join().unwrap();
                EVICTED.store(true, Ordering::SeqCst);
            }
            self.0 == other.0
        }
    }
    impl Eq for Key {}
    impl Drop for Key {
        fn drop(&mut self) {
            if self.0 == 1 && EVICTED.load(Ordering::SeqCst) {
                small().with_sync(|| g(7));
            }
        }
    }
    #[cached(local)]
    fn f(key: Key) -> u64 {
        key.0
    }
    #[cached(local)]
    fn g(id: u64) -> u64 {
        id
    }
    in_time(|| {
        // By another thread, so that it isn't in this one's table.
        std::thread::spawn(|| small().with_sync(|| f(Key(1)))).join().unwrap();
        ARMED.store(true, Ordering::SeqCst);
        small().with_sync(|| f(Key(2)));
        assert!(EVICTED.load(Ordering::SeqCst));
    });
}

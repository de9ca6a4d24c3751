//! A function that reaches itself with the same key runs uncached there; it never deadlocks.

use std::any::Any;
use std::future::Future;
use std::pin::Pin;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use larder::backend::{
    Backend, BoxFuture, Busy, Entry, EntryKey, Lease, LeaseAnswer, LeaseRequest, ListenerHandle, Reading, Stamp,
    StoreAnswer, TagId,
};
use larder::reference::SharedMemory;
use larder::{Cache, Clock, Error, cached};
use tokio::sync::Barrier;

use crate::support::{Gate, Runs, block_on, cache, in_time, poll_once, two_processes};

#[test]
fn sync() {
    static DEPTH: AtomicU32 = AtomicU32::new(0);
    #[cached]
    fn again(key: u32) -> u32 {
        if DEPTH.fetch_add(1, Ordering::SeqCst) < 3 { again(key) + 1 } else { key }
    }
    let cache = cache();
    assert_eq!(cache.with_sync(|| again(10)), 13);
    assert_eq!(cache.with_sync(|| again(10)), 13, "the outermost run was stored");
    assert_eq!(DEPTH.load(Ordering::SeqCst), 4);
    assert_eq!(cache.stats().function("again").unwrap().recursions, 3);
}

#[tokio::test]
async fn asynchronous() {
    static DEPTH: AtomicU32 = AtomicU32::new(0);
    #[cached]
    async fn again(key: u32) -> u32 {
        if DEPTH.fetch_add(1, Ordering::SeqCst) < 3 { Box::pin(again(key)).await + 1 } else { key }
    }
    cache()
        .with(async {
            assert_eq!(again(10).await, 13);
            assert_eq!(again(10).await, 13);
            assert_eq!(DEPTH.load(Ordering::SeqCst), 4);
        })
        .await;
}

#[tokio::test]
async fn mutual_and_mixed() {
    static DEPTH: AtomicU32 = AtomicU32::new(0);
    #[cached]
    async fn ping(key: u32) -> u32 {
        if DEPTH.fetch_add(1, Ordering::SeqCst) < 5 { pong(key) + 1 } else { key }
    }
    #[cached]
    fn pong(key: u32) -> u32 {
        block_on(ping(key)) + 1
    }
    cache().with(async { assert_eq!(ping(10).await, 20) }).await;
}

/// One task is in `left` and needs `right`, the other the other way round: whoever would close the circle runs the
/// body itself.
#[tokio::test]
async fn two_tasks_that_call_each_other_crosswise() {
    #[cached]
    async fn left(depth: u32) -> u32 {
        tokio::task::yield_now().await;
        if depth_of("left") < 2 { Box::pin(right(depth)).await + 1 } else { 0 }
    }
    #[cached]
    async fn right(depth: u32) -> u32 {
        tokio::task::yield_now().await;
        if depth_of("right") < 2 { Box::pin(left(depth)).await + 1 } else { 0 }
    }
    fn depth_of(side: &str) -> u32 {
        static LEFT: AtomicU32 = AtomicU32::new(0);
        static RIGHT: AtomicU32 = AtomicU32::new(0);
        if side == "left" { LEFT.fetch_add(1, Ordering::SeqCst) } else { RIGHT.fetch_add(1, Ordering::SeqCst) }
    }
    cache()
        .with(async {
            let both = async { tokio::join!(left(1), right(1)) };
            ends(both).await;
        })
        .await;
}

#[test]
fn two_threads_that_call_each_other_crosswise() {
    #[cached]
    fn left(round: u32) -> u32 {
        std::thread::yield_now();
        if larder::stats().function("right").is_some_and(|stats| stats.runs > u64::from(round) * 4) {
            return 0;
        }
        right(round) + 1
    }
    #[cached]
    fn right(round: u32) -> u32 {
        std::thread::yield_now();
        if larder::stats().function("left").is_some_and(|stats| stats.runs > u64::from(round) * 4) {
            return 0;
        }
        left(round) + 1
    }
    let cache = cache();
    for round in 0..50 {
        std::thread::scope(|threads| {
            threads.spawn(|| cache.with_sync(|| left(round)));
            threads.spawn(|| cache.with_sync(|| right(round)));
        });
    }
    assert_eq!(cache.stats().flights, 0);
}

/// With an old value that is what the call gets, at once and not when its patience is over.
#[test]
fn where_callers_wait_for_a_while_only() {
    static DEPTH: AtomicU32 = AtomicU32::new(0);
    #[cached(ttl = "1s", stale_if_error = "1h", timeout = "1h")]
    fn again(key: u32) -> Result<u32, String> {
        if DEPTH.fetch_add(1, Ordering::SeqCst) == 1 { Ok(again(key)? + 1) } else { Ok(key) }
    }
    in_time(|| {
        let clock = Clock::manual();
        let cache = Cache::builder().clock(&clock).build().unwrap();
        cache.with_sync(|| {
            assert_eq!(again(10), Ok(10));
            clock.advance(Duration::from_secs(1));
            assert_eq!((again(10), DEPTH.load(Ordering::SeqCst)), (Ok(11), 2));
            assert_eq!(again(10), Ok(11), "the outermost run was stored");
        });
    });
}

#[tokio::test]
async fn round_a_circle_where_callers_wait_for_a_while_only() {
    static DEPTH: AtomicU32 = AtomicU32::new(0);
    #[cached(ttl = "1s", stale_if_error = "1h", timeout = "1h")]
    async fn ping(key: u32) -> Result<u32, String> {
        if DEPTH.fetch_add(1, Ordering::SeqCst) == 1 { Box::pin(pong(key)).await } else { Ok(key) }
    }
    #[cached]
    async fn pong(key: u32) -> Result<u32, String> {
        Ok(ping_again(key).await? + 1)
    }
    fn ping_again(key: u32) -> Pin<Box<dyn Future<Output = Result<u32, String>> + Send>> {
        Box::pin(ping(key))
    }
    let clock = Clock::manual();
    let cache = Cache::builder().clock(&clock).build().unwrap();
    let calls = cache.with(async {
        assert_eq!(ping(10).await, Ok(10));
        clock.advance(Duration::from_secs(1));
        assert_eq!((ping(10).await, DEPTH.load(Ordering::SeqCst)), (Ok(11), 2));
    });
    tokio::time::timeout(Duration::from_secs(20), calls).await.expect("a deadlock");
}

#[test]
fn deep_recursion_with_different_keys_fits_the_stack() {
    #[cached]
    fn sum(n: u64) -> u64 {
        if n == 0 { 0 } else { n + sum(n - 1) }
    }
    // 2 MiB is what a test's thread has.
    assert_eq!(cache().with_sync(|| sum(200)), 200 * 201 / 2);
}

/// User code runs between the end of a body and the moment its result is where it belongs.
mod from_what_happens_to_a_result {
    use std::cell::Cell;
    use std::sync::atomic::{AtomicBool, AtomicU64};
    use std::sync::{Arc, Barrier, LazyLock};

    use larder::Cache;

    use super::*;

    /// Once.
    fn first(done: &AtomicBool) -> bool {
        !done.swap(true, Ordering::SeqCst)
    }

    #[test]
    fn the_cache_if_option() {
        static DONE: AtomicBool = AtomicBool::new(false);
        #[cached(cache_if = |value| !first(&DONE) || again(*value) == *value)]
        fn again(key: u32) -> u32 {
            key
        }
        assert_eq!(cache().with_sync(|| again(1)), 1);
    }

    #[test]
    fn its_clone() {
        static DONE: AtomicBool = AtomicBool::new(false);
        struct Value(u32);
        impl Clone for Value {
            fn clone(&self) -> Self {
                if first(&DONE) {
                    again(self.0);
                }
                Self(self.0)
            }
        }
        #[cached(local)]
        fn again(key: u32) -> Value {
            Value(key)
        }
        assert_eq!(cache().with_sync(|| again(1)).0, 1);
    }

    #[test]
    fn its_deserialize() {
        static ARMED: AtomicBool = AtomicBool::new(false);
        #[derive(Clone, serde::Serialize)]
        struct Value(u32);
        impl<'de> serde::Deserialize<'de> for Value {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let value = u32::deserialize(deserializer)?;
                if ARMED.swap(false, Ordering::SeqCst) {
                    again(value);
                }
                Ok(Self(value))
            }
        }
        #[cached]
        fn again(key: u32) -> Value {
            Value(key)
        }
        let (one, other, _shared) = two_processes();
        one.with_sync(|| again(1));
        ARMED.store(true, Ordering::SeqCst);
        assert_eq!(other.with_sync(|| again(1)).0, 1);
        assert!(!ARMED.load(Ordering::SeqCst), "it was read");
    }

    /// What is dropped as another result takes its place asks for what its thread is just storing, which the other
    /// thread's upkeep may have thrown out again already; or for what the other thread is storing, which asks back.
    #[test]
    fn a_drop() {
        static CACHE: LazyLock<Cache> = LazyLock::new(cache);
        static STORING: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];
        thread_local! {
            static THREAD: Cell<usize> = const { Cell::new(0) };
            // What it asks for is dropped too.
            static ASKS: Cell<bool> = const { Cell::new(false) };
        }
        struct Value(u64);
        impl Drop for Value {
            fn drop(&mut self) {
                let whose = (THREAD.get() + usize::from(self.0.is_multiple_of(16))) % 2;
                if !ASKS.replace(true) {
                    CACHE.with_sync(|| item(STORING[whose].load(Ordering::SeqCst)));
                    ASKS.set(false);
                }
            }
        }
        #[cached(local, max_entries = 16)]
        fn item(key: u64) -> Arc<Value> {
            Arc::new(Value(key))
        }
        let together = Barrier::new(2);
        std::thread::scope(|scope| {
            for (thread, storing) in STORING.iter().enumerate() {
                let together = &together;
                scope.spawn(move || {
                    THREAD.set(thread);
                    together.wait();
                    CACHE.with_sync(|| {
                        for key in 0..50_000 {
                            // A few that stay, so that newer ones are thrown out at once.
                            for key in [0, 1, 2, key * 2 + thread as u64 + 3] {
                                storing.store(key, Ordering::SeqCst);
                                item(key);
                            }
                        }
                    });
                });
            }
        });
    }
}

/// A thread's locals may be gone before those that call cached functions when they are dropped.
/// What a run that is dropped lets go of may call the function, too.
mod from_a_run_that_is_dropped {
    use super::*;

    /// Calls something when it is dropped.
    struct AtEnd<F: FnMut()>(F);

    impl<F: FnMut()> Drop for AtEnd<F> {
        fn drop(&mut self) {
            (self.0)();
        }
    }

    #[test]
    fn by_its_caller() {
        #[cached]
        async fn again(key: u32) -> u32 {
            let run = RUNS.begin();
            if run.number == 1 {
                let _end = AtEnd(|| assert_eq!(block_on(again(1)), 1));
                std::future::pending::<()>().await;
            }
            key
        }
        static RUNS: Runs = Runs::new();
        in_time(|| {
            let cache = cache();
            let mut call = Box::pin(cache.with(again(1)));
            assert!(block_on(poll_once(&mut call)).is_none());
            cache.with_sync(|| drop(call));
            assert_eq!((cache.stats().flights, RUNS.count()), (0, 2));
            assert_eq!(cache.stats().function("again").unwrap().recursions, 1);
        });
    }

    #[test]
    fn by_its_runtime() {
        #[cached(ttl = "1s", stale_while_revalidate = "1h")]
        async fn again(key: u32) -> u32 {
            if RUNS.begin().number == 2 {
                let _end = AtEnd(|| assert_eq!(block_on(again(2)), 2));
                let _end = AtEnd(|| assert_eq!(block_on(larder::refreshing(again(1))), 1));
                GATE.pass().await;
            }
            key
        }
        static RUNS: Runs = Runs::new();
        static GATE: LazyLock<Gate> = LazyLock::new(Gate::new);
        in_time(|| {
            let clock = Clock::manual();
            let cache = Cache::builder().clock(&clock).build().unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(cache.with(async {
                again(1).await;
                clock.advance(Duration::from_secs(1));
                again(1).await;
                GATE.arrival().await;
            }));
            cache.with_sync(|| drop(runtime));
            assert_eq!((cache.stats().flights, RUNS.count()), (0, 4));
        });
    }

    #[tokio::test]
    async fn before_it_has_begun() {
        static FLIGHTS: AtomicU32 = AtomicU32::new(u32::MAX);
        #[cached(skip(end))]
        async fn again(key: u32, end: Option<AtEnd<Box<dyn FnMut() + Send>>>) -> u32 {
            std::future::pending::<()>().await;
            drop(end);
            key
        }
        let (one, other, _shared) = two_processes();
        // Holds the lease.
        let mut leader = Box::pin(one.with(again(1, None)));
        assert!(poll_once(&mut leader).await.is_none());
        let cache = other.clone();
        let end = AtEnd::<Box<dyn FnMut() + Send>>(Box::new(move || {
            FLIGHTS.store(u32::try_from(cache.stats().flights).unwrap(), Ordering::SeqCst);
        }));
        let mut call = Box::pin(other.with(again(1, Some(end))));
        assert!(poll_once(&mut call).await.is_none());
        assert_eq!(other.stats().flights, 1);
        drop(call);
        assert_eq!(FLIGHTS.load(Ordering::SeqCst), 0, "what its arguments call finds nothing to wait for");
    }
}

#[test]
fn from_where_a_thread_ends() {
    static DEPTH: AtomicU32 = AtomicU32::new(0);
    static VALUE: AtomicU32 = AtomicU32::new(1);
    #[cached]
    fn again(key: u32) -> u32 {
        if DEPTH.fetch_add(1, Ordering::SeqCst) < 3 { again(key) + 1 } else { key }
    }
    #[cached(tags = ["value at the end"])]
    fn value() -> u32 {
        VALUE.load(Ordering::SeqCst)
    }
    #[cached]
    fn parent() -> u32 {
        value()
    }
    struct AtEnd;
    impl Drop for AtEnd {
        fn drop(&mut self) {
            assert_eq!((again(10), parent()), (13, 1));
        }
    }
    thread_local!(static AT_END: AtEnd = const { AtEnd });
    std::thread::spawn(|| {
        AT_END.with(|_| ());
        // Whatever larder keeps by thread is made after `AT_END`, and so dropped before.
        cache().with_sync(value);
    })
    .join()
    .unwrap();
    assert_eq!(DEPTH.load(Ordering::SeqCst), 4);
    assert_eq!(parent(), 1);
    VALUE.store(2, Ordering::SeqCst);
    larder::blocking::invalidate_tag("value at the end").unwrap();
    assert_eq!(parent(), 2, "it depends on what it used");
}

/// Whatever takes longer waits for ever.
async fn ends<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("a deadlock")
}

/// A process nothing of which is known to the others: its leases have no names.
#[derive(Debug)]
struct Stranger {
    shared: SharedMemory,
    /// Its waits end early, as they may.
    hasty: bool,
}

#[derive(Debug)]
struct Nameless(Box<dyn Lease>);

impl Lease for Nameless {
    fn stamp(&self) -> Stamp {
        self.0.stamp()
    }
    fn into_any(self: Box<Self>) -> Box<dyn Any + Send + Sync> {
        self.0.into_any()
    }
}

impl Backend for Stranger {
    larder_testbed::left_to!(shared: read store invalidate known_stamp attach max_staleness close);

    fn name(&self) -> &str {
        "stranger"
    }
    fn lease<'a>(&'a self, key: &'a EntryKey, request: LeaseRequest<'a>) -> BoxFuture<'a, Result<LeaseAnswer, Error>> {
        Box::pin(async move {
            Ok(match self.shared.lease(key, request).await? {
                LeaseAnswer::Granted(lease) => LeaseAnswer::Granted(Box::new(Nameless(lease))),
                answer => answer,
            })
        })
    }
    fn wait<'a>(&'a self, key: &'a EntryKey, busy: Busy) -> BoxFuture<'a, Result<(), Error>> {
        let wait = self.shared.wait(key, busy);
        if !self.hasty {
            return wait;
        }
        Box::pin(async move { tokio::time::timeout(Duration::from_millis(15), wait).await.unwrap_or(Ok(())) })
    }
}

fn two_strangers() -> (Cache, Cache) {
    two_hasty_strangers(false)
}

fn two_hasty_strangers(hasty: bool) -> (Cache, Cache) {
    let shared = SharedMemory::new();
    let process = || {
        let backend = Stranger { shared: shared.another_process(), hasty };
        Cache::builder().backend(backend).build().unwrap()
    };
    (process(), process())
}

/// Both lease times are longer than the test lasts: the circle is seen.
#[tokio::test]
async fn two_caches_that_call_each_other_crosswise() {
    static BOTH: LazyLock<Barrier> = LazyLock::new(|| Barrier::new(2));
    #[cached(skip(depth))]
    async fn left(key: u32, depth: u32) -> u32 {
        if depth == 3 {
            BOTH.wait().await;
        }
        if depth > 0 {
            assert_eq!(Box::pin(right(key, depth - 1)).await, key * 3);
        }
        key * 2
    }
    #[cached(skip(depth))]
    async fn right(key: u32, depth: u32) -> u32 {
        if depth == 3 {
            BOTH.wait().await;
        }
        if depth > 0 {
            assert_eq!(Box::pin(left(key, depth - 1)).await, key * 2);
        }
        key * 3
    }
    let (one, two, shared) = two_processes();
    let both = async { tokio::join!(one.with(left(7, 3)), two.with(right(7, 3))) };
    assert_eq!(ends(both).await, (14, 21));
    let recursions = |cache: &Cache, name| cache.stats().function(name).map_or(0, |stats| stats.recursions);
    assert!(recursions(&one, "right") + recursions(&two, "left") > 0);
    assert_eq!(shared.usage().leases, 0);
}

/// One call after the other, through another cache of the same backend.
#[tokio::test]
async fn a_function_that_reaches_itself_in_another_cache() {
    static OTHER: LazyLock<(Cache, Cache, SharedMemory)> = LazyLock::new(two_processes);
    static DEPTH: AtomicU32 = AtomicU32::new(0);
    #[cached]
    async fn again(key: u32) -> u32 {
        if DEPTH.fetch_add(1, Ordering::SeqCst) < 3 { Box::pin(OTHER.1.with(again(key))).await + 1 } else { key }
    }
    assert_eq!(ends(OTHER.0.with(again(10))).await, 13);
}

/// What another process waits for isn't known: who waits long, and holds a lease meanwhile, runs the body itself.
#[tokio::test]
async fn two_processes_that_call_each_other_crosswise() {
    static BOTH: LazyLock<Barrier> = LazyLock::new(|| Barrier::new(2));
    #[cached(skip(depth), lease = "50ms")]
    async fn left(key: u32, depth: u32) -> u32 {
        if depth == 3 {
            BOTH.wait().await;
        }
        if depth > 0 {
            assert_eq!(Box::pin(right(key, depth - 1)).await, key * 3);
        }
        key * 2
    }
    #[cached(skip(depth), lease = "50ms")]
    async fn right(key: u32, depth: u32) -> u32 {
        if depth == 3 {
            BOTH.wait().await;
        }
        if depth > 0 {
            assert_eq!(Box::pin(left(key, depth - 1)).await, key * 2);
        }
        key * 3
    }
    for hasty in [false, true] {
        let (one, two) = two_hasty_strangers(hasty);
        let both = async { tokio::join!(one.with(left(7, 3)), two.with(right(7, 3))) };
        assert_eq!(ends(both).await, (14, 21));
    }
}

/// The run that holds a lease waits for a flight of its own process, and only that one for the other's lease.
#[tokio::test]
async fn two_processes_and_runs_between_that_hold_nothing() {
    static ENDS: LazyLock<Gate> = LazyLock::new(Gate::new);
    static MEETS: LazyLock<Gate> = LazyLock::new(Gate::new);
    #[cached(skip(goes), lease = "50ms")]
    async fn left(key: u32, goes: bool) -> u32 {
        ENDS.pass().await;
        if goes {
            to_right(key, false).await;
        }
        key * 2
    }
    #[cached(skip(goes), lease = "50ms")]
    async fn right(key: u32, goes: bool) -> u32 {
        ENDS.pass().await;
        if goes {
            to_left(key, false).await;
        }
        key * 3
    }
    #[cached(local, skip(meets))]
    async fn to_right(key: u32, meets: bool) -> u32 {
        if meets {
            MEETS.pass().await;
        }
        right(key, false).await
    }
    #[cached(local, skip(meets))]
    async fn to_left(key: u32, meets: bool) -> u32 {
        if meets {
            MEETS.pass().await;
        }
        left(key, false).await
    }
    let (one, two) = two_strangers();
    let all = async {
        tokio::join!(
            one.with(to_right(7, true)),
            two.with(to_left(7, true)),
            one.with(left(7, true)),
            two.with(right(7, true))
        )
    };
    let steer = async {
        for gate in [&MEETS, &MEETS, &ENDS, &ENDS] {
            gate.arrival().await;
        }
        // Each waits for the lease that it meets, and then is waited for.
        MEETS.open(2);
        ENDS.open(100);
    };
    assert_eq!(ends(async { tokio::join!(all, steer) }).await.0, (21, 14, 14, 21));
}

/// Priming is no part of the run, but the run waits for it.
#[tokio::test]
async fn two_processes_that_prime_each_other_crosswise() {
    static GATE: LazyLock<Gate> = LazyLock::new(Gate::new);
    #[cached(lease = "50ms", helpers = [prime])]
    async fn left(key: u32) -> u32 {
        GATE.pass().await;
        prime_right(key, key * 3).await.unwrap();
        key * 2
    }
    #[cached(lease = "50ms", helpers = [prime])]
    async fn right(key: u32) -> u32 {
        GATE.pass().await;
        prime_left(key, key * 2).await.unwrap();
        key * 3
    }
    for (one, two) in [two_strangers(), {
        let (one, two, _) = two_processes();
        (one, two)
    }] {
        let both = async { tokio::join!(one.with(left(7)), two.with(right(7))) };
        let steer = async {
            GATE.arrival().await;
            GATE.arrival().await;
            GATE.open(2);
        };
        assert_eq!(ends(async { tokio::join!(both, steer) }).await.0, (14, 21));
    }
}

/// Many times as long as the lease lasts; a run that isn't called from another one waits for it.
#[tokio::test]
async fn a_call_that_holds_nothing_waits_for_a_long_run() {
    static RUNS: Runs = Runs::new();
    static GATE: LazyLock<Gate> = LazyLock::new(Gate::new);
    #[cached(lease = "5ms")]
    async fn long(key: u32) -> u32 {
        let _run = RUNS.begin();
        GATE.pass().await;
        key
    }
    #[cached(local)]
    async fn outer(key: u32) -> u32 {
        long(key).await
    }
    let (one, two) = two_strangers();
    let mut leader = Box::pin(one.with(long(1)));
    assert!(poll_once(&mut leader).await.is_none());
    let mut waiter = Box::pin(two.with(outer(1)));
    // There is no event to wait for: nothing is to happen.
    assert!(tokio::time::timeout(Duration::from_millis(100), &mut waiter).await.is_err());
    GATE.open(1);
    assert_eq!(ends(async { tokio::join!(leader, waiter) }).await, (1, 1));
    assert_eq!(RUNS.count(), 1);
}

/// Called from a run that holds a lease, as long as the lease is likely to be waited for.
#[tokio::test]
async fn a_nested_call_waits_for_a_run_elsewhere() {
    static RUNS: Runs = Runs::new();
    static GATE: LazyLock<Gate> = LazyLock::new(Gate::new);
    #[cached(lease = "30s")]
    async fn child(key: u32) -> u32 {
        let _run = RUNS.begin();
        GATE.pass().await;
        key
    }
    #[cached(lease = "1ms")]
    async fn parent(key: u32) -> u32 {
        child(key).await
    }
    let (one, two) = two_strangers();
    let mut leader = Box::pin(one.with(child(1)));
    assert!(poll_once(&mut leader).await.is_none());
    let mut waiter = Box::pin(two.with(parent(1)));
    // The child's lease counts.
    assert!(tokio::time::timeout(Duration::from_millis(100), &mut waiter).await.is_err());
    GATE.open(1);
    assert_eq!(ends(async { tokio::join!(leader, waiter) }).await, (1, 1));
    assert_eq!(RUNS.count(), 1);
}

/// A task that a run left behind is called from it all the same, also when the runs in between are over.
#[test]
fn a_circle_through_runs_that_are_over() {
    static RUNS: Runs = Runs::new();
    static DONE: tokio::sync::Semaphore = tokio::sync::Semaphore::const_new(0);
    static FIRST_IS_OVER: tokio::sync::Semaphore = tokio::sync::Semaphore::const_new(0);
    #[cached(local)]
    async fn outer(id: u8) -> u8 {
        if RUNS.begin().number > 1 {
            return id;
        }
        first(id).await;
        FIRST_IS_OVER.add_permits(1);
        // What the last task computes is needed.
        DONE.acquire().await.unwrap().forget();
        id
    }
    #[cached(local)]
    async fn first(id: u8) -> u8 {
        tokio::spawn(larder::carry(async move {
            FIRST_IS_OVER.acquire().await.unwrap().forget();
            second(id).await;
        }));
        id
    }
    #[cached(local)]
    async fn second(id: u8) -> u8 {
        tokio::spawn(larder::carry(async move {
            again(id).await;
            DONE.add_permits(1);
        }));
        id
    }
    fn again(id: u8) -> Pin<Box<dyn Future<Output = u8> + Send>> {
        Box::pin(async move {
            // Until the runs before are over.
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            outer(id).await
        })
    }
    in_time(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert_eq!(runtime.block_on(cache().with(outer(1))), 1);
    });
}

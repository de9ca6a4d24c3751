//! Promise 2: one run per key, failures shared, a leader that goes away is replaced at once.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use larder::reference::SharedMemory;
use larder::{Cache, Clock, cached};

use crate::support::{Gate, Runs, cache, poll_once, two_processes};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_callers_one_run() {
    static RUNS: Runs = Runs::new();
    #[cached]
    async fn slow(key: u64) -> u64 {
        let _run = RUNS.begin();
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        key * 2
    }
    let cache = cache();
    let calls: Vec<_> = (0..1000)
        .map(|_| {
            let cache = cache.clone();
            tokio::spawn(async move { cache.with(slow(21)).await })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), 42);
    }
    assert_eq!(RUNS.count(), 1);
}

#[test]
fn sync_callers_share_a_run_too() {
    static RUNS: Runs = Runs::new();
    static ARRIVED: AtomicUsize = AtomicUsize::new(0);
    #[cached]
    fn slow(key: u64) -> u64 {
        let _run = RUNS.begin();
        // Until the others are at least on their way.
        while ARRIVED.load(Ordering::SeqCst) < 16 {
            std::thread::yield_now();
        }
        key * 2
    }
    let cache = cache();
    std::thread::scope(|threads| {
        for _ in 0..16 {
            threads.spawn(|| {
                ARRIVED.fetch_add(1, Ordering::SeqCst);
                assert_eq!(cache.with_sync(|| slow(21)), 42);
            });
        }
    });
    assert_eq!(RUNS.count(), 1);
}

#[tokio::test]
async fn a_failure_is_shared_by_those_who_waited_and_not_stored() {
    static RUNS: Runs = Runs::new();
    static GATE: LazyLock<Gate> = LazyLock::new(Gate::new);
    #[cached]
    async fn fails(key: u32) -> Result<u32, String> {
        let run = RUNS.begin();
        GATE.pass().await;
        Err(format!("run {} of {key}", run.number))
    }
    cache()
        .with(async {
            let mut calls: Vec<_> = (0..20).map(|_| Box::pin(fails(7))).collect();
            for call in &mut calls {
                assert!(poll_once(call).await.is_none());
            }
            GATE.open(1);
            for call in calls {
                assert_eq!(call.await.unwrap_err(), "run 1 of 7");
            }
            GATE.open(1);
            assert_eq!(fails(7).await.unwrap_err(), "run 2 of 7", "a later call tries again");
        })
        .await;
}

#[tokio::test]
async fn failures_of_input_and_output_are_shared_with_kind_and_message() {
    static RUNS: Runs = Runs::new();
    static GATE: LazyLock<Gate> = LazyLock::new(Gate::new);
    #[cached]
    async fn io_error() -> std::io::Result<u32> {
        let _run = RUNS.begin();
        GATE.pass().await;
        Err(std::io::Error::new(std::io::ErrorKind::PermissionDenied, "not for you"))
    }
    cache()
        .with(async {
            let mut calls: Vec<_> = (0..5).map(|_| Box::pin(io_error())).collect();
            for call in &mut calls {
                assert!(poll_once(call).await.is_none());
            }
            GATE.open(1);
            for call in calls {
                let error = call.await.unwrap_err();
                assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
                assert_eq!(error.to_string(), "not for you");
            }
            assert_eq!(RUNS.count(), 1);
        })
        .await;
}

#[tokio::test]
async fn a_cancelled_leader_is_replaced_at_once_by_one_who_waits() {
    static RUNS: Runs = Runs::new();
    static GATE: LazyLock<Gate> = LazyLock::new(Gate::new);
    #[cached]
    async fn slow() -> usize {
        let run = RUNS.begin();
        GATE.pass().await;
        run.number
    }
    cache()
        .with(async {
            let (mut leader, mut second, mut third) = (Box::pin(slow()), Box::pin(slow()), Box::pin(slow()));
            assert!(poll_once(&mut leader).await.is_none());
            assert!(poll_once(&mut second).await.is_none());
            assert!(poll_once(&mut third).await.is_none());
            drop(leader);
            assert!(poll_once(&mut third).await.is_none());
            assert_eq!((RUNS.count(), RUNS.most_at_once()), (2, 1), "the third leads now");
            drop(third);
            GATE.open(1);
            assert_eq!(second.await, 3);
            assert_eq!(slow().await, 3);
        })
        .await;
}

#[tokio::test]
async fn a_panicking_leader_is_replaced_and_the_panic_stays_its_own() {
    static RUNS: Runs = Runs::new();
    static GATE: LazyLock<Gate> = LazyLock::new(Gate::new);
    #[cached]
    async fn panics_first() -> usize {
        let run = RUNS.begin();
        GATE.pass().await;
        assert_ne!(run.number, 1, "the first run panics");
        run.number
    }
    let cache = cache();
    let leader = tokio::spawn({
        let cache = cache.clone();
        async move { cache.with(panics_first()).await }
    });
    GATE.arrival().await;
    let waiter = tokio::spawn({
        let cache = cache.clone();
        async move { cache.with(panics_first()).await }
    });
    tokio::task::yield_now().await;
    GATE.open(2);
    assert!(leader.await.unwrap_err().is_panic());
    assert_eq!(waiter.await.unwrap(), 2);
}

/// A future that panicked may be kept: nobody must wait for it to be dropped.
#[tokio::test]
async fn a_panicked_leader_that_isn_t_dropped_holds_nobody_up() {
    static RUNS: Runs = Runs::new();
    #[cached]
    async fn panics_first() -> usize {
        let run = RUNS.begin();
        assert_ne!(run.number, 1, "the first run panics");
        run.number
    }
    cache()
        .with(async {
            let mut leader = Box::pin(panics_first());
            let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
                let _ = leader.as_mut().poll(&mut cx);
            }));
            assert!(caught.is_err());
            assert_eq!(panics_first().await, 2);
            drop(leader);
        })
        .await;
}

#[test]
fn a_panicking_sync_leader_is_replaced() {
    static RUNS: Runs = Runs::new();
    #[cached]
    fn panics_first() -> usize {
        let run = RUNS.begin();
        assert_ne!(run.number, 1, "the first run panics");
        run.number
    }
    let cache = cache();
    assert!(std::panic::catch_unwind(|| cache.with_sync(panics_first)).is_err());
    assert_eq!(cache.with_sync(panics_first), 2);
    assert_eq!(cache.stats().flights, 0);
}

#[tokio::test]
async fn processes_share_a_run_and_its_waiters_are_woken() {
    static RUNS: Runs = Runs::new();
    static GATE: LazyLock<Gate> = LazyLock::new(Gate::new);
    #[cached]
    async fn slow() -> usize {
        let run = RUNS.begin();
        GATE.pass().await;
        run.number
    }
    let (here, there, _shared) = two_processes();
    let mut leader = Box::pin(here.with(slow()));
    assert!(poll_once(&mut leader).await.is_none());
    let mut waiters: Vec<_> = (0..10).map(|_| Box::pin(there.with(slow()))).collect();
    for waiter in &mut waiters {
        assert!(poll_once(waiter).await.is_none());
    }
    assert_eq!(RUNS.count(), 1);
    GATE.open(1);
    assert_eq!(leader.await, 1);
    for waiter in waiters {
        assert_eq!(waiter.await, 1);
    }
    assert_eq!(RUNS.count(), 1);
}

#[tokio::test]
async fn a_cancelled_leader_of_another_process_is_replaced() {
    static RUNS: Runs = Runs::new();
    static GATE: LazyLock<Gate> = LazyLock::new(Gate::new);
    #[cached]
    async fn slow() -> usize {
        let run = RUNS.begin();
        GATE.pass().await;
        run.number
    }
    let (here, there, _shared) = two_processes();
    let mut leader = Box::pin(here.with(slow()));
    assert!(poll_once(&mut leader).await.is_none());
    let mut waiter = Box::pin(there.with(slow()));
    assert!(poll_once(&mut waiter).await.is_none());
    drop(leader);
    GATE.open(1);
    assert_eq!(waiter.await, 2);
}

/// None can be answered by a run that began before its call, nor waits for one. The last one's result stays.
#[tokio::test]
async fn refreshing_callers_run_at_once() {
    static RUNS: Runs = Runs::new();
    #[cached]
    async fn slow() -> usize {
        let run = RUNS.begin();
        tokio::task::yield_now().await;
        run.number
    }
    cache()
        .with(async {
            assert_eq!(slow().await, 1);
            let all = async {
                tokio::join!(larder::refreshing(slow()), larder::refreshing(slow()), larder::refreshing(slow()))
            };
            assert_eq!(all.await, (2, 3, 4));
            assert_eq!((RUNS.count(), RUNS.most_at_once()), (4, 3));
            assert_eq!(slow().await, 4);
        })
        .await;
}

#[tokio::test]
async fn nothing_is_left_behind() {
    #[cached(tags = ["some"])]
    async fn quick(key: u64) -> u64 {
        key
    }
    let cache = Cache::builder().build().unwrap();
    cache
        .with(async {
            for key in 0..100 {
                let mut call = Box::pin(quick(key));
                poll_once(&mut call).await;
            }
        })
        .await;
    assert_eq!(cache.stats().flights, 0);
}

/// Who waits for another process's run, and finds twice that what it left is of no use and somebody else runs already, waits
/// no longer: that is the one way in which runs overlap while their leases are alive.
#[tokio::test]
async fn a_call_that_waited_twice_in_vain_runs_beside_the_next_one() {
    static RUNS: Runs = Runs::new();
    static GATE: LazyLock<Gate> = LazyLock::new(Gate::new);
    #[cached(ttl = "1s")]
    async fn slow() -> usize {
        let run = RUNS.begin();
        GATE.pass().await;
        run.number
    }
    let clock = Clock::manual();
    let shared = SharedMemory::with_clock(&clock);
    let process = || Cache::builder().clock(&clock).backend(shared.another_process()).build().unwrap();
    let caches = [process(), process(), process()];
    let (slow_one, waiting) = (process(), process());
    let mut waiter = Box::pin(waiting.with(slow()));
    for (number, cache) in (1..).zip(&caches) {
        let mut leader = Box::pin(cache.with(slow()));
        assert!(poll_once(&mut leader).await.is_none());
        assert!(poll_once(&mut waiter).await.is_none());
        if number == 3 {
            assert_eq!((RUNS.count(), RUNS.most_at_once()), (4, 2), "it runs itself");
            GATE.open(2);
            assert_eq!((leader.await, waiter.await), (3, 4));
            break;
        }
        assert_eq!((RUNS.count(), RUNS.most_at_once()), (number, 1));
        GATE.open(1);
        assert_eq!(leader.await, number);
        // Before the waiter looks, its lifetime is over; and before it asks for the lease, the next one has it.
        clock.advance(Duration::from_secs(1));
    }
    // The right to store was the leader's.
    assert_eq!(slow_one.with(slow()).await, 3);
    assert_eq!(RUNS.count(), 4);
}

//! Promise 2, for errors that can't be shared: after one of those who waited leads the next run, the others run at the
//! same time, and nobody waits for a second run that fails.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use larder::cached;

use crate::support::{Gate, Runs, cache, in_time, poll_once, two_processes, without_memory};

/// Neither `Clone` nor made of a shared failure.
#[derive(Debug, PartialEq)]
struct Opaque(usize);

const CALLERS: usize = 20;

/// Polls each of them until it waits or runs.
async fn start<F: Future + Unpin>(calls: &mut [F]) {
    for call in calls {
        assert!(poll_once(call).await.is_none());
    }
}

#[tokio::test]
async fn after_it_all_who_waited_run_at_the_same_time() {
    static RUNS: Runs = Runs::new();
    static GATE: LazyLock<Gate> = LazyLock::new(Gate::new);
    #[cached]
    async fn fails() -> Result<u32, Opaque> {
        let run = RUNS.begin();
        GATE.pass().await;
        Err(Opaque(run.number))
    }
    let cache = cache();
    cache
        .with(async {
            let mut calls: Vec<_> = (0..CALLERS).map(|_| Box::pin(fails())).collect();
            start(&mut calls).await;
            assert_eq!(RUNS.count(), 1);
            GATE.open(1);
            let mut calls = calls.into_iter();
            assert_eq!(calls.next().unwrap().await, Err(Opaque(1)));
            let mut calls: Vec<_> = calls.collect();
            start(&mut calls).await;
            assert_eq!(RUNS.most_at_once(), CALLERS - 1, "one after the other");
            // Who comes now joins the one that leads.
            let mut late = Box::pin(fails());
            assert!(poll_once(&mut late).await.is_none());
            assert_eq!(RUNS.count(), CALLERS);
            GATE.open(CALLERS);
            for call in calls {
                assert!(call.await.is_err());
            }
            assert_eq!(late.await, Err(Opaque(CALLERS + 1)), "after the leader's failure it runs itself");
        })
        .await;
    let stats = cache.stats();
    assert_eq!((stats.flights, stats.function("fails").unwrap().unshared), (0, CALLERS as u64 - 2));
}

#[test]
fn sync_callers_too() {
    static RUNNING: AtomicUsize = AtomicUsize::new(0);
    static OPEN: AtomicUsize = AtomicUsize::new(0);
    #[cached]
    fn fails(number: usize) -> Result<u32, Opaque> {
        let first = RUNNING.fetch_add(1, Ordering::SeqCst) == 0;
        while OPEN.load(Ordering::SeqCst) < 2 * number + 1 + usize::from(!first) {
            std::thread::yield_now();
        }
        Err(Opaque(number))
    }
    in_time(|| {
        let cache = cache();
        // A caller that hasn't begun to wait when the first run fails joins the next run, as it should. So it may take
        // several rounds until all of them wait in time; then all of them run at once.
        for number in 0.. {
            RUNNING.store(0, Ordering::SeqCst);
            let call = || {
                let cache = cache.clone();
                std::thread::spawn(move || cache.with_sync(|| fails(number)))
            };
            let first = call();
            while RUNNING.load(Ordering::SeqCst) < 1 {
                std::thread::yield_now();
            }
            let others: Vec<_> = (1..CALLERS).map(|_| call()).collect();
            std::thread::sleep(Duration::from_millis(20 << number.min(5)));
            OPEN.store(2 * number + 1, Ordering::SeqCst);
            assert!(first.join().unwrap().is_err());
            let began = Instant::now();
            let all_run = || RUNNING.load(Ordering::SeqCst) == CALLERS;
            while !all_run() && began.elapsed() < Duration::from_secs(1) {
                std::thread::yield_now();
            }
            let all_run = all_run();
            OPEN.store(2 * number + 2, Ordering::SeqCst);
            others.into_iter().for_each(|other| assert!(other.join().unwrap().is_err()));
            if all_run {
                break;
            }
        }
    });
}

/// The result of the one that leads is shared and stored; those of the others aren't.
#[tokio::test]
async fn only_the_one_that_leads_stores() {
    static RUNS: Runs = Runs::new();
    static GATE: LazyLock<Gate> = LazyLock::new(Gate::new);
    #[cached(helpers = [peek])]
    async fn fails_first() -> Result<usize, Opaque> {
        let run = RUNS.begin();
        GATE.pass().await;
        if run.number == 1 { Err(Opaque(1)) } else { Ok(run.number) }
    }
    let (here, there, shared) = two_processes();
    for cache in [here, without_memory(&shared)] {
        let before = RUNS.count();
        cache
            .with(async {
                let mut calls: Vec<_> = (0..4).map(|_| Box::pin(fails_first())).collect();
                start(&mut calls).await;
                GATE.open(1);
                let mut calls = calls.into_iter();
                let first = calls.next().unwrap().await;
                if before > 0 {
                    assert_eq!(first, Ok(before + 1));
                    return;
                }
                assert_eq!(first, Err(Opaque(1)));
                let mut calls: Vec<_> = calls.collect();
                start(&mut calls).await;
                let mut late = Box::pin(fails_first());
                assert!(poll_once(&mut late).await.is_none());
                assert_eq!(RUNS.count(), 4);
                // The one that leads is polled last.
                GATE.open(3);
                let mut calls = calls.into_iter();
                let (leads, others) = (calls.next().unwrap(), calls);
                for other in others {
                    assert!(other.await.is_ok());
                }
                assert_eq!(peek_fails_first().await, None, "who doesn't lead stores nothing");
                assert_eq!(leads.await, Ok(2));
                assert_eq!((late.await, fails_first().await), (Ok(2), Ok(2)));
            })
            .await;
        there.with(invalidate_fails_first()).await.unwrap();
    }
    assert_eq!(there.with(peek_fails_first()).await, None);
}

/// A panic is its caller's, and one of those who waited leads the next run, for which the others wait. Not so a second time.
#[tokio::test]
async fn a_panic_is_waited_for_once_more() {
    static RUNS: Runs = Runs::new();
    static GATE: LazyLock<Gate> = LazyLock::new(Gate::new);
    #[cached]
    async fn panics() -> usize {
        let _run = RUNS.begin();
        GATE.pass().await;
        panic!("each run panics");
    }
    let cache = cache();
    let call = || {
        let cache = cache.clone();
        tokio::spawn(async move { cache.with(panics()).await })
    };
    let mut calls = vec![call()];
    GATE.arrival().await;
    calls.extend((1..CALLERS).map(|_| call()));
    tokio::task::yield_now().await;
    for leader in 2..=3 {
        GATE.open(1);
        GATE.arrival().await;
        assert!(leader == 3 || RUNS.count() == leader, "a leader that panicked is replaced by one");
    }
    for _ in 3..CALLERS {
        GATE.arrival().await;
    }
    assert_eq!(RUNS.most_at_once(), CALLERS - 2);
    GATE.open(CALLERS);
    for call in calls {
        assert!(call.await.unwrap_err().is_panic());
    }
    assert_eq!(cache.stats().flights, 0);
}

/// Each caller has a run's time to wait and one to run, whichever process runs.
#[tokio::test]
async fn across_processes_too() {
    static RUNS: Runs = Runs::new();
    static GATE: LazyLock<Gate> = LazyLock::new(Gate::new);
    #[cached]
    async fn fails() -> Result<u32, Opaque> {
        let run = RUNS.begin();
        GATE.pass().await;
        Err(Opaque(run.number))
    }
    let (here, there, shared) = two_processes();
    let third = without_memory(&shared);
    let caches = [&here, &there, &third];
    let mut calls: Vec<_> = caches.iter().flat_map(|cache| (0..5).map(|_| Box::pin(cache.with(fails())))).collect();
    start(&mut calls).await;
    assert_eq!(RUNS.count(), 1);
    GATE.open(1);
    let mut calls = calls.into_iter();
    assert!(calls.next().unwrap().await.is_err());
    let mut calls: Vec<_> = calls.collect();
    // Twice, as some are woken by others.
    start(&mut calls).await;
    start(&mut calls).await;
    assert_eq!(RUNS.most_at_once(), 14, "one after the other");
    GATE.open(14);
    for call in calls {
        assert!(call.await.is_err());
    }
    assert_eq!(shared.usage().leases, 0);
}

/// Errors that can be shared are, in each process; and these don't queue either.
#[tokio::test]
async fn across_processes_one_run_each_where_the_error_can_be_shared() {
    static RUNS: Runs = Runs::new();
    static GATE: LazyLock<Gate> = LazyLock::new(Gate::new);
    #[cached]
    async fn fails() -> Result<u32, String> {
        let run = RUNS.begin();
        GATE.pass().await;
        Err(format!("run {}", run.number))
    }
    let (here, there, shared) = two_processes();
    let third = without_memory(&shared);
    let caches = [&here, &there, &third];
    let mut calls: Vec<_> = caches.iter().flat_map(|cache| (0..5).map(|_| Box::pin(cache.with(fails())))).collect();
    start(&mut calls).await;
    GATE.open(1);
    let mut others = calls.split_off(5);
    for call in calls {
        assert_eq!(call.await, Err("run 1".to_owned()));
    }
    start(&mut others).await;
    assert_eq!((RUNS.count(), RUNS.most_at_once()), (3, 2), "one after the other");
    GATE.open(2);
    for call in others {
        assert!(call.await.is_err());
    }
    assert_eq!(RUNS.count(), 3);
}

/// What isn't stored can't be had by other processes: they don't queue for it.
#[tokio::test]
async fn results_that_are_not_stored_make_no_queue_across_processes() {
    static RUNS: Runs = Runs::new();
    static GATE: LazyLock<Gate> = LazyLock::new(Gate::new);
    #[cached(cache_if = |_| false)]
    async fn unstored() -> usize {
        let run = RUNS.begin();
        GATE.pass().await;
        run.number
    }
    let (here, there, shared) = two_processes();
    let third = without_memory(&shared);
    let mut first = Box::pin(here.with(unstored()));
    let mut others: Vec<_> = [&there, &third].map(|cache| Box::pin(cache.with(unstored()))).into();
    assert!(poll_once(&mut first).await.is_none());
    start(&mut others).await;
    GATE.open(1);
    assert_eq!(first.await, 1);
    start(&mut others).await;
    assert_eq!(RUNS.most_at_once(), 2);
    GATE.open(2);
    for other in others {
        other.await;
    }
}

/// A run that was cancelled has not failed: those who waited in other processes wait for its successor.
#[tokio::test]
async fn a_cancelled_run_elsewhere_is_no_failure() {
    static RUNS: Runs = Runs::new();
    static GATE: LazyLock<Gate> = LazyLock::new(Gate::new);
    #[cached]
    async fn fails() -> Result<usize, Opaque> {
        let run = RUNS.begin();
        GATE.pass().await;
        Ok(run.number)
    }
    let (here, there, shared) = two_processes();
    let third = without_memory(&shared);
    let mut first = Box::pin(here.with(fails()));
    let mut others: Vec<_> = [&there, &third].map(|cache| Box::pin(cache.with(fails()))).into();
    assert!(poll_once(&mut first).await.is_none());
    start(&mut others).await;
    drop(first);
    start(&mut others).await;
    assert_eq!((RUNS.count(), RUNS.most_at_once()), (2, 1));
    GATE.open(1);
    for other in others {
        assert_eq!(other.await, Ok(2));
    }
}

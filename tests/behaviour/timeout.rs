//! `timeout`: how long a caller waits who could have an old value.

use std::sync::atomic::{AtomicBool, Ordering};

use larder::cached;

use crate::support::{Gate, Runs, seconds, stats_of, timed, until};

#[tokio::test]
async fn a_slow_run_goes_on_without_its_caller() {
    static RUNS: Runs = Runs::new();
    static GATE: Gate = Gate::new();
    #[cached(ttl = "10s", stale_if_error = "1h", timeout = "20ms")]
    async fn f(id: &str) -> Result<usize, String> {
        let _ = id;
        let run = RUNS.add();
        if run > 1 {
            GATE.pass().await;
        }
        Ok(run)
    }
    let (cache, clock) = timed();
    assert_eq!(cache.with(f("a")).await, Ok(1));
    clock.advance(seconds(10));
    let both = futures(cache.with(f("a")), cache.with(f("a"))).await;
    assert_eq!(both, (Ok(1), Ok(1)));
    assert_eq!(RUNS.get(), 2);
    GATE.open(1);
    until(|| cache.stats().flights == 0).await;
    assert_eq!((cache.with(f("a")).await, RUNS.get()), (Ok(2), 2));
    assert_eq!(stats_of(&cache, "f").background, 1);
}

async fn futures<A: Future, B: Future>(a: A, b: B) -> (A::Output, B::Output) {
    tokio::join!(a, b)
}

#[tokio::test]
async fn a_fast_run_is_waited_for() {
    static RUNS: Runs = Runs::new();
    #[cached(ttl = "10s", stale_if_error = "1h", timeout = "1h", tags = ["timeout-fast"])]
    async fn f() -> Result<usize, std::io::Error> {
        tokio::task::yield_now().await;
        Ok(RUNS.add())
    }
    #[cached]
    async fn parent() -> usize {
        f().await.unwrap()
    }
    let (cache, clock) = timed();
    assert_eq!(cache.with(f()).await.unwrap(), 1);
    clock.advance(seconds(10));
    assert_eq!(cache.with(parent()).await, 2);
    cache.invalidate_tag("timeout-fast").await.unwrap();
    assert_eq!(cache.with(parent()).await, 3, "the parent has the tags of the run it waited for");
}

#[tokio::test]
async fn an_error_or_a_panic_gives_the_old_value() {
    static RUNS: Runs = Runs::new();
    #[cached(ttl = "10s", stale_if_error = "1h", timeout = "1h")]
    async fn f() -> Result<usize, String> {
        match RUNS.add() {
            2 => Err("down".into()),
            3 => panic!("the third run panics"),
            run => Ok(run),
        }
    }
    let (cache, clock) = timed();
    assert_eq!(cache.with(f()).await, Ok(1));
    clock.advance(seconds(10));
    assert_eq!(cache.with(f()).await, Ok(1));
    assert_eq!(stats_of(&cache, "f").failures, 1);
    // Till the next run may be tried.
    clock.advance(seconds(1));
    assert_eq!(cache.with(f()).await, Ok(1));
    assert_eq!((RUNS.get(), cache.with(f()).await), (3, Ok(1)), "the next run isn't tried at once");
    clock.advance(seconds(1));
    assert_eq!(cache.with(f()).await, Ok(4));
}

#[tokio::test]
async fn a_run_after_one_that_panicked_is_waited_for_no_longer() {
    static RUNS: Runs = Runs::new();
    static GATE: Gate = Gate::new();
    #[cached(ttl = "10s", stale_if_error = "1h", timeout = "2s")]
    async fn f() -> Result<usize, String> {
        let run = RUNS.add();
        if run == 2 {
            GATE.pass().await;
            panic!("the second run panics");
        }
        if run == 3 {
            std::future::pending::<()>().await;
        }
        Ok(run)
    }
    let (cache, clock) = timed();
    assert_eq!(cache.with(f()).await, Ok(1));
    clock.advance(seconds(10));
    let call = || {
        let cache = cache.clone();
        tokio::spawn(async move { cache.with(f()).await })
    };
    let first = call();
    GATE.arrival().await;
    let second = call();
    tokio::task::yield_now().await;
    GATE.open(1);
    assert_eq!(first.await.unwrap(), Ok(1), "the panic is nobody's who has an old value");
    let second = tokio::time::timeout(seconds(20), second).await;
    assert_eq!(second.expect("it waits for a run that hangs").unwrap(), Ok(1));
}

#[tokio::test]
async fn without_an_old_value_callers_wait() {
    static GATE: Gate = Gate::new();
    #[cached(ttl = "10s", stale_if_error = "1h", timeout = "1ms")]
    async fn f() -> Result<u64, String> {
        GATE.pass().await;
        Ok(1)
    }
    let (cache, _) = timed();
    let open = async {
        GATE.arrival().await;
        tokio::time::sleep(crate::support::millis(20)).await;
        GATE.open(1);
    };
    assert_eq!(futures(cache.with(f()), open).await.0, Ok(1));
}

#[tokio::test]
async fn an_invalidated_value_is_waited_for() {
    static RUNS: Runs = Runs::new();
    static GATE: Gate = Gate::new();
    #[cached(ttl = "10s", stale_if_error = "1h", timeout = "20ms")]
    async fn f() -> Result<usize, String> {
        let run = RUNS.add();
        if run > 1 {
            GATE.pass().await;
        }
        Ok(run)
    }
    let (cache, clock) = timed();
    assert_eq!(cache.with(f()).await, Ok(1));
    clock.advance(seconds(10));
    let invalidate = async {
        GATE.arrival().await;
        cache.with(invalidate_f()).await.unwrap();
        tokio::time::sleep(crate::support::millis(60)).await;
        GATE.open(1);
    };
    assert_eq!(futures(cache.with(f()), invalidate).await.0, Ok(2));
}

#[test]
fn sync_functions() {
    static RUNS: Runs = Runs::new();
    static GATE: Gate = Gate::new();
    #[cached(ttl = "10s", stale_if_error = "1h", timeout = "20ms")]
    fn f() -> Result<usize, String> {
        let run = RUNS.add();
        if run > 1 {
            crate::support::block_on(GATE.pass());
        }
        Ok(run)
    }
    let (cache, clock) = timed();
    cache.with_sync(|| {
        assert_eq!(f(), Ok(1));
        clock.advance(seconds(10));
        assert_eq!((f(), f(), RUNS.get()), (Ok(1), Ok(1), 2));
        GATE.open(1);
        crate::support::until_sync(|| cache.stats().flights == 0);
        assert_eq!((f(), RUNS.get()), (Ok(2), 2));
    });
}

#[test]
fn more_runs_that_hang_than_there_are_threads_for() {
    // They are the process's.
    if !crate::support::alone("timeout::more_runs_that_hang_than_there_are_threads_for") {
        return;
    }
    static RUNS: Runs = Runs::new();
    static GATE: Gate = Gate::new();
    #[cached(ttl = "10s", stale_if_error = "1h", timeout = "1ms")]
    fn f(id: usize) -> Result<usize, String> {
        if RUNS.add() > 10 {
            crate::support::block_on(GATE.pass());
        }
        Ok(id)
    }
    let (cache, clock) = timed();
    let all = move || (0..10).all(|id| f(id) == Ok(id));
    assert!(cache.with_sync(all));
    clock.advance(seconds(10));
    let (ends, ended) = std::sync::mpsc::channel();
    let calls = cache.clone();
    std::thread::spawn(move || ends.send(calls.with_sync(all)));
    assert_eq!(ended.recv_timeout(seconds(20)), Ok(true), "one of them runs where nothing ends its patience");
    crate::support::until_sync(|| RUNS.get() == 18);
    assert_eq!(cache.stats().flights, 8);
    GATE.open(20);
    crate::support::until_sync(|| cache.with_sync(all) && RUNS.get() == 20);
}

#[test]
fn a_run_whose_runtime_ends_goes_on_with_its_caller() {
    static RUNS: Runs = Runs::new();
    static GATE: Gate = Gate::new();
    #[cached(ttl = "10s", stale_if_error = "1h", timeout = "1h")]
    async fn f() -> Result<usize, String> {
        let run = RUNS.add();
        if run > 1 {
            GATE.pass().await;
        }
        Ok(run)
    }
    let (cache, clock) = timed();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (first, second) = (runtime(), runtime());
    let mut call = Box::pin(cache.with(f()));
    second.block_on(async { assert_eq!(cache.with(f()).await, Ok(1)) });
    clock.advance(seconds(10));
    first.block_on(async {
        // The run is the first runtime's, the call goes on in the second.
        std::future::poll_fn(|task| {
            assert!(call.as_mut().poll(task).is_pending());
            std::task::Poll::Ready(())
        })
        .await;
        GATE.arrival().await;
    });
    // Past the old value's life.
    clock.advance(seconds(3_601));
    drop(first);
    GATE.open(1);
    assert_eq!(second.block_on(call), Ok(2));
    assert_eq!((cache.stats().flights, RUNS.get()), (0, 2));
    assert_eq!(second.block_on(cache.with(f())), Ok(2), "it is stored");
}

/// Panics when it is dropped, once that was asked of it.
struct Grumpy(AtomicBool);

impl Clone for Grumpy {
    fn clone(&self) -> Self {
        Self(AtomicBool::new(false))
    }
}

impl Drop for Grumpy {
    fn drop(&mut self) {
        assert!(!*self.0.get_mut(), "dropped");
    }
}

#[tokio::test]
async fn a_destructor_that_panics_takes_no_result_along() {
    static RUNS: Runs = Runs::new();
    #[cached(
        ttl = "10s",
        stale_if_error = "1h",
        timeout = "1h",
        skip(grumpy),
        cache_if = |run| { grumpy.0.store(*run == 2, Ordering::SeqCst); true },
    )]
    async fn f(grumpy: &Grumpy) -> Result<usize, String> {
        let _ = grumpy;
        Ok(RUNS.add())
    }
    let (cache, clock) = timed();
    let grumpy = Grumpy(AtomicBool::new(false));
    assert_eq!(cache.with(f(&grumpy)).await, Ok(1));
    clock.advance(seconds(10));
    let call = tokio::time::timeout(seconds(20), cache.with(f(&grumpy)));
    assert_eq!(call.await.expect("nobody says that the run has ended"), Ok(2));
    assert_eq!(cache.with(f(&grumpy)).await, Ok(2), "it is stored");
}

#[cfg(feature = "msgpack")]
#[tokio::test]
async fn an_old_value_of_a_backend_serves_all_who_ask() {
    static RUNS: Runs = Runs::new();
    static GATE: Gate = Gate::new();
    #[cached(ttl = "10s", stale_if_error = "1h", timeout = "20ms")]
    async fn f() -> Result<usize, String> {
        let run = RUNS.add();
        if run > 1 {
            GATE.pass().await;
        }
        Ok(run)
    }
    let (first, second, clock) = crate::support::two_processes();
    assert_eq!(first.with(f()).await, Ok(1));
    clock.advance(seconds(10));
    // The second process has it in no memory.
    let calls = async {
        let both = futures(second.with(f()), second.with(f())).await;
        (both, second.with(f()).await)
    };
    let calls = tokio::time::timeout(seconds(20), calls).await;
    assert_eq!(calls.expect("one of them waits for the run"), ((Ok(1), Ok(1)), Ok(1)));
    assert_eq!(first.with(f()).await, Ok(1), "the other one holds the lease");
    GATE.open(1);
    until(|| first.stats().flights + second.stats().flights == 0).await;
    assert_eq!((first.with(f()).await, second.with(f()).await, RUNS.get()), (Ok(2), Ok(2), 2));
}

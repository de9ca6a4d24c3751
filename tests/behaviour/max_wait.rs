//! `max_wait`: how long a call waits for another's run before it runs the body itself.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use larder::{Cache, cached};

use crate::support::{Gate, Runs, cache, millis, seconds, stats_of, until};

/// Long beside what a call may wait, for a busy machine.
const LONG: Duration = seconds(20);

async fn in_time<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(LONG, future).await.expect("it waits for a run that hangs")
}

#[tokio::test]
async fn it_runs_the_body_itself_unshared_and_unstored() {
    static RUNS: Runs = Runs::new();
    static GATE: Gate = Gate::new();
    #[cached(max_wait = "20ms", helpers = [peek])]
    async fn f() -> usize {
        let run = RUNS.add();
        if run == 1 {
            GATE.pass().await;
        }
        run
    }
    let cache = cache();
    let hung = tokio::spawn({
        let cache = cache.clone();
        async move { cache.with(f()).await }
    });
    GATE.arrival().await;
    let began = Instant::now();
    let (a, b) = in_time(async { tokio::join!(cache.with(f()), cache.with(f())) }).await;
    assert!(began.elapsed() >= millis(20));
    assert_eq!((a + b, RUNS.get()), (2 + 3, 3), "each runs it for itself");
    assert_eq!(cache.with(peek_f()).await, None, "nothing of it is stored");
    assert_eq!(in_time(cache.with(f())).await, 4);
    GATE.open(1);
    assert_eq!(hung.await.unwrap(), 1);
    assert_eq!((cache.with(f()).await, RUNS.get()), (1, 4));
    assert_eq!(stats_of(&cache, "f").unshared, 3);
    assert_eq!(cache.stats().flights, 0);
}

#[tokio::test]
async fn a_run_that_ends_in_time_is_waited_for() {
    static RUNS: Runs = Runs::new();
    static GATE: Gate = Gate::new();
    #[cached(max_wait = "1h")]
    async fn f() -> usize {
        GATE.pass().await;
        RUNS.add()
    }
    let cache = cache();
    let open = async {
        GATE.arrival().await;
        GATE.open(1);
    };
    let (a, b, ()) = cache.with(async { tokio::join!(f(), f(), open) }).await;
    assert_eq!((a, b), (1, 1));
    assert_eq!(stats_of(&cache, "f").unshared, 0);
}

#[test]
fn sync_functions() {
    static RUNS: Runs = Runs::new();
    static GATE: Gate = Gate::new();
    #[cached(max_wait = Duration::from_millis(wait), key = ())]
    fn f(wait: u64) -> usize {
        let run = RUNS.add();
        if run == 1 {
            crate::support::block_on(GATE.pass());
        }
        run
    }
    let cache = cache();
    std::thread::scope(|threads| {
        let hung = threads.spawn(|| cache.with_sync(|| f(0)));
        crate::support::block_on(GATE.arrival());
        let began = Instant::now();
        assert_eq!(cache.with_sync(|| f(30)), 2, "the caller's own time counts");
        assert!(began.elapsed() >= millis(30));
        assert_eq!(cache.with_sync(|| f(0)), 3);
        GATE.open(1);
        assert_eq!(hung.join().unwrap(), 1);
    });
}

#[tokio::test]
async fn zero_waits_for_nobody() {
    static RUNS: Runs = Runs::new();
    static GATE: Gate = Gate::new();
    #[cached(max_wait = "0s")]
    async fn f() -> usize {
        let run = RUNS.add();
        GATE.pass().await;
        run
    }
    let cache = cache();
    let open = async {
        for _ in 0..3 {
            GATE.arrival().await;
        }
        GATE.open(3);
    };
    let all = cache.with(async { tokio::join!(f(), f(), f(), open) });
    let (a, b, c, ()) = in_time(all).await;
    assert_eq!((a, b, c), (1, 2, 3));
    assert_eq!(cache.with(f()).await, 1, "the first one led, and is stored");
}

#[tokio::test]
async fn for_a_whole_cache_and_the_option_wins() {
    static GATE: Gate = Gate::new();
    #[cached(key = ())]
    async fn plain(hangs: &AtomicBool) -> bool {
        let hangs = hangs.swap(false, Ordering::SeqCst);
        if hangs {
            GATE.pass().await;
        }
        hangs
    }
    #[cached(max_wait = "1h", key = ())]
    async fn patient(hangs: &AtomicBool) -> bool {
        let hangs = hangs.swap(false, Ordering::SeqCst);
        if hangs {
            GATE.pass().await;
        }
        hangs
    }
    let cache = Cache::builder().max_wait(millis(20)).build().unwrap();
    let [first, second] = [const { AtomicBool::new(true) }; 2];
    cache
        .with(async {
            let mut hung = Box::pin(plain(&first));
            let mut patient_hung = Box::pin(patient(&second));
            let mut waits = Box::pin(patient(&second));
            assert!(tokio::time::timeout(millis(1), &mut hung).await.is_err());
            assert!(tokio::time::timeout(millis(1), &mut patient_hung).await.is_err());
            assert!(!in_time(plain(&first)).await);
            assert!(tokio::time::timeout(millis(60), &mut waits).await.is_err(), "its own option counts");
            GATE.open(2);
            assert!(hung.await && patient_hung.await && waits.await);
        })
        .await;
}

/// Counted from when the call began to wait, however many runs it waits for.
#[tokio::test]
async fn all_that_is_waited_for_counts() {
    static RUNS: Runs = Runs::new();
    #[cached(max_wait = wait, key = ())]
    async fn f(wait: Duration) -> usize {
        let run = RUNS.add();
        if wait > seconds(1) {
            std::future::pending::<()>().await;
        }
        run
    }
    let cache = cache();
    let call = |wait| {
        let cache = cache.clone();
        tokio::spawn(async move { cache.with(f(wait)).await })
    };
    // One leads after the other, and each hangs until it is cancelled.
    let hung: Vec<_> = (0..50).map(|_| call(seconds(3_600))).collect();
    until(|| RUNS.get() == 1).await;
    let waits = call(millis(200));
    for hung in hung {
        tokio::time::sleep(millis(40)).await;
        hung.abort();
        if waits.is_finished() {
            assert!(waits.await.unwrap() > 1);
            return;
        }
    }
    panic!("it waits anew for each run");
}

/// With an old value `timeout` says when that is given, and `max_wait` when the body is run, whichever is over first.
#[tokio::test]
async fn beside_timeout() {
    static RUNS: Runs = Runs::new();
    static GATE: Gate = Gate::new();
    #[cached(ttl = "10s", stale_if_error = "1h", timeout = "1h", max_wait = "20ms")]
    async fn impatient(id: u64) -> Result<usize, String> {
        let _ = id;
        let run = RUNS.add();
        if run == 2 {
            GATE.pass().await;
        }
        Ok(run)
    }
    #[cached(ttl = "10s", stale_if_error = "1h", timeout = "20ms", max_wait = "1h")]
    async fn content() -> Result<usize, String> {
        let run = RUNS.add();
        if run == 5 {
            GATE.pass().await;
        }
        Ok(run)
    }
    let clock = larder::Clock::manual();
    let cache = Cache::builder().clock(&clock).build().unwrap();
    assert_eq!(cache.with(impatient(1)).await, Ok(1));
    clock.advance(seconds(10));
    let hung = tokio::spawn({
        let cache = cache.clone();
        async move { cache.with(impatient(1)).await }
    });
    GATE.arrival().await;
    assert_eq!(
        in_time(cache.with(impatient(1))).await,
        Ok(3),
        "its own run, for which it waits as long as `timeout` says"
    );
    GATE.open(1);
    assert_eq!(hung.await.unwrap(), Ok(2));
    until(|| cache.stats().flights == 0).await;
    assert_eq!((cache.with(impatient(1)).await, RUNS.get()), (Ok(2), 3), "that one was not stored");

    assert_eq!(cache.with(content()).await, Ok(4));
    clock.advance(seconds(10));
    assert_eq!(in_time(cache.with(content())).await, Ok(4));
    GATE.arrival().await;
    assert_eq!((in_time(cache.with(content())).await, RUNS.get()), (Ok(4), 5), "the old value comes first");
    GATE.open(1);
}

/// Where an old value serves, nobody waits; where it serves no longer, `max_wait` holds for the renewal too.
#[tokio::test]
async fn beside_stale_while_revalidate() {
    static RUNS: Runs = Runs::new();
    static GATE: Gate = Gate::new();
    #[cached(ttl = "10s", stale_while_revalidate = "10s", max_wait = "20ms")]
    async fn f() -> usize {
        let run = RUNS.add();
        if run == 2 {
            GATE.pass().await;
        }
        run
    }
    let clock = larder::Clock::manual();
    let cache = Cache::builder().clock(&clock).build().unwrap();
    assert_eq!(cache.with(f()).await, 1);
    clock.advance(seconds(10));
    assert_eq!(cache.with(f()).await, 1);
    GATE.arrival().await;
    assert_eq!((cache.with(f()).await, RUNS.get()), (1, 2));
    clock.advance(seconds(10));
    assert_eq!(in_time(cache.with(f())).await, 3);
    GATE.open(1);
    until(|| cache.stats().flights == 0).await;
    assert_eq!((cache.with(f()).await, RUNS.get()), (2, 3));
}

/// Each call has a time of its own, also one that a run makes.
#[tokio::test]
async fn nested_calls() {
    static RUNS: Runs = Runs::new();
    static GATE: Gate = Gate::new();
    #[cached(max_wait = "20ms")]
    async fn child() -> usize {
        let run = RUNS.add();
        if run == 1 {
            GATE.pass().await;
        }
        run
    }
    #[cached(tags = ["max-wait-parent"], helpers = [peek])]
    async fn parent() -> usize {
        child().await
    }
    let cache = cache();
    let hung = tokio::spawn({
        let cache = cache.clone();
        async move { cache.with(child()).await }
    });
    GATE.arrival().await;
    assert_eq!(in_time(cache.with(parent())).await, 2);
    assert_eq!(cache.with(peek_parent()).await, Some(2), "what it was made of is no reason not to store it");
    cache.with(invalidate_child()).await.unwrap();
    assert_eq!(cache.with(peek_parent()).await, None, "it depends on the child all the same");
    GATE.open(1);
    assert_eq!(hung.await.unwrap(), 1);
}

#[cfg(feature = "msgpack")]
mod across_processes {
    use super::*;
    use crate::support::two_processes;

    #[tokio::test]
    async fn a_lease_is_waited_for_no_longer_than_a_run() {
        static RUNS: Runs = Runs::new();
        static GATE: Gate = Gate::new();
        #[cached(max_wait = "20ms", helpers = [peek])]
        async fn f() -> usize {
            let run = RUNS.add();
            if run == 1 {
                GATE.pass().await;
            }
            run
        }
        let (here, there, _clock) = two_processes();
        let hung = tokio::spawn({
            let here = here.clone();
            async move { here.with(f()).await }
        });
        GATE.arrival().await;
        let all = there.with(async { tokio::join!(f(), f(), f()) });
        let (a, b, c) = in_time(all).await;
        assert_eq!((a + b + c, RUNS.get()), (2 + 3 + 4, 4));
        assert_eq!(there.with(peek_f()).await, None, "nothing of it is stored");
        GATE.open(1);
        assert_eq!(hung.await.unwrap(), 1);
        assert_eq!((there.with(f()).await, RUNS.get()), (1, 4));
        assert_eq!(here.stats().flights + there.stats().flights, 0);
    }

    #[test]
    fn sync_functions_too() {
        static RUNS: Runs = Runs::new();
        static GATE: Gate = Gate::new();
        #[cached(max_wait = "20ms")]
        fn f() -> usize {
            let run = RUNS.add();
            if run == 1 {
                crate::support::block_on(GATE.pass());
            }
            run
        }
        let (here, there, _clock) = two_processes();
        std::thread::scope(|threads| {
            let hung = threads.spawn(|| here.with_sync(f));
            crate::support::block_on(GATE.arrival());
            assert_eq!(there.with_sync(f), 2);
            GATE.open(1);
            assert_eq!(hung.join().unwrap(), 1);
        });
        crate::support::until_sync(|| here.stats().flights + there.stats().flights == 0);
    }
}

/// A refresh waits for nobody, and who waits for it does so as long as for any run.
#[tokio::test]
async fn beside_refresh() {
    static RUNS: Runs = Runs::new();
    static GATE: Gate = Gate::new();
    #[cached(max_wait = "20ms", helpers = [refresh])]
    async fn f() -> usize {
        let run = RUNS.add();
        if run == 1 {
            GATE.pass().await;
        }
        run
    }
    let cache = cache();
    let hung = tokio::spawn({
        let cache = cache.clone();
        async move { cache.with(refresh_f()).await }
    });
    GATE.arrival().await;
    assert_eq!(in_time(cache.with(f())).await, 2);
    assert_eq!(cache.with(refresh_f()).await, 3);
    GATE.open(1);
    assert_eq!((hung.await.unwrap(), cache.with(f()).await), (1, 3));
}

//! Priming stores now and refreshing runs now, whoever runs; and what began later stays.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use larder::{Cache, Clock, cached};

use crate::support::{Gate, Runs, block_on, cache, in_time, poll_once, two_processes, without_memory};

/// A future that is ready when it is polled first.
async fn now<F: Future>(future: F) -> F::Output {
    let mut future = Box::pin(future);
    poll_once(&mut future).await.expect("it waits")
}

#[tokio::test]
async fn priming_waits_for_no_run() {
    static RUNS: Runs = Runs::new();
    static GATE: LazyLock<Gate> = LazyLock::new(Gate::new);
    #[cached(helpers = [prime, peek])]
    async fn slow() -> usize {
        let run = RUNS.begin();
        GATE.pass().await;
        run.number
    }
    let (here, there, shared) = two_processes();
    for (one, other) in [(cache(), None), (here, None), (there, Some(without_memory(&shared)))] {
        let primer = other.as_ref().unwrap_or(&one);
        let before = RUNS.count();
        let (mut hung, mut waiter) = (Box::pin(one.with(slow())), Box::pin(one.with(slow())));
        assert!(poll_once(&mut hung).await.is_none() && poll_once(&mut waiter).await.is_none());
        primer.with(now(prime_slow(100))).await.unwrap();
        assert_eq!(primer.with(now(peek_slow())).await, Some(100));
        if other.is_none() {
            assert_eq!(one.with(now(slow())).await, 100);
        }
        GATE.open(1);
        assert_eq!(
            (hung.await, waiter.await),
            (before + 1, before + 1),
            "whoever called before gets what they asked for"
        );
        for cache in [&one, primer] {
            assert_eq!(cache.with(now(peek_slow())).await, Some(100), "the older result took the newer one's place");
        }
        primer.with(invalidate_slow()).await.unwrap();
        assert_eq!(one.stats().flights, 0);
    }
    assert_eq!(RUNS.count(), 3);
}

/// So a hung run holds up nobody who comes after it, in any process.
#[tokio::test]
async fn a_primed_value_wakes_those_who_wait_elsewhere() {
    static GATE: LazyLock<Gate> = LazyLock::new(Gate::new);
    #[cached(helpers = [prime, peek])]
    async fn slow() -> usize {
        GATE.pass().await;
        1
    }
    let (here, there, shared) = two_processes();
    let mut hung = Box::pin(here.with(slow()));
    let mut waiter = Box::pin(there.with(slow()));
    assert!(poll_once(&mut hung).await.is_none() && poll_once(&mut waiter).await.is_none());
    without_memory(&shared).with(now(prime_slow(100))).await.unwrap();
    assert_eq!(waiter.await, 100);
    GATE.open(1);
    assert_eq!(hung.await, 1);
    assert_eq!(there.with(peek_slow()).await, Some(100));
}

#[tokio::test]
async fn after_an_invalidation_too() {
    static GATE: LazyLock<Gate> = LazyLock::new(Gate::new);
    #[cached(helpers = [refresh, prime, peek])]
    async fn slow(hangs: &AtomicUsize) -> usize {
        let run = hangs.fetch_add(1, Ordering::SeqCst);
        if run == 0 {
            GATE.pass().await;
        }
        run
    }
    #[cached(skip(runs), key = (), name = "after_an_invalidation_too", helpers = [refresh, prime, peek])]
    async fn f(runs: &AtomicUsize) -> usize {
        let run = runs.fetch_add(1, Ordering::SeqCst);
        if run == 0 {
            GATE.pass().await;
        }
        run
    }
    let _ = slow;
    let (here, _there, _shared) = two_processes();
    for cache in [cache(), here] {
        let runs = AtomicUsize::new(0);
        let mut hung = Box::pin(cache.with(f(&runs)));
        assert!(poll_once(&mut hung).await.is_none());
        cache.with(invalidate_f()).await.unwrap();
        cache.with(now(prime_f(100))).await.unwrap();
        assert_eq!(cache.with(now(peek_f())).await, Some(100));
        cache.with(invalidate_f()).await.unwrap();
        assert_eq!(cache.with(now(refresh_f(&runs))).await, 1);
        GATE.open(1);
        assert_eq!(hung.await, 0);
        assert_eq!(cache.with(now(f(&runs))).await, 1);
    }
}

#[tokio::test]
async fn refreshing_waits_for_no_run() {
    static RUNS: Runs = Runs::new();
    static GATE: LazyLock<Gate> = LazyLock::new(Gate::new);
    #[cached(helpers = [refresh, peek])]
    async fn slow() -> usize {
        let run = RUNS.begin();
        if run.number % 3 == 1 {
            GATE.pass().await;
        }
        run.number
    }
    let (here, there, shared) = two_processes();
    for (one, other) in [(cache(), None), (here, None), (there, Some(without_memory(&shared)))] {
        let refresher = other.as_ref().unwrap_or(&one);
        let before = RUNS.count();
        let mut hung = Box::pin(one.with(slow()));
        assert!(poll_once(&mut hung).await.is_none());
        assert_eq!(refresher.with(now(refresh_slow())).await, before + 2);
        assert_eq!(refresher.with(now(larder::refreshing(slow()))).await, before + 3);
        GATE.open(1);
        assert_eq!(hung.await, before + 1);
        for cache in [&one, refresher] {
            assert_eq!(cache.with(now(peek_slow())).await, Some(before + 3), "the older result replaced the newer one");
        }
        refresher.with(invalidate_slow()).await.unwrap();
    }
}

#[test]
fn sync_functions() {
    static RUNS: Runs = Runs::new();
    static GATE: LazyLock<Gate> = LazyLock::new(Gate::new);
    #[cached(helpers = [refresh, prime, peek])]
    fn slow() -> usize {
        let run = RUNS.begin();
        if run.number == 1 {
            block_on(GATE.pass());
        }
        run.number
    }
    in_time(|| {
        let cache = cache();
        let hung = std::thread::spawn({
            let cache = cache.clone();
            move || cache.with_sync(slow)
        });
        block_on(GATE.arrival());
        cache.with_sync(|| {
            prime_slow(100).unwrap();
            assert_eq!(slow(), 100);
            assert_eq!(refresh_slow(), 2);
        });
        GATE.open(1);
        assert_eq!(hung.join().unwrap(), 1);
        assert_eq!(cache.with_sync(peek_slow), Some(2));
    });
}

/// Whoever comes while a refresh runs joins it, unless there is an old value.
#[tokio::test]
async fn calls_join_a_refresh() {
    static RUNS: Runs = Runs::new();
    static GATE: LazyLock<Gate> = LazyLock::new(Gate::new);
    #[cached(helpers = [refresh])]
    async fn slow() -> usize {
        let run = RUNS.begin();
        GATE.pass().await;
        run.number
    }
    cache()
        .with(async {
            let (mut first, mut refresh) = (Box::pin(slow()), Box::pin(refresh_slow()));
            assert!(poll_once(&mut first).await.is_none() && poll_once(&mut refresh).await.is_none());
            let mut joins = Box::pin(slow());
            assert!(poll_once(&mut joins).await.is_none());
            assert_eq!(RUNS.count(), 2);
            GATE.open(2);
            assert_eq!(refresh.await, 2);
            assert_eq!((joins.await, first.await), (2, 1));
            let mut again = Box::pin(refresh_slow());
            assert!(poll_once(&mut again).await.is_none());
            assert_eq!(now(slow()).await, 2, "the old value serves meanwhile");
            GATE.open(1);
            assert_eq!((again.await, now(slow()).await), (3, 3));
        })
        .await;
}

/// The one that began later wins, whichever ends first.
#[tokio::test]
async fn of_two_the_later_one_stays() {
    static RUNS: Runs = Runs::new();
    #[cached(skip(gate), key = (), helpers = [refresh, prime, peek])]
    async fn f(gate: &Gate) -> usize {
        let run = RUNS.begin();
        gate.pass().await;
        run.number
    }
    let (here, _there, shared) = two_processes();
    let reader = without_memory(&shared);
    for (cache, reader) in [(cache(), None), (here, Some(&reader))] {
        for earlier_ends_first in [true, false] {
            let (earlier, later) = (Gate::new(), Gate::new());
            let first = RUNS.count() + 1;
            let mut calls = [Box::pin(cache.with(refresh_f(&earlier))), Box::pin(cache.with(refresh_f(&later)))];
            for call in &mut calls {
                assert!(poll_once(call).await.is_none());
            }
            let [first_call, second_call] = calls;
            if earlier_ends_first {
                earlier.open(1);
                assert_eq!(first_call.await, first);
                assert_eq!(cache.with(peek_f()).await, Some(first), "nothing newer is there yet");
                later.open(1);
                assert_eq!(second_call.await, first + 1);
            } else {
                later.open(1);
                assert_eq!(second_call.await, first + 1);
                earlier.open(1);
                assert_eq!(first_call.await, first);
            }
            assert_eq!(cache.with(peek_f()).await, Some(first + 1));
            if let Some(reader) = reader {
                assert_eq!(reader.with(peek_f()).await, Some(first + 1));
            }
        }
        // A value that is primed meanwhile is newer than both, and older than what begins afterwards.
        let gates = [Gate::new(), Gate::new()];
        let before = RUNS.count();
        let mut earlier = Box::pin(cache.with(refresh_f(&gates[0])));
        assert!(poll_once(&mut earlier).await.is_none());
        cache.with(now(prime_f(1_000))).await.unwrap();
        let mut later = Box::pin(cache.with(refresh_f(&gates[1])));
        assert!(poll_once(&mut later).await.is_none());
        assert_eq!(cache.with(now(peek_f())).await, Some(1_000));
        gates[0].open(1);
        assert_eq!((earlier.await, cache.with(peek_f()).await), (before + 1, Some(1_000)));
        gates[1].open(1);
        assert_eq!((later.await, cache.with(peek_f()).await), (before + 2, Some(before + 2)));
    }
}

/// A refresh that came to nothing replaces nothing, and an older run may store all the same.
#[tokio::test]
async fn a_refresh_that_fails_leaves_what_is_there() {
    static RUNS: Runs = Runs::new();
    static GATE: LazyLock<Gate> = LazyLock::new(Gate::new);
    #[cached(helpers = [refresh, peek])]
    async fn f() -> Result<usize, String> {
        let run = RUNS.begin();
        match run.number {
            1 => GATE.pass().await,
            2 => return Err("the second run fails".to_owned()),
            3 => std::future::pending().await,
            _ => {}
        }
        Ok(run.number)
    }
    cache()
        .with(async {
            let mut first = Box::pin(f());
            assert!(poll_once(&mut first).await.is_none());
            assert!(now(refresh_f()).await.is_err());
            let mut cancelled = Box::pin(refresh_f());
            assert!(poll_once(&mut cancelled).await.is_none());
            drop(cancelled);
            let mut joins = Box::pin(f());
            assert!(poll_once(&mut joins).await.is_none(), "it joins the first run again");
            GATE.open(1);
            assert_eq!((first.await, joins.await), (Ok(1), Ok(1)));
            assert_eq!(peek_f().await, Some(Ok(1)));
        })
        .await;
}

/// A background renewal that hangs is no reason to wait, nor does it replace what came after it.
#[tokio::test]
async fn a_renewal_that_hangs() {
    static RUNS: Runs = Runs::new();
    static GATE: LazyLock<Gate> = LazyLock::new(Gate::new);
    #[cached(ttl = "10s", stale_while_revalidate = "1h", helpers = [refresh, prime, peek])]
    async fn f() -> usize {
        let run = RUNS.begin();
        if run.number == 2 {
            GATE.pass().await;
        }
        run.number
    }
    let clock = Clock::manual();
    let cache = Cache::builder().clock(&clock).build().unwrap();
    let second = Duration::from_secs(1);
    cache
        .with(async {
            assert_eq!(f().await, 1);
            clock.advance(10 * second);
            assert_eq!(f().await, 1);
            GATE.arrival().await;
            now(prime_f(100)).await.unwrap();
            assert_eq!(now(f()).await, 100);
            assert_eq!(now(refresh_f()).await, 3);
            GATE.open(1);
            while cache.stats().flights > 0 {
                tokio::task::yield_now().await;
            }
            assert_eq!(now(f()).await, 3);
            // One that isn't even begun.
            clock.advance(10 * second);
            assert_eq!(now(f()).await, 3);
            now(prime_f(200)).await.unwrap();
            while cache.stats().flights > 0 {
                tokio::task::yield_now().await;
            }
            assert_eq!((now(f()).await, RUNS.count()), (200, 3));
        })
        .await;
}

/// What a call reads in a backend is older than what is primed meanwhile.
#[tokio::test]
async fn nothing_that_was_read_before_takes_its_place() {
    #[cached(helpers = [prime, peek])]
    async fn f() -> usize {
        1
    }
    let (here, there, _shared) = two_processes();
    assert_eq!(here.with(f()).await, 1);
    for value in 2..5 {
        there.with(now(prime_f(value))).await.unwrap();
        assert_eq!(there.with(now(f())).await, value);
    }
}

#[tokio::test]
async fn a_run_can_t_prime_itself() {
    #[cached(helpers = [prime])]
    async fn f() -> usize {
        assert_eq!(prime_f(2).await.unwrap_err().kind(), larder::ErrorKind::Refused);
        1
    }
    let (here, _there, _shared) = two_processes();
    assert_eq!((cache().with(f()).await, here.with(f()).await), (1, 1));
}

/// Uncached, as ever where a function reaches itself.
#[tokio::test]
async fn a_run_that_refreshes_itself_runs_beside() {
    static RUNS: Runs = Runs::new();
    #[cached(helpers = [refresh, peek])]
    async fn f() -> usize {
        let run = RUNS.begin();
        if run.number == 1 {
            assert_eq!(Box::pin(refresh_f()).await, 2);
        }
        run.number
    }
    cache()
        .with(async {
            assert_eq!((f().await, peek_f().await), (1, Some(1)));
        })
        .await;
}

/// What was primed is invalidated before it is in place. The older run, which nothing of this concerns, doesn't come back
/// for it.
#[tokio::test]
async fn a_newer_result_that_is_dead_at_once_supersedes_the_older_one_too() {
    static RUNS: Runs = Runs::new();
    static GATE: LazyLock<Gate> = LazyLock::new(Gate::new);
    fn tag(value: usize) -> [(&'static str, usize); 1] {
        let tag = ("dead at once", value);
        if value == 100 {
            larder::blocking::invalidate_tag(tag).unwrap();
        }
        [tag]
    }
    #[cached(result_tags = |value| tag(*value), helpers = [prime, peek])]
    async fn slow() -> usize {
        let run = RUNS.begin();
        if run.number == 1 {
            GATE.pass().await;
        }
        run.number
    }
    let cache = cache();
    let mut hung = Box::pin(cache.with(slow()));
    assert!(poll_once(&mut hung).await.is_none());
    cache.with(prime_slow(100)).await.unwrap();
    assert_eq!(cache.with(now(peek_slow())).await, None);
    assert_eq!(cache.with(now(slow())).await, 2, "the older run answers a call that came after a newer value");
    GATE.open(1);
    assert_eq!(hung.await, 1);
    assert_eq!(cache.with(now(peek_slow())).await, Some(2), "the older result took the newer one's place");
}

/// Many who prime, refresh and call at once: whoever asks after a value was primed gets that or what began later.
#[test]
fn under_load_nothing_goes_back() {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    static PRIMED: AtomicUsize = AtomicUsize::new(0);
    #[cached(helpers = [refresh, prime])]
    fn number(key: u64) -> usize {
        let _ = key;
        let value = NEXT.fetch_add(1, Ordering::SeqCst);
        std::thread::yield_now();
        value
    }
    let cache = cache();
    std::thread::scope(|threads| {
        for thread in 0..4 {
            let cache = &cache;
            threads.spawn(move || {
                cache.with_sync(|| {
                    for _ in 0..2_000 {
                        let due = PRIMED.load(Ordering::SeqCst);
                        let got = number(1);
                        assert!(got >= due, "{got} was served after {due} had been primed");
                        match thread {
                            0 => {
                                let value = NEXT.fetch_add(1, Ordering::SeqCst);
                                prime_number(1, value).unwrap();
                                PRIMED.fetch_max(value, Ordering::SeqCst);
                            }
                            1 => {
                                refresh_number(1);
                            }
                            _ => drop(invalidate_number(1).unwrap()),
                        }
                    }
                });
            });
        }
    });
    assert_eq!(cache.stats().flights, 0);
}

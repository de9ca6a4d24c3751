//! Promise 1, for callers: after an invalidation nobody waits for a run that can't answer, as soon as that can be known.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use larder::{Cache, cached, invalidate_tag};

use crate::support::{Gate, Runs, block_on, cache, in_time, poll_once, two_processes};

/// A parent whose first run goes on for long after it has used something.
macro_rules! parent {
    ($runs:ident, $gate:ident, $parent:ident, $used:expr) => {
        static $runs: Runs = Runs::new();
        static $gate: LazyLock<Gate> = LazyLock::new(Gate::new);
        #[cached]
        async fn $parent() -> usize {
            let run = $runs.begin();
            $used;
            if run.number == 1 {
                $gate.pass().await;
            }
            run.number
        }
    };
}

/// Calls it, invalidates, and calls it again: the second run doesn't wait for the first one.
async fn runs_at_once<F, I>(call: impl Fn() -> F, invalidate: I, runs: &Runs, gate: &Gate)
where
    F: Future<Output = usize>,
    I: Future<Output = Result<larder::Invalidated, larder::Error>>,
{
    let mut before = Box::pin(call());
    assert!(poll_once(&mut before).await.is_none());
    let mut joins = Box::pin(call());
    assert!(poll_once(&mut joins).await.is_none());
    invalidate_tag("of nothing here").await.unwrap();
    let mut joins_too = Box::pin(call());
    assert!(poll_once(&mut joins_too).await.is_none());
    assert_eq!(runs.count(), 1);
    invalidate.await.unwrap();
    let mut after = Box::pin(call());
    assert_eq!(poll_once(&mut after).await, Some(2), "it waits for a run that can't answer it");
    gate.open(1);
    assert_eq!(before.await, 1);
    // They were there before; the entry there is newer.
    assert!([1, 2].contains(&joins.await) && [1, 2].contains(&joins_too.await));
    assert_eq!((call().await, runs.count()), (2, 2));
}

#[tokio::test]
async fn what_the_run_has_used_counts() {
    #[cached(tags = ["dead-child"])]
    fn child() -> usize {
        0
    }
    #[cached]
    async fn between() -> usize {
        child()
    }
    parent!(RUNS, GATE, parent, between().await);
    cache().with(runs_at_once(parent, invalidate_tag("dead-child"), &RUNS, &GATE)).await;
}

#[tokio::test]
async fn what_it_has_used_of_another_cache_counts() {
    static APART: LazyLock<Cache> = LazyLock::new(cache);
    #[cached(cache = APART)]
    fn child() -> usize {
        0
    }
    parent!(RUNS, GATE, parent, child());
    cache().with(runs_at_once(parent, async { invalidate_child() }, &RUNS, &GATE)).await;
}

#[tokio::test]
async fn tags_that_it_has_added_count() {
    parent!(RUNS, GATE, parent, larder::add_tag(("dead-added", 1)));
    cache().with(runs_at_once(parent, invalidate_tag("dead-added"), &RUNS, &GATE)).await;
    parent!(OTHER, OPEN, scoped, larder::add_tag("dead-scoped"));
    let in_scope = async {
        let scope = larder::Scope::new("tenant");
        runs_at_once(scoped, scope.invalidate_tag("dead-scoped"), &OTHER, &OPEN).await;
    };
    cache().with(larder::with_scope("tenant", in_scope)).await;
}

/// Runs that it has called and waits for, however deep.
#[tokio::test]
async fn what_runs_for_it_counts() {
    static RUNS: Runs = Runs::new();
    static GATE: LazyLock<Gate> = LazyLock::new(Gate::new);
    #[cached(tags = ["dead-deep"])]
    async fn child() -> usize {
        let run = RUNS.begin();
        if run.number == 1 {
            GATE.pass().await;
        }
        run.number
    }
    #[cached]
    async fn between() -> usize {
        child().await
    }
    #[cached]
    async fn parent() -> usize {
        between().await
    }
    cache().with(runs_at_once(parent, invalidate_tag("dead-deep"), &RUNS, &GATE)).await;
}

#[test]
fn sync_functions_too() {
    static RUNS: Runs = Runs::new();
    static GATE: LazyLock<Gate> = LazyLock::new(Gate::new);
    #[cached]
    fn child() -> usize {
        0
    }
    #[cached]
    fn parent() -> usize {
        let run = RUNS.begin();
        child();
        if run.number == 1 {
            block_on(GATE.pass());
        }
        run.number
    }
    in_time(|| {
        let cache = cache();
        let first = std::thread::spawn({
            let cache = cache.clone();
            move || cache.with_sync(parent)
        });
        block_on(GATE.arrival());
        cache.with_sync(|| {
            invalidate_child().unwrap();
            assert_eq!(parent(), 2);
        });
        GATE.open(1);
        assert_eq!(first.join().unwrap(), 1);
        assert_eq!(cache.with_sync(parent), 2);
    });
}

/// A child that answers a moment too late, and a thousand that are fine.
#[tokio::test]
async fn what_was_used_long_ago_and_what_comes_late_count() {
    static DEAD: AtomicBool = AtomicBool::new(false);
    #[cached]
    async fn child(id: u64) -> u64 {
        if id == 7 && !DEAD.swap(true, Ordering::SeqCst) {
            // Its own run is dead before it has ended.
            invalidate_child(7).await.unwrap();
        }
        id
    }
    parent!(FIRST, OPEN, late, child(7).await);
    let in_cache = async {
        let mut before = Box::pin(late());
        assert!(poll_once(&mut before).await.is_none());
        assert_eq!(poll_once(&mut Box::pin(late())).await, Some(2), "it used what had been invalidated by then");
        OPEN.open(1);
        assert_eq!((before.await, FIRST.count()), (1, 2));
    };
    cache().with(in_cache).await;
    parent!(
        RUNS,
        GATE,
        parent,
        for id in 0..3_000 {
            child(id).await;
        }
    );
    cache().with(runs_at_once(parent, invalidate_child(0), &RUNS, &GATE)).await;
}

/// Two runs that are both stale: whoever comes then begins as soon as one of them has ended, whichever it is.
#[tokio::test]
async fn there_is_room_as_soon_as_one_of_two_has_ended() {
    static RUNS: Runs = Runs::new();
    #[cached(skip(gate), key = ())]
    async fn f(gate: &Gate) -> usize {
        let run = RUNS.begin();
        gate.pass().await;
        run.number
    }
    let open = Gate::new();
    open.open(1_000);
    for hangs in 0..2 {
        let cache = cache();
        let in_cache = async {
            let gates = [Gate::new(), Gate::new()];
            let [mut first, mut second] = gates.each_ref().map(|gate| Box::pin(f(gate)));
            let before = RUNS.count();
            assert!(poll_once(&mut first).await.is_none());
            invalidate_f().await.unwrap();
            assert!(poll_once(&mut second).await.is_none());
            invalidate_f().await.unwrap();
            let mut third = Box::pin(f(&open));
            assert!(poll_once(&mut third).await.is_none());
            assert_eq!(RUNS.count(), before + 2, "never three");
            gates[1 - hangs].open(1);
            let [first, second] = if hangs == 0 {
                assert_eq!(second.await, before + 2);
                [Some(first), None]
            } else {
                assert_eq!(first.await, before + 1);
                [None, Some(second)]
            };
            assert_eq!(third.await, before + 3);
            assert_eq!(f(&open).await, before + 3);
            gates[hangs].open(1);
            for hung in [first, second].into_iter().flatten() {
                hung.await;
            }
        };
        cache.with(in_cache).await;
        assert_eq!(cache.stats().flights, 0);
    }
    assert_eq!(RUNS.most_at_once(), 2);
}

const BODY: Duration = Duration::from_millis(100);

/// However fast invalidations come, a call waits for what goes on when it comes, and for one run more.
#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_two_runs_take() {
    static RUNS: Runs = Runs::new();
    static LONGEST: AtomicUsize = AtomicUsize::new(0);
    static MOST: AtomicUsize = AtomicUsize::new(0);
    #[cached(tags = ["dead-endless"])]
    async fn f() -> usize {
        let run = RUNS.begin();
        tokio::time::sleep(BODY).await;
        run.number
    }
    let (here, _there, _shared) = two_processes();
    for (cache, shares) in [(cache(), false), (here, true)] {
        let mut calls = Vec::new();
        for _ in 0..500 {
            let call = cache.clone();
            calls.push(tokio::spawn(async move {
                let (began, ended) = (tokio::time::Instant::now(), RUNS.ended());
                call.with(f()).await;
                LONGEST.fetch_max(began.elapsed().as_millis() as usize, Ordering::SeqCst);
                MOST.fetch_max(RUNS.ended() - ended, Ordering::SeqCst);
            }));
            tokio::time::sleep(BODY / 100).await;
            cache.invalidate_tag("dead-endless").await.unwrap();
        }
        for call in calls {
            call.await.unwrap();
        }
        let (longest, most) = (LONGEST.swap(0, Ordering::SeqCst), MOST.swap(0, Ordering::SeqCst));
        // Leases are given up by a thread that has no part in the paused time: a run may begin only when the older one is over.
        assert!(shares || longest <= 2 * 100 + 5, "a call took {longest} ms, and the body takes 100");
        assert!(most <= 3, "{most} runs ended while a call waited: two that went on, and one more, are enough");
        assert_eq!(RUNS.most_at_once(), 2);
    }
}

/// Nor where runs fail.
#[tokio::test(start_paused = true)]
async fn nor_where_runs_fail() {
    static RUNS: Runs = Runs::new();
    #[derive(Debug)]
    struct Opaque;
    #[cached]
    async fn f() -> Result<usize, Opaque> {
        let _run = RUNS.begin();
        tokio::time::sleep(BODY).await;
        Err(Opaque)
    }
    let (here, there, _shared) = two_processes();
    for caches in [[cache(), cache()], [here, there]] {
        let began = tokio::time::Instant::now();
        let calls: Vec<_> = (0..40)
            .map(|number| {
                let cache = caches[number % 2].clone();
                tokio::spawn(async move { cache.with(f()).await.is_err() })
            })
            .collect();
        for call in calls {
            assert!(call.await.unwrap());
        }
        let took = began.elapsed();
        assert!(took <= 2 * BODY + BODY / 20, "forty callers took {took:?}, and the body takes {BODY:?}");
    }
}

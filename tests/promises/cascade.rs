//! Promise 7: an entry computed from others carries their tags and identity, whichever layer answered them.

mod a_child_that_did_not_return;

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use larder::{Cache, Clock, ManualClock, add_tag, cached, dont_cache, invalidate_tag};

use crate::support::{Gate, Runs, cache, poll_once, two_processes, without_memory};

/// leaf(k) ← middle(k) ← top, each counting its runs.
macro_rules! tree {
    () => {
        static LEAF: Runs = Runs::new();
        static MIDDLE: Runs = Runs::new();
        static TOP: Runs = Runs::new();

        #[cached(tags = [("leaf", k)])]
        async fn leaf(k: u32) -> u32 {
            let _run = LEAF.begin();
            k
        }

        #[cached(tags = ["middle"])]
        async fn middle(k: u32) -> u32 {
            let _run = MIDDLE.begin();
            leaf(k).await + leaf(k + 1).await
        }

        #[cached]
        async fn top() -> u32 {
            let _run = TOP.begin();
            middle(0).await + middle(10).await
        }

        #[allow(dead_code, reason = "not every test counts")]
        fn runs() -> (usize, usize, usize) {
            (LEAF.count(), MIDDLE.count(), TOP.count())
        }
    };
}

#[tokio::test]
async fn invalidating_a_leaf_recomputes_exactly_its_ancestors() {
    tree!();
    cache()
        .with(async {
            assert_eq!(top().await, 22);
            assert_eq!(runs(), (4, 2, 1));
            invalidate_tag(("leaf", 11)).await.unwrap();
            top().await;
            assert_eq!(runs(), (5, 3, 2), "leaf 11, middle 10 and top");
            invalidate_tag("middle").await.unwrap();
            top().await;
            assert_eq!(runs(), (5, 5, 3), "no leaf");
            invalidate_leaf(0).await.unwrap();
            top().await;
            assert_eq!(runs(), (6, 6, 4), "by its key");
            invalidate_all_leaf().await.unwrap();
            top().await;
            assert_eq!(runs(), (10, 8, 5), "by its function");
            invalidate_all_top().await.unwrap();
            top().await;
            assert_eq!(runs(), (10, 8, 6), "nothing below");
            invalidate_tag("unknown").await.unwrap();
            top().await;
            assert_eq!(runs(), (10, 8, 6));
        })
        .await;
}

#[tokio::test]
async fn children_answered_from_memory_count() {
    tree!();
    cache()
        .with(async {
            middle(0).await;
            middle(10).await; // all below top is in memory now
            top().await;
            assert_eq!(runs(), (4, 2, 1));
            invalidate_tag(("leaf", 0)).await.unwrap();
            assert_eq!(top().await, 22);
            assert_eq!(runs(), (5, 3, 2));
        })
        .await;
}

#[tokio::test]
async fn children_answered_from_a_backend_count() {
    tree!();
    let (here, there, shared) = two_processes();
    here.with(middle(0)).await;
    here.with(middle(10)).await;
    assert_eq!(there.with(top()).await, 22);
    assert_eq!(runs(), (4, 2, 1), "there only top ran");
    here.invalidate_tag(("leaf", 0)).await.unwrap();
    assert_eq!(without_memory(&shared).with(top()).await, 22);
    assert_eq!(runs(), (5, 3, 2), "top's entry in the backend was dead");
    there.with(top()).await;
    here.with(top()).await;
    assert_eq!(runs(), (5, 3, 2));
}

#[tokio::test]
async fn children_that_another_call_computed_count() {
    static LEAF: Runs = Runs::new();
    static TOP: Runs = Runs::new();
    static GATE: LazyLock<Gate> = LazyLock::new(Gate::new);
    #[cached(tags = ["leaf"])]
    async fn leaf() -> usize {
        let run = LEAF.begin();
        GATE.pass().await;
        run.number
    }
    #[cached]
    async fn top() -> usize {
        let _run = TOP.begin();
        leaf().await
    }
    cache()
        .with(async {
            let (mut direct, mut nested) = (Box::pin(leaf()), Box::pin(top()));
            assert!(poll_once(&mut direct).await.is_none());
            assert!(poll_once(&mut nested).await.is_none());
            GATE.open(1);
            assert_eq!((direct.await, nested.await), (1, 1));
            invalidate_tag("leaf").await.unwrap();
            GATE.open(1);
            assert_eq!(top().await, 2);
            assert_eq!((LEAF.count(), TOP.count()), (2, 2));
        })
        .await;
}

#[tokio::test]
async fn a_failed_child_counts_too() {
    static READY: AtomicU64 = AtomicU64::new(0);
    static TOP: Runs = Runs::new();
    #[cached(tags = ["leaf"])]
    async fn leaf() -> Result<u64, String> {
        match READY.load(Ordering::SeqCst) {
            0 => Err("not yet".into()),
            value => Ok(value),
        }
    }
    #[cached]
    async fn top() -> u64 {
        let _run = TOP.begin();
        leaf().await.unwrap_or(0)
    }
    cache()
        .with(async {
            assert_eq!((top().await, top().await, TOP.count()), (0, 0, 1));
            READY.store(5, Ordering::SeqCst);
            invalidate_tag("leaf").await.unwrap();
            assert_eq!(top().await, 5);
        })
        .await;
}

#[tokio::test]
async fn dont_cache_in_any_child_keeps_every_ancestor_out() {
    static RUNS: Runs = Runs::new();
    #[cached]
    async fn volatile(really: bool) -> u32 {
        if really {
            dont_cache();
        }
        1
    }
    #[cached]
    async fn stable() -> u32 {
        1
    }
    #[cached]
    async fn middle() -> u32 {
        volatile(true).await + stable().await
    }
    #[cached]
    async fn top() -> u32 {
        let _run = RUNS.begin();
        volatile(false).await + middle().await + stable().await + volatile(false).await
    }
    cache()
        .with(async {
            top().await;
            top().await;
            assert_eq!(RUNS.count(), 2);
            let stats = larder::stats();
            assert_eq!(stats.function("stable").unwrap().runs, 1);
            assert_eq!(stats.function("middle").unwrap().runs, 2);
        })
        .await;
}

#[tokio::test]
async fn a_child_that_another_call_leads_keeps_its_dont_cache() {
    static GATE: LazyLock<Gate> = LazyLock::new(Gate::new);
    static TOP: Runs = Runs::new();
    #[cached]
    async fn volatile() -> u32 {
        GATE.pass().await;
        dont_cache();
        1
    }
    #[cached]
    async fn top() -> u32 {
        let _run = TOP.begin();
        volatile().await
    }
    cache()
        .with(async {
            let (mut direct, mut nested) = (Box::pin(volatile()), Box::pin(top()));
            assert!(poll_once(&mut direct).await.is_none());
            assert!(poll_once(&mut nested).await.is_none());
            GATE.open(2);
            direct.await;
            nested.await;
            top().await;
            assert_eq!(TOP.count(), 2);
        })
        .await;
}

/// A parent whose own tag was invalidated can be cached again at once beside an old, still valid child; and one that
/// was built on a child from before the child's invalidation can't.
#[tokio::test]
async fn inherited_tags_keep_the_child_s_stamp_and_own_tags_have_their_own() {
    static CHILD: Runs = Runs::new();
    static PARENT: Runs = Runs::new();
    static GATE: LazyLock<Gate> = LazyLock::new(Gate::new);
    #[cached(tags = ["child"])]
    async fn child() -> usize {
        CHILD.begin().number
    }
    #[cached(tags = ["parent"])]
    async fn parent() -> usize {
        let _run = PARENT.begin();
        let value = child().await;
        GATE.pass().await;
        value
    }
    cache()
        .with(async {
            GATE.open(2);
            assert_eq!(parent().await, 1);
            invalidate_tag("parent").await.unwrap();
            assert_eq!(parent().await, 1);
            assert_eq!(parent().await, 1);
            assert_eq!((CHILD.count(), PARENT.count()), (1, 2), "cached again, beside the old child");

            invalidate_tag("parent").await.unwrap();
            let mut late = Box::pin(parent());
            assert!(poll_once(&mut late).await.is_none()); // has used the child
            invalidate_tag("child").await.unwrap();
            GATE.open(9);
            assert_eq!(late.await, 1);
            assert_eq!(parent().await, 2, "what was built on the dead child is dead");
        })
        .await;
}

#[tokio::test]
async fn sync_and_async_functions_nest_in_each_other() {
    static RUNS: Runs = Runs::new();
    #[cached(tags = ["leaf"])]
    fn leaf() -> u32 {
        RUNS.begin();
        1
    }
    #[cached]
    async fn middle() -> u32 {
        RUNS.begin();
        crate::support::give_way().await;
        leaf()
    }
    #[cached]
    fn top() -> u32 {
        RUNS.begin();
        crate::support::block_on(middle())
    }
    cache()
        .with(async {
            top();
            top();
            assert_eq!(RUNS.count(), 3);
            invalidate_tag("leaf").await.unwrap();
            top();
            assert_eq!(RUNS.count(), 6);
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn carried_tasks_and_threads_count_and_others_don_t() {
    static TOP: Runs = Runs::new();
    #[cached(tags = [("part", k)])]
    async fn part(k: u32) -> u32 {
        k
    }
    #[cached]
    async fn top() -> u32 {
        let _run = TOP.begin();
        let carried = tokio::spawn(larder::carry(part(1)));
        let thread = std::thread::spawn(larder::carry_sync(|| crate::support::block_on(part(2))));
        let cache = Cache::ambient();
        let alone = tokio::spawn(async move { cache.with(part(3)).await });
        carried.await.unwrap() + thread.join().unwrap() + alone.await.unwrap()
    }
    cache()
        .with(async {
            for (k, runs) in [(3, 1), (1, 2), (2, 3)] {
                top().await;
                invalidate_tag(("part", k)).await.unwrap();
                assert_eq!(top().await, 6);
                assert_eq!(TOP.count(), runs, "after part {k}");
            }
        })
        .await;
}

#[tokio::test]
async fn tags_are_not_gathered_from_what_a_run_leaves_behind() {
    static TOP: Runs = Runs::new();
    #[cached(local)]
    async fn leaves_a_task() -> u32 {
        let _run = TOP.begin();
        add_tag("inside");
        tokio::spawn(larder::carry(async { add_tag("too late") }));
        1
    }
    cache()
        .with(async {
            leaves_a_task().await;
            tokio::task::yield_now().await;
            invalidate_tag("too late").await.unwrap();
            leaves_a_task().await;
            assert_eq!(TOP.count(), 1);
            invalidate_tag("inside").await.unwrap();
            leaves_a_task().await;
            assert_eq!(TOP.count(), 2);
        })
        .await;
}

#[tokio::test]
async fn an_expired_child_does_not_end_its_parent() {
    static TOP: Runs = Runs::new();
    #[cached(ttl = "1s", tags = ["child"])]
    async fn child() -> u32 {
        1
    }
    #[cached(ttl = "1h")]
    async fn top() -> u32 {
        let _run = TOP.begin();
        child().await
    }
    let clock = Clock::manual();
    let cache = Cache::builder().clock(&clock).build().unwrap();
    cache
        .with(async {
            top().await;
            clock.advance(Duration::from_secs(2));
            top().await;
            assert_eq!(TOP.count(), 1);
            invalidate_tag("child").await.unwrap();
            top().await;
            assert_eq!(TOP.count(), 2, "but it still depends on it");
        })
        .await;
}

#[tokio::test]
async fn a_loop_over_the_same_child_costs_its_parent_nothing_more() {
    static TOP: Runs = Runs::new();
    #[cached(tags = [("child", k)])]
    async fn child(k: u32) -> u32 {
        k
    }
    #[cached]
    async fn top() -> u32 {
        let _run = TOP.begin();
        let mut sum = 0;
        for n in 0..10_000 {
            sum += child(n % 3).await;
        }
        sum
    }
    cache()
        .with(async {
            top().await;
            invalidate_tag(("child", 2)).await.unwrap();
            top().await;
            assert_eq!(TOP.count(), 2);
            assert!(larder::stats().tags < 30);
        })
        .await;
}

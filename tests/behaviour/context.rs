//! Functions that act on the run that calls them, and functions around calls.

use std::thread;

use larder::{
    blocking, cached, carry, carry_sync, disable, refreshing, refreshing_sync, with_scope, without_cache,
    without_cache_sync,
};

use crate::support::{Runs, alone, cache, seconds, stats_of, timed};

#[test]
fn add_tag() {
    static CHILD: Runs = Runs::new();
    #[cached]
    fn child(id: u64) -> usize {
        fn helper(id: u64) {
            larder::add_tag(("child", id));
            larder::add_tag(format!("c{id}"));
        }
        helper(id);
        CHILD.add()
    }
    static PARENT: Runs = Runs::new();
    #[cached]
    fn parent() -> usize {
        PARENT.add();
        child(1) + child(2)
    }
    cache().with_sync(|| {
        let runs = || {
            (parent(), child(1), child(2));
            (PARENT.get(), CHILD.get())
        };
        assert_eq!((runs(), runs()), ((1, 2), (1, 2)));
        blocking::invalidate_tag(("child", 2)).unwrap();
        assert_eq!(runs(), (2, 3));
        blocking::invalidate_tag("c1").unwrap();
        assert_eq!(runs(), (3, 4));
        blocking::invalidate_tag("child").unwrap();
        assert_eq!(runs(), (4, 6));
    });
}

#[tokio::test]
async fn dont_cache_counts_for_all_that_call_it() {
    static RUNS: Runs = Runs::new();
    #[cached]
    async fn child(id: u64) -> u64 {
        RUNS.add();
        if id == 1 {
            larder::dont_cache();
        }
        tokio::task::yield_now().await;
        id
    }
    static PARENT: Runs = Runs::new();
    #[cached]
    async fn parent(first: u64) -> u64 {
        PARENT.add();
        child(first).await + child(2).await
    }
    static ROOT: Runs = Runs::new();
    #[cached]
    async fn root(first: u64) -> u64 {
        ROOT.add();
        parent(first).await
    }
    let cache = cache();
    cache
        .with(async {
            assert_eq!((root(1).await, root(1).await), (3, 3));
            assert_eq!((RUNS.get(), PARENT.get(), ROOT.get()), (3, 2, 2), "the other child is cached");
            assert_eq!((root(3).await, root(3).await), (5, 5));
            assert_eq!((RUNS.get(), PARENT.get(), ROOT.get()), (4, 3, 3), "and so are calls that don't say it");
        })
        .await;
    assert_eq!(cache.stats().memory_entries, 4);
}

#[test]
fn outside_a_cached_function_they_do_nothing() {
    static RUNS: Runs = Runs::new();
    #[cached]
    fn f() -> usize {
        RUNS.add()
    }
    let (cache, clock) = timed();
    cache.with_sync(|| {
        let all = || {
            larder::add_tag("tag");
            larder::dont_cache();
            larder::set_ttl(seconds(1));
            assert!(larder::scope().is_none());
        };
        all();
        f();
        all();
        clock.advance(seconds(10));
        blocking::invalidate_tag("tag").unwrap();
        f();
    });
    assert_eq!(RUNS.get(), 1);
}

#[tokio::test]
async fn without_the_cache() {
    static RUNS: Runs = Runs::new();
    #[cached]
    async fn child() -> usize {
        RUNS.add()
    }
    #[cached]
    async fn parent() -> usize {
        child().await
    }
    let cache = cache();
    cache
        .with(async {
            assert_eq!(without_cache(parent()).await, 1);
            assert_eq!(cache.stats().memory_entries, 0, "nothing was stored");
            assert_eq!(parent().await, 2);
            assert_eq!(without_cache(async { parent().await + parent().await }).await, 3 + 4, "nothing was answered");
            assert_eq!((parent().await, child().await), (2, 2), "and nothing was forgotten");
            assert_eq!(without_cache_sync(larder::stats).memory_entries, 2);
        })
        .await;
    assert_eq!(stats_of(&cache, "parent").bypassed, 3);
    assert_eq!(RUNS.get(), 4);
}

#[test]
fn without_the_cache_inside_a_function() {
    static CHILD: Runs = Runs::new();
    #[cached(tags = ["child"])]
    fn child() -> usize {
        CHILD.add()
    }
    static PARENT: Runs = Runs::new();
    #[cached]
    fn parent() -> usize {
        PARENT.add();
        without_cache_sync(child)
    }
    cache().with_sync(|| {
        assert_eq!((child(), parent(), parent()), (1, 2, 2), "the parent is cached as ever");
        blocking::invalidate_tag("child").unwrap();
        assert_eq!((parent(), PARENT.get()), (3, 2), "and knows what it was computed from");
    });
}

#[tokio::test]
async fn refreshed() {
    static CHILD: Runs = Runs::new();
    #[cached]
    async fn child() -> usize {
        CHILD.add()
    }
    static PARENT: Runs = Runs::new();
    #[cached]
    async fn root() -> usize {
        PARENT.add() * 10 + child().await
    }
    cache()
        .with(async {
            assert_eq!((root().await, root().await), (11, 11));
            assert_eq!(refreshing(root()).await, 22, "nested ones too");
            assert_eq!((root().await, child().await), (22, 2), "what was there is replaced");
            assert_eq!(refreshing(child()).await, 3);
            assert_eq!((CHILD.get(), PARENT.get()), (3, 2));
        })
        .await;
}

#[test]
fn refreshed_sync() {
    static RUNS: Runs = Runs::new();
    #[cached]
    fn f() -> usize {
        RUNS.add()
    }
    cache().with_sync(|| {
        assert_eq!((f(), refreshing_sync(f), f()), (1, 2, 2));
    });
    assert_eq!(RUNS.get(), 2);
}

#[test]
fn disabled_in_the_whole_process() {
    if !alone("context::disabled_in_the_whole_process") {
        return;
    }
    static RUNS: Runs = Runs::new();
    #[cached]
    fn f() -> usize {
        RUNS.add()
    }
    assert_eq!((f(), f()), (1, 1));
    let off = disable();
    assert_eq!((f(), thread::spawn(f).join().unwrap()), (2, 3));
    let also_off = disable();
    drop(off);
    assert_eq!(f(), 4, "while any guard lives");
    drop(also_off);
    assert_eq!((f(), f()), (1, 1), "nothing was stored meanwhile, and nothing forgotten");
    assert_eq!(RUNS.get(), 4);
}

#[tokio::test]
async fn carried_into_tasks() {
    static LEAF: Runs = Runs::new();
    #[cached(tags = ["leaf"])]
    async fn leaf() -> String {
        LEAF.add();
        larder::scope().unwrap().to_string()
    }
    static CARRIED: Runs = Runs::new();
    #[cached]
    async fn carried() -> String {
        CARRIED.add();
        tokio::spawn(carry(leaf())).await.unwrap()
    }
    static ALONE: Runs = Runs::new();
    #[cached]
    async fn left_alone() -> String {
        ALONE.add();
        tokio::spawn(leaf()).await.unwrap()
    }
    let cache = cache();
    cache
        .with(with_scope("a", async {
            assert_eq!((carried().await, left_alone().await), ("a".into(), "".into()));
            larder::invalidate_tag("leaf").await.unwrap();
            (carried().await, left_alone().await);
            assert_eq!((CARRIED.get(), ALONE.get()), (2, 1), "only the one that took its context along depends on it");
            assert_eq!(LEAF.get(), 3, "the other one acts on the cache of the process");
        }))
        .await;
}

#[test]
fn carried_into_threads() {
    static LEAF: Runs = Runs::new();
    #[cached(tags = ["leaf"])]
    fn leaf(id: u64) -> u64 {
        LEAF.add();
        id
    }
    static ROOT: Runs = Runs::new();
    #[cached]
    fn root() -> u64 {
        ROOT.add();
        thread::scope(|scope| {
            let threads = [1, 2].map(|id| scope.spawn(carry_sync(move || leaf(id))));
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        })
    }
    cache().with_sync(|| {
        assert_eq!((root(), root(), leaf(1)), (3, 3, 1));
        assert_eq!((ROOT.get(), LEAF.get()), (1, 2));
        blocking::invalidate_tag("leaf").unwrap();
        assert_eq!((root(), ROOT.get()), (3, 2));
    });
}

#[tokio::test]
async fn nothing_is_refreshed_without_a_cache() {
    static RUNS: Runs = Runs::new();
    #[cached]
    async fn f() -> usize {
        RUNS.add()
    }
    cache()
        .with(async {
            assert_eq!(f().await, 1);
            assert_eq!(without_cache(refreshing(f())).await, 2);
            assert_eq!(f().await, 1);
            assert_eq!(refreshing(without_cache(f())).await, 3);
            assert_eq!(f().await, 1);
        })
        .await;
}

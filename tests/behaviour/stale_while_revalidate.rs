//! `stale_while_revalidate`: the old value while one run in the background renews it.

use std::sync::Arc;

use larder::{Cache, cached};

use crate::support::{Gate, Runs, seconds, stats_of, timed, until, until_sync};

#[tokio::test]
async fn one_background_run_for_many_callers() {
    static RUNS: Runs = Runs::new();
    static GATE: Gate = Gate::new();
    #[cached(ttl = "10s", stale_while_revalidate = "1m")]
    async fn f(name: &str, ids: &[u64]) -> usize {
        let run = RUNS.add();
        if run > 1 {
            GATE.pass().await;
        }
        run + name.len() + ids.len()
    }
    let (cache, clock) = timed();
    let call = || cache.with(f("ab", &[1, 2, 3]));
    assert_eq!(call().await, 6);
    clock.advance(seconds(10));
    for _ in 0..20 {
        assert_eq!(call().await, 6, "the old value at once");
    }
    GATE.arrival().await;
    assert_eq!(call().await, 6);
    assert_eq!(RUNS.get(), 2);
    GATE.open(1);
    until(|| cache.stats().flights == 0).await;
    assert_eq!((call().await, RUNS.get()), (7, 2));
    let stats = stats_of(&cache, "f");
    assert_eq!((stats.background, stats.served_stale, stats.misses), (1, 21, 1));
}

#[tokio::test]
async fn beyond_its_time_callers_wait() {
    static RUNS: Runs = Runs::new();
    #[cached(ttl = "10s", stale_while_revalidate = "1m")]
    async fn f() -> usize {
        RUNS.add()
    }
    let (cache, clock) = timed();
    assert_eq!(cache.with(f()).await, 1);
    clock.advance(seconds(70));
    assert_eq!(cache.with(f()).await, 2);
    assert_eq!(stats_of(&cache, "f").background, 0);
}

#[tokio::test]
async fn an_invalidation_during_the_run_wins() {
    static RUNS: Runs = Runs::new();
    static GATE: Gate = Gate::new();
    #[cached(ttl = "10s", stale_while_revalidate = "1m", tags = ["swr-during"])]
    async fn f() -> usize {
        let run = RUNS.add();
        if run == 2 {
            GATE.pass().await;
        }
        run
    }
    let (cache, clock) = timed();
    assert_eq!(cache.with(f()).await, 1);
    clock.advance(seconds(10));
    assert_eq!(cache.with(f()).await, 1);
    GATE.arrival().await;
    cache.invalidate_tag("swr-during").await.unwrap();
    assert_eq!(cache.with(f()).await, 3, "neither the old value nor that of the run that began before");
    GATE.open(1);
    until(|| cache.stats().flights == 0).await;
    assert_eq!((cache.with(f()).await, RUNS.get()), (3, 3));
}

#[tokio::test]
async fn an_invalidated_value_is_never_served() {
    static RUNS: Runs = Runs::new();
    #[cached(ttl = "10s", stale_while_revalidate = "1m")]
    async fn f() -> usize {
        RUNS.add()
    }
    let (cache, clock) = timed();
    cache
        .with(async {
            assert_eq!(f().await, 1);
            clock.advance(seconds(10));
            invalidate_f().await.unwrap();
            assert_eq!(f().await, 2);
        })
        .await;
}

#[tokio::test]
async fn a_failure_leaves_the_old_value_its_declared_life() {
    static RUNS: Runs = Runs::new();
    #[cached(ttl = "10s", stale_while_revalidate = "1m")]
    async fn f() -> Result<usize, String> {
        let run = RUNS.add();
        if run == 1 { Ok(run) } else { Err(format!("run {run}")) }
    }
    let (cache, clock) = timed();
    assert_eq!(cache.with(f()).await, Ok(1));
    clock.advance(seconds(69));
    assert_eq!(cache.with(f()).await, Ok(1));
    until(|| RUNS.get() == 2 && cache.stats().flights == 0).await;
    assert_eq!(stats_of(&cache, "f").failures, 1);
    clock.advance(seconds(1));
    assert_eq!(cache.with(f()).await, Err("run 3".into()));
}

#[test]
fn sync_functions_are_renewed_on_a_thread() {
    static RUNS: Runs = Runs::new();
    #[cached(ttl = "10s", stale_while_revalidate = "1m")]
    fn f(name: &str) -> (usize, bool) {
        assert_eq!(name, "a");
        (RUNS.add(), std::thread::current().name() == Some("larder-refresh"))
    }
    let (cache, clock) = timed();
    cache.with_sync(|| {
        assert_eq!(f("a"), (1, false));
        clock.advance(seconds(10));
        assert_eq!(f("a"), (1, false));
        until_sync(|| RUNS.get() == 2 && cache.stats().flights == 0);
        assert_eq!(f("a"), (2, true));
    });
}

#[test]
fn a_run_ends_with_its_runtime_and_the_next_call_takes_over() {
    static RUNS: Runs = Runs::new();
    #[cached(ttl = "10s", stale_while_revalidate = "1m")]
    async fn f() -> usize {
        let run = RUNS.add();
        if run == 2 {
            std::future::pending::<()>().await;
        }
        run
    }
    let (cache, clock) = timed();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime().block_on(async {
        assert_eq!(cache.with(f()).await, 1);
        clock.advance(seconds(10));
        assert_eq!(cache.with(f()).await, 1);
        until(|| RUNS.get() == 2).await;
    });
    assert_eq!(cache.stats().flights, 0, "the runtime took the run along");
    runtime().block_on(async {
        assert_eq!((cache.with(f()).await, stats_of(&cache, "f").background), (1, 2));
        until(|| RUNS.get() == 3 && cache.stats().flights == 0).await;
        assert_eq!(cache.with(f()).await, 3);
    });
}

#[tokio::test]
async fn the_context_is_the_callers_but_it_reports_to_no_parent() {
    static RUNS: Runs = Runs::new();
    static PARENTS: Runs = Runs::new();
    #[cached(ttl = "10s", stale_while_revalidate = "1m")]
    async fn child() -> (usize, String) {
        let run = RUNS.add();
        if run > 1 {
            larder::add_tag("swr-child-later");
            larder::dont_cache();
        }
        (run, larder::scope().unwrap().name().to_owned())
    }
    #[cached]
    async fn parent() -> (usize, String) {
        PARENTS.add();
        let answer = child().await;
        until(|| RUNS.get() == 2).await;
        answer
    }
    let (cache, clock) = timed();
    let scoped = || cache.with(larder::with_scope("tenant", parent()));
    cache.with(larder::with_scope("tenant", child())).await;
    clock.advance(seconds(10));
    assert_eq!(scoped().await, (1, "tenant".to_owned()));
    cache.invalidate_tag("swr-child-later").await.unwrap();
    assert_eq!(scoped().await, (1, "tenant".to_owned()));
    assert_eq!(PARENTS.get(), 1, "what the background run added is not the parent's");
}

struct Shop {
    name: String,
    runs: Runs,
}

impl Shop {
    #[cached(key = (self.name, id), ttl = "10s", stale_while_revalidate = "1m")]
    async fn price(self: &Arc<Self>, id: u64) -> String {
        let run = self.runs.add();
        format!("{} {id} {run}", self.name)
    }

    #[cached(skip(self), ttl = "10s", stale_while_revalidate = "1m")]
    fn constant(&self, id: u64) -> u64 {
        id
    }
}

impl Clone for Shop {
    fn clone(&self) -> Self {
        Self { name: self.name.clone(), runs: Runs::new() }
    }
}

#[tokio::test]
async fn receivers_that_the_body_changes() {
    #[derive(Clone)]
    struct Words(Vec<u64>);
    impl Words {
        #[deny(unused_mut)]
        #[cached(key = self.0, ttl = "10s", stale_while_revalidate = "1m")]
        fn longer(mut self) -> Vec<u64> {
            self.0.push(1);
            self.0
        }
        #[deny(unused_mut)]
        #[cached(key = self.0, ttl = "10s", stale_while_revalidate = "1m")]
        async fn boxed(mut self: Box<Self>) -> Vec<u64> {
            self.0.push(2);
            self.0
        }
    }
    let words = Words(vec![0]);
    assert_eq!((words.clone().longer(), Box::new(words).boxed().await), (vec![0, 1], vec![0, 2]));
}

#[tokio::test]
async fn methods() {
    let shop = Arc::new(Shop { name: "a".into(), runs: Runs::new() });
    let (cache, clock) = timed();
    assert_eq!(cache.with(shop.price(1)).await, "a 1 1");
    assert_eq!(cache.with_sync(|| shop.constant(4)), 4);
    clock.advance(seconds(10));
    assert_eq!(cache.with(shop.price(1)).await, "a 1 1");
    until(|| shop.runs.get() == 2 && cache.stats().flights == 0).await;
    assert_eq!(cache.with(shop.price(1)).await, "a 1 2");
}

#[cfg(feature = "msgpack")]
#[tokio::test]
async fn one_background_run_across_processes() {
    static RUNS: Runs = Runs::new();
    static GATE: Gate = Gate::new();
    #[cached(ttl = "10s", stale_while_revalidate = "1m")]
    async fn f() -> usize {
        let run = RUNS.add();
        if run > 1 {
            GATE.pass().await;
        }
        run
    }
    let (first, second, clock) = crate::support::two_processes();
    assert_eq!(first.with(f()).await, 1);
    clock.advance(seconds(10));
    assert_eq!(second.with(f()).await, 1, "an old value of the backend serves as well");
    assert_eq!(first.with(f()).await, 1);
    GATE.arrival().await;
    tokio::task::yield_now().await;
    assert_eq!((first.with(f()).await, second.with(f()).await, RUNS.get()), (1, 1, 2));
    GATE.open(1);
    until(|| first.stats().flights + second.stats().flights == 0).await;
    assert_eq!((first.with(f()).await, second.with(f()).await, RUNS.get()), (2, 2, 2));
}

#[cfg(feature = "msgpack")]
#[tokio::test]
async fn without_memory_the_old_value_serves_during_the_run() {
    static RUNS: Runs = Runs::new();
    static GATE: Gate = Gate::new();
    #[cached(ttl = "10s", stale_while_revalidate = "1m")]
    async fn f() -> usize {
        let run = RUNS.add();
        if run > 1 {
            GATE.pass().await;
        }
        run
    }
    let clock = larder::Clock::manual();
    let shared = larder::reference::SharedMemory::with_clock(&clock);
    let cache = Cache::builder().clock(&clock).backend(shared).without_memory().build().unwrap();
    assert_eq!(cache.with(f()).await, 1);
    clock.advance(seconds(10));
    assert_eq!(cache.with(f()).await, 1);
    GATE.arrival().await;
    for _ in 0..3 {
        assert_eq!(cache.with(f()).await, 1, "nobody waits for the run");
    }
    cache.with(invalidate_f()).await.unwrap();
    GATE.open(2);
    assert_eq!(cache.with(f()).await, 3, "an invalidated value is not served");
    until(|| cache.stats().flights == 0).await;
    assert_eq!((cache.with(f()).await, RUNS.get()), (3, 3));
}

#[tokio::test]
async fn runs_that_fail_are_not_repeated_at_once() {
    static RUNS: Runs = Runs::new();
    #[cached(ttl = "10s", stale_while_revalidate = "1m")]
    async fn f() -> Result<usize, String> {
        match RUNS.add() {
            run @ (1 | 5) => Ok(run),
            3 => panic!("the third run panics"),
            run => Err(format!("run {run}")),
        }
    }
    let (cache, clock) = timed();
    let calls = async |runs: usize| {
        for _ in 0..5 {
            let _ = cache.with(f()).await;
            until(|| cache.stats().flights == 0).await;
        }
        assert_eq!(RUNS.get(), runs);
    };
    calls(1).await;
    clock.advance(seconds(10));
    calls(2).await;
    clock.advance(crate::support::millis(99));
    calls(2).await;
    clock.advance(crate::support::millis(1));
    calls(3).await;
    clock.advance(crate::support::millis(199));
    calls(3).await;
    clock.advance(crate::support::millis(1));
    calls(4).await;
    clock.advance(crate::support::millis(400));
    calls(5).await;
    assert_eq!(cache.with(f()).await, Ok(5));
    clock.advance(seconds(10));
    calls(6).await;
}

#[tokio::test]
async fn a_renewal_that_is_not_to_be_stored_ends_the_old_value() {
    static RUNS: Runs = Runs::new();
    #[cached(ttl = "10s", stale_while_revalidate = "1m", cache_none = false)]
    async fn f() -> Option<usize> {
        Some(RUNS.add()).filter(|run| run % 2 == 1)
    }
    let (cache, clock) = timed();
    assert_eq!(cache.with(f()).await, Some(1));
    clock.advance(seconds(10));
    assert_eq!(cache.with(f()).await, Some(1));
    until(|| cache.stats().flights == 0 && RUNS.get() == 2).await;
    assert_eq!((cache.with(f()).await, RUNS.get()), (Some(3), 3));
}

#[cfg(feature = "msgpack")]
#[tokio::test]
async fn so_it_does_where_only_a_backend_has_it() {
    static RUNS: Runs = Runs::new();
    #[cached(ttl = "10s", stale_while_revalidate = "1m", memory_ttl = "1s", cache_none = false)]
    async fn f() -> Option<usize> {
        Some(RUNS.add()).filter(|run| run % 2 == 1)
    }
    let (first, second, clock) = crate::support::two_processes();
    assert_eq!(first.with(f()).await, Some(1));
    clock.advance(seconds(10));
    assert_eq!(second.with(f()).await, Some(1));
    until(|| second.stats().flights == 0 && RUNS.get() == 2).await;
    assert_eq!((first.with(f()).await, RUNS.get()), (Some(3), 3));
}

/// A destructor that runs while a panic unwinds may let others' runs go on. They haven't failed by that, so the next one begins at
/// once.
#[test]
fn a_background_run_that_goes_on_while_a_panic_unwinds_has_not_failed() {
    static RUNS: Runs = Runs::new();
    #[cached(ttl = "10s", stale_while_revalidate = "100s")]
    async fn f() -> usize {
        let run = RUNS.add();
        if run == 2 {
            std::future::pending::<()>().await;
        }
        run
    }
    struct LetsRunsGoOn<'a>(&'a Cache, &'a tokio::runtime::Runtime);
    impl Drop for LetsRunsGoOn<'_> {
        fn drop(&mut self) {
            self.1.block_on(async {
                assert_eq!(self.0.with(f()).await, 1);
                until(|| RUNS.get() == 2).await;
            });
        }
    }
    let (cache, clock) = timed();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let first = runtime();
    assert_eq!(first.block_on(cache.with(f())), 1);
    clock.advance(seconds(10));
    let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _lets = LetsRunsGoOn(&cache, &first);
        std::panic::panic_any("of something else");
    }));
    assert!(unwound.is_err());
    drop(first);
    runtime().block_on(async {
        assert_eq!((cache.with(f()).await, stats_of(&cache, "f").background), (1, 2));
        until(|| RUNS.get() == 3 && cache.stats().flights == 0).await;
        assert_eq!(cache.with(f()).await, 3);
    });
}

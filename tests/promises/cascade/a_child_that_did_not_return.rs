//! What a parent makes of a child that doesn't return depends on how far the child came.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;

/// Polls it once, and drops it.
async fn give_up<F: Future>(child: F) -> Option<F::Output> {
    poll_once(&mut Box::pin(child)).await
}

/// Whether the parent runs again after each of these was invalidated, and not for anything else.
async fn depends<F: Future>(parent: impl Fn() -> F, runs: &Runs, tags: &[&str]) {
    parent().await;
    invalidate_tag("of nobody").await.unwrap();
    parent().await;
    let before = runs.count();
    for (round, tag) in tags.iter().enumerate() {
        invalidate_tag(*tag).await.unwrap();
        parent().await;
        assert_eq!(runs.count(), before + round + 1, "after `{tag}` was invalidated");
    }
    parent().await;
    assert_eq!(runs.count(), before + tags.len(), "it was stored");
}

#[test]
fn as_it_panicked() {
    #[cached(tags = ["panics: leaf"])]
    fn leaf() -> u32 {
        1
    }
    #[cached(tags = ["panics: child"])]
    fn child() -> u32 {
        add_tag("panics: added");
        leaf();
        panic!("on purpose")
    }
    #[cached]
    fn parent() -> u32 {
        let _run = RUNS.begin();
        catch_unwind(AssertUnwindSafe(child)).unwrap_or(0)
    }
    static RUNS: Runs = Runs::new();
    let tags = ["panics: leaf", "panics: child", "panics: added"];
    crate::support::block_on(cache().with(depends(|| async { parent() }, &RUNS, &tags)));
}

#[test]
fn as_what_makes_its_tags_panicked() {
    #[cached(tags = ["makes tags: leaf"])]
    fn leaf() -> u32 {
        1
    }
    fn named() -> &'static str {
        add_tag("makes tags: no tag of the caller's");
        leaf();
        panic!("on purpose")
    }
    #[cached(tags = ["makes tags: child", named()])]
    fn child() -> u32 {
        2
    }
    #[cached]
    fn parent() -> u32 {
        let _run = RUNS.begin();
        catch_unwind(AssertUnwindSafe(child)).unwrap_or(0)
    }
    static RUNS: Runs = Runs::new();
    let tags = ["makes tags: leaf"];
    crate::support::block_on(cache().with(depends(|| async { parent() }, &RUNS, &tags)));
}

#[tokio::test]
async fn as_it_was_cancelled() {
    #[cached(tags = ["cancelled: leaf"])]
    async fn leaf() -> u32 {
        1
    }
    #[cached(tags = ["cancelled: child"])]
    async fn child() -> u32 {
        leaf().await;
        std::future::pending().await
    }
    #[cached]
    async fn between() -> u32 {
        child().await
    }
    #[cached]
    async fn parent() -> u32 {
        let _run = RUNS.begin();
        give_up(between()).await.unwrap_or(0)
    }
    static RUNS: Runs = Runs::new();
    cache().with(depends(parent, &RUNS, &["cancelled: leaf", "cancelled: child"])).await;
}

#[tokio::test]
async fn as_it_waited_for_another_run() {
    #[cached(tags = ["waited: child"])]
    async fn child() -> u32 {
        std::future::pending().await
    }
    #[cached]
    async fn parent() -> u32 {
        let _run = RUNS.begin();
        give_up(child()).await.unwrap_or(0)
    }
    static RUNS: Runs = Runs::new();
    cache()
        .with(async {
            let mut leader = Box::pin(child());
            assert!(poll_once(&mut leader).await.is_none());
            depends(parent, &RUNS, &["waited: child"]).await;
            drop(leader);
        })
        .await;
}

/// A run that may be left to the background has its results for nobody in particular.
#[test]
fn as_its_run_in_the_background_panicked() {
    #[cached(tags = ["background panics: leaf"])]
    fn leaf() -> u32 {
        1
    }
    #[cached(ttl = "1s", stale_if_error = "1h", timeout = "1h", tags = ["background panics: child"])]
    fn child() -> Result<u32, String> {
        if CHILD.begin().number > 1 {
            add_tag("background panics: added");
            leaf();
            // By then the old value is of no use to anybody, so the caller gets the panic.
            CLOCK.advance(Duration::from_secs(2 * 60 * 60));
            panic!("on purpose")
        }
        Ok(1)
    }
    #[cached]
    fn parent() -> u32 {
        let _run = RUNS.begin();
        catch_unwind(AssertUnwindSafe(child)).map_or(0, Result::unwrap)
    }
    static RUNS: Runs = Runs::new();
    static CHILD: Runs = Runs::new();
    static CLOCK: LazyLock<ManualClock> = LazyLock::new(Clock::manual);
    let cache = Cache::builder().clock(&*CLOCK).build().unwrap();
    let tags = ["background panics: leaf", "background panics: child", "background panics: added"];
    crate::support::block_on(cache.with(async {
        assert_eq!(child(), Ok(1));
        CLOCK.advance(Duration::from_secs(1));
        depends(|| async { parent() }, &RUNS, &tags).await;
    }));
}

/// Then nothing of that run is in what the caller is given.
#[test]
fn as_its_run_in_the_background_panicked_beside_an_old_value() {
    #[cached(tags = ["old beside a panic: leaf"])]
    fn leaf() -> u32 {
        1
    }
    #[cached(ttl = "1s", stale_if_error = "1h", timeout = "1h", tags = ["old beside a panic: child"])]
    fn child() -> Result<u32, String> {
        if CHILD.begin().number > 1 {
            leaf();
            panic!("on purpose")
        }
        Ok(1)
    }
    #[cached]
    fn parent() -> u32 {
        let _run = RUNS.begin();
        catch_unwind(AssertUnwindSafe(child)).map_or(0, Result::unwrap)
    }
    static RUNS: Runs = Runs::new();
    static CHILD: Runs = Runs::new();
    let clock = Clock::manual();
    let cache = Cache::builder().clock(&clock).build().unwrap();
    crate::support::block_on(cache.with(async {
        assert_eq!(child(), Ok(1));
        clock.advance(Duration::from_secs(1));
        assert_eq!(parent(), 1, "the old value");
        invalidate_tag("old beside a panic: leaf").await.unwrap();
        assert_eq!((parent(), RUNS.count()), (1, 1));
        invalidate_tag("old beside a panic: child").await.unwrap();
        assert_eq!((parent(), RUNS.count()), (0, 2), "there is none any more");
    }));
}

#[tokio::test]
async fn as_it_waited_for_its_run_in_the_background() {
    #[cached(ttl = "1s", stale_if_error = "1h", timeout = "1h", tags = ["background: child"])]
    async fn child() -> Result<u32, String> {
        if CHILD.begin().number > 1 {
            std::future::pending::<()>().await;
        }
        Ok(1)
    }
    #[cached]
    async fn parent() -> u32 {
        let _run = RUNS.begin();
        give_up(child()).await.map_or(0, Result::unwrap)
    }
    static RUNS: Runs = Runs::new();
    static CHILD: Runs = Runs::new();
    let clock = Clock::manual();
    let cache = Cache::builder().clock(&clock).build().unwrap();
    cache
        .with(async {
            assert_eq!(child().await, Ok(1));
            clock.advance(Duration::from_secs(1));
            depends(parent, &RUNS, &["background: child"]).await;
        })
        .await;
}

#[tokio::test]
async fn as_it_waited_for_a_backend() {
    #[cached(tags = ["backend: child"])]
    async fn child() -> u32 {
        std::future::pending().await
    }
    #[cached]
    async fn parent() -> u32 {
        let _run = RUNS.begin();
        give_up(child()).await.unwrap_or(0)
    }
    static RUNS: Runs = Runs::new();
    let (one, other, _shared) = two_processes();
    // Holds the lease.
    let mut leader = Box::pin(one.with(child()));
    assert!(poll_once(&mut leader).await.is_none());
    other.with(depends(parent, &RUNS, &["backend: child"])).await;
}

#[tokio::test]
async fn whose_tags_were_made_of_others() {
    #[cached(tags = ["made of"], local)]
    fn name() -> &'static str {
        "named"
    }
    #[cached(tags = [(name(), 1)])]
    async fn child() -> u32 {
        std::future::pending().await
    }
    #[cached]
    async fn parent() -> u32 {
        let _run = RUNS.begin();
        give_up(child()).await.unwrap_or(0)
    }
    static RUNS: Runs = Runs::new();
    cache()
        .with(async {
            depends(parent, &RUNS, &["made of", "named"]).await;
            // The same if the child is only waited for.
            let mut leader = Box::pin(child());
            assert!(poll_once(&mut leader).await.is_none());
            depends(parent, &RUNS, &["made of", "named"]).await;
        })
        .await;
}

#[tokio::test]
async fn though_it_had_said_that_nothing_is_to_be_cached() {
    #[cached]
    async fn child() -> u32 {
        dont_cache();
        std::future::pending().await
    }
    #[cached]
    async fn parent() -> u32 {
        let _run = RUNS.begin();
        give_up(child()).await.unwrap_or(0)
    }
    static RUNS: Runs = Runs::new();
    cache()
        .with(async {
            parent().await;
            parent().await;
        })
        .await;
    assert_eq!(RUNS.count(), 2);
}

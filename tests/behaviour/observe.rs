//! `observe` and `observe_sync`: where a value came from.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use larder::{Source, cached, observe, observe_sync};

use crate::support::{Gate, cache, seconds, timed, until};

#[test]
fn a_run_and_a_hit() {
    #[cached(ttl = "10s", tags = [("user", id)])]
    fn user(id: u64) -> u64 {
        id
    }
    let (cache, clock) = timed();
    cache.with_sync(|| {
        let ran = observe_sync(|| user(7));
        assert_eq!((ran.value, ran.source, ran.stale), (7, Source::Ran, false));
        assert_eq!((ran.age, ran.expires_in), (Duration::ZERO, Some(seconds(10))));
        clock.advance(seconds(4));
        for _ in 0..3 {
            let hit = observe_sync(|| user(7));
            assert_eq!((hit.value, hit.source, hit.stale), (7, Source::Memory, false));
            assert_eq!((hit.age, hit.expires_in), (seconds(4), Some(seconds(6))));
            assert!(hit.tags.contains(("user", 7)) && hit.tags.contains("user") && !hit.tags.contains(("user", 8)));
        }
    });
}

#[tokio::test]
async fn of_an_async_function() {
    #[cached(tags = ["users"])]
    async fn user(id: u64) -> u64 {
        tokio::task::yield_now().await;
        id
    }
    let cache = cache();
    let observed = || cache.with(observe(user(1)));
    let (ran, hit) = (observed().await, observed().await);
    assert_eq!((ran.source, hit.source), (Source::Ran, Source::Memory));
    assert_eq!((ran.expires_in, hit.expires_in), (None, None), "it has no ttl");
    assert!(hit.tags.contains("users"));
}

#[test]
fn tags_have_names() {
    #[cached(tags = [("names of tags", id, "posts")])]
    fn posts(id: u64) -> u64 {
        id
    }
    cache().with_sync(|| {
        let seen = observe_sync(|| posts(7));
        let names: Vec<_> = seen.tags.iter().filter_map(|tag| tag.name).map(ToString::to_string).collect();
        assert!(names.iter().any(|name| name == "names of tags/7/posts"), "{names:?}");
        assert!(names.iter().any(|name| name == "names of tags/7"), "{names:?}");
        assert!(seen.tags.len() > names.len(), "its key and function have no name");
        assert!(seen.tags.iter().all(|tag| tag.name.is_none_or(|name| name.id() == tag.id)));
    });
}

/// What the bodies call isn't called by the block.
#[test]
fn a_childs_ttl_does_not_limit_its_parent() {
    #[cached(ttl = "1s", tags = ["child"])]
    fn child() -> u64 {
        1
    }
    #[cached(ttl = "10s")]
    fn parent() -> u64 {
        child()
    }
    let (cache, clock) = timed();
    cache.with_sync(|| {
        child();
        let ran = observe_sync(parent);
        assert_eq!((ran.source, ran.expires_in), (Source::Ran, Some(seconds(10))), "the child's hit isn't the block's");
        clock.advance(seconds(2));
        let hit = observe_sync(parent);
        assert_eq!((hit.source, hit.expires_in, hit.stale), (Source::Memory, Some(seconds(8)), false));
        assert!(hit.tags.contains("child"), "but it depends on it");
    });
}

#[test]
fn a_block_is_as_bad_as_its_worst_call() {
    #[cached(ttl = "10s", tags = [("of a block", id)])]
    fn long(id: u64) -> u64 {
        id
    }
    #[cached(ttl = "3s")]
    fn short() -> u64 {
        1
    }
    let (cache, clock) = timed();
    cache.with_sync(|| {
        long(1);
        clock.advance(seconds(2));
        short();
        clock.advance(seconds(1));
        let hits = observe_sync(|| long(1) + short());
        assert_eq!((hits.source, hits.age, hits.expires_in), (Source::Memory, seconds(3), Some(seconds(2))));
        let mixed = observe_sync(|| (0..200).map(|round| long(1 + round % 2) + short()).sum::<u64>());
        assert_eq!((mixed.source, mixed.age, mixed.expires_in), (Source::Ran, seconds(3), Some(seconds(2))));
        assert!(mixed.tags.contains(("of a block", 1)) && mixed.tags.contains(("of a block", 2)));
        let none = observe_sync(|| 1);
        assert_eq!((none.source, none.age, none.expires_in), (Source::Uncached, Duration::ZERO, None));
        assert!(none.tags.is_empty());
    });
}

#[test]
fn blocks_within_blocks() {
    #[cached(ttl = "10s")]
    fn one(id: u64) -> u64 {
        id
    }
    #[cached(ttl = "20s")]
    fn outer() -> Option<u64> {
        one(1);
        let seen = observe_sync(|| one(1));
        assert_eq!((seen.source, seen.expires_in), (Source::Memory, Some(seconds(10))));
        one(1);
        observe_sync(|| one(1)).expires_in.map(|left| left.as_secs())
    }
    let (cache, _clock) = timed();
    cache.with_sync(|| {
        let both = observe_sync(|| {
            let inner = observe_sync(|| one(1));
            (inner.source, observe_sync(|| one(1)).source)
        });
        assert_eq!((both.value, both.source), ((Source::Ran, Source::Memory), Source::Ran));
        let in_run = observe_sync(outer);
        assert_eq!((in_run.value, in_run.source, in_run.expires_in), (Some(10), Source::Ran, Some(seconds(20))));
        // Observed or not, the run depends on what it has used.
        invalidate_one(1).unwrap();
        assert_eq!(observe_sync(outer).source, Source::Ran);
    });
}

#[test]
fn what_is_not_kept() {
    static FAILS: AtomicBool = AtomicBool::new(true);
    #[cached(ttl = "10s")]
    fn fallible() -> Result<u64, String> {
        if FAILS.load(Ordering::SeqCst) { Err("no".to_owned()) } else { Ok(1) }
    }
    #[cached(ttl = "10s")]
    fn unstored() -> u64 {
        larder::dont_cache();
        1
    }
    #[cached(ttl = "10s")]
    fn plain() -> u64 {
        1
    }
    let (cache, _clock) = timed();
    cache.with_sync(|| {
        let uncached = (Source::Uncached, Some(Duration::ZERO));
        let failed = observe_sync(fallible);
        assert_eq!((failed.source, failed.expires_in), uncached);
        assert!(failed.value.is_err());
        let seen = observe_sync(unstored);
        assert_eq!((seen.source, seen.expires_in), uncached);
        plain();
        let seen = larder::without_cache_sync(|| observe_sync(plain));
        assert_eq!((seen.source, seen.expires_in), uncached);
        let seen = observe_sync(|| larder::without_cache_sync(plain));
        assert_eq!((seen.source, seen.expires_in), uncached);
        let refreshed = observe_sync(|| larder::refreshing_sync(plain));
        assert_eq!((refreshed.source, refreshed.expires_in), (Source::Ran, Some(seconds(10))));
    });
}

#[tokio::test]
async fn a_call_that_waits() {
    static GATE: Gate = Gate::new();
    #[cached(ttl = "10s")]
    async fn slow() -> u64 {
        GATE.pass().await;
        1
    }
    let (cache, _clock) = timed();
    let first = tokio::spawn({
        let cache = cache.clone();
        async move { cache.with(observe(slow())).await.source }
    });
    GATE.arrival().await;
    let waits = cache.with(observe(slow()));
    let (waited, ()) = tokio::join!(waits, async { GATE.open(1) });
    assert_eq!((waited.source, waited.expires_in), (Source::Waited, Some(seconds(10))));
    assert_eq!(first.await.unwrap(), Source::Ran);
}

#[test]
fn the_memory_ttl_is_not_the_functions() {
    #[cached(ttl = "10s", memory_ttl = "2s")]
    fn limited() -> u64 {
        1
    }
    #[cached(memory_ttl = "2s")]
    fn endless() -> u64 {
        1
    }
    let (cache, clock) = timed();
    cache.with_sync(|| {
        (limited(), endless());
        clock.advance(seconds(1));
        let (limited, endless) = (observe_sync(limited), observe_sync(endless));
        assert_eq!((limited.source, limited.expires_in), (Source::Memory, Some(seconds(9))));
        assert_eq!((endless.source, endless.expires_in, endless.age), (Source::Memory, None, seconds(1)));
    });
}

#[tokio::test]
async fn an_old_value() {
    static FAILS: AtomicBool = AtomicBool::new(false);
    #[cached(ttl = "10s", stale_if_error = "1m")]
    async fn fallible() -> Result<u64, String> {
        if FAILS.load(Ordering::SeqCst) { Err("no".to_owned()) } else { Ok(1) }
    }
    #[cached(ttl = "10s", stale_while_revalidate = "1m")]
    async fn renewed() -> u64 {
        1
    }
    let (cache, clock) = timed();
    cache
        .with(async {
            let _ = (fallible().await, renewed().await);
            clock.advance(seconds(15));
            FAILS.store(true, Ordering::SeqCst);
            for _ in 0..2 {
                let old = observe(fallible()).await;
                assert_eq!((old.value, old.source, old.stale), (Ok(1), Source::Memory, true));
                assert_eq!((old.age, old.expires_in), (seconds(15), Some(Duration::ZERO)));
            }
            let old = observe(renewed()).await;
            assert_eq!((old.source, old.stale, old.age), (Source::Memory, true, seconds(15)));
            until(|| cache.stats().function("renewed").is_some_and(|stats| stats.runs == 2)).await;
            until(|| cache.stats().flights == 0).await;
            let new = observe(renewed()).await;
            assert_eq!((new.source, new.stale, new.age), (Source::Memory, false, Duration::ZERO));
        })
        .await;
}

/// The run that goes on in the background is the block's answer only if it comes in time.
#[tokio::test]
async fn under_a_timeout() {
    static GATE: Gate = Gate::new();
    static WAITS: AtomicBool = AtomicBool::new(false);
    #[cached(ttl = "10s", stale_if_error = "1m", timeout = "20ms")]
    async fn slow() -> Result<u64, String> {
        if WAITS.load(Ordering::SeqCst) {
            GATE.pass().await;
        }
        Ok(1)
    }
    let (cache, clock) = timed();
    cache
        .with(async {
            slow().await.unwrap();
            clock.advance(seconds(15));
            let in_time = observe(slow()).await;
            assert_eq!((in_time.source, in_time.stale, in_time.expires_in), (Source::Ran, false, Some(seconds(10))));
            clock.advance(seconds(15));
            WAITS.store(true, Ordering::SeqCst);
            let late = observe(async {
                let value = slow().await;
                // It ends within the block, which has its answer already.
                GATE.open(1);
                until(|| cache.stats().flights == 0).await;
                value
            })
            .await;
            assert_eq!((late.source, late.stale), (Source::Memory, true));
        })
        .await;
}

#[test]
fn on_other_threads() {
    #[cached(ttl = "10s")]
    fn one() -> u64 {
        1
    }
    let (cache, clock) = timed();
    cache.with_sync(|| {
        one();
        clock.advance(seconds(1));
        let seen = observe_sync(|| std::thread::spawn(larder::carry_sync(one)).join().unwrap());
        assert_eq!((seen.source, seen.age), (Source::Memory, seconds(1)));
        let seen = observe_sync(|| std::thread::spawn(one).join().unwrap());
        assert!(seen.tags.is_empty(), "that thread isn't observed");
    });
}

#[test]
fn what_comes_after_the_block_does_not_count() {
    #[cached(ttl = "10s")]
    fn one(id: u64) -> u64 {
        id
    }
    let (cache, _clock) = timed();
    cache.with_sync(|| {
        let seen = observe_sync(|| larder::carry_sync(|| one(1)));
        let (source, tags) = (seen.source, seen.tags);
        (seen.value)();
        assert_eq!((source, tags.len()), (Source::Uncached, 0));
    });
}

#[cfg(feature = "msgpack")]
#[test]
fn a_backend() {
    use crate::support::two_processes;
    #[cached(ttl = "10s", tags = ["of a backend"])]
    fn one() -> u64 {
        1
    }
    let (first, second, clock) = two_processes();
    assert_eq!(first.with_sync(|| observe_sync(one)).source, Source::Ran);
    clock.advance(seconds(4));
    for source in [Source::Backend, Source::Memory] {
        let seen = second.with_sync(|| observe_sync(one));
        assert_eq!((seen.source, seen.age, seen.expires_in), (source, seconds(4), Some(seconds(6))));
        assert!(seen.tags.contains("of a backend"));
    }
}

#[test]
fn nothing_of_the_value_is_in_debug() {
    let seen = observe_sync(|| "secret");
    assert!(!format!("{seen:?}").contains("secret"));
    assert_eq!(seen.map(str::len).value, 6);
}

/// The cache of the process may go by another clock than the operating system's.
#[test]
fn the_installed_cache() {
    use crate::support::alone;
    use larder::{Cache, Clock};
    #[cached]
    fn endless() -> u64 {
        1
    }
    #[cached(ttl = "10s")]
    fn mortal() -> u64 {
        1
    }
    if !alone("observe::the_installed_cache") {
        return;
    }
    let system = observe_sync(endless);
    assert_eq!(system.source, Source::Ran);
    for _ in 0..3 {
        let seen = observe_sync(endless);
        assert_eq!((seen.source, seen.expires_in, seen.tags.is_empty()), (Source::Memory, None, false));
    }
    let clock = Clock::manual();
    clock.advance(seconds(100));
    Cache::builder().clock(&clock).build().unwrap().install().unwrap();
    endless();
    mortal();
    clock.advance(seconds(3));
    for _ in 0..3 {
        let (endless, mortal) = (observe_sync(endless), observe_sync(mortal));
        assert_eq!((endless.source, endless.age, endless.expires_in), (Source::Memory, seconds(3), None));
        assert_eq!((mortal.source, mortal.age, mortal.expires_in), (Source::Memory, seconds(3), Some(seconds(7))));
    }
}

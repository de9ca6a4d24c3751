//! `helpers = [explain]`: what a call would be answered with, or why it would run.

use std::time::Duration;

use larder::{Cache, Finding, Source, blocking, cached, with_scope_sync, without_cache_sync};

use crate::support::{Runs, cache, seconds, timed};

#[test]
fn what_is_stored() {
    static RUNS: Runs = Runs::new();
    #[cached(ttl = "10s", tags = [("explained", id)])]
    fn child(id: u64) -> u64 {
        id
    }
    #[cached(name = "shop.total", ttl = "1m", tags = ["totals"], helpers = [explain])]
    fn total(id: u64) -> u64 {
        RUNS.add();
        child(id)
    }
    let (cache, clock) = timed();
    cache.with_sync(|| {
        let before = explain_total(7);
        assert_eq!((before.finding.clone(), before.tags.len()), (Finding::Absent, 0));
        assert_eq!(before.to_string(), "shop.total: a call runs the body: nothing is stored, or it was evicted");
        assert_eq!(RUNS.get(), 0, "it runs nothing");
        total(7);
        clock.advance(seconds(4));
        let after = explain_total(7);
        let stored =
            Finding::Stored { source: Source::Memory, age: seconds(4), expires_in: Some(seconds(56)), stale: false };
        assert_eq!((&after.finding, after.function.as_str()), (&stored, "shop.total"));
        assert!(after.tags.contains(("explained", 7)) && after.tags.contains("totals"));
        let text = after.to_string();
        let start =
            "shop.total: a call is answered from memory; the value is 4 s old and expires in 56 s; it depends on ";
        assert!(text.starts_with(start) && text.contains("totals") && text.contains("without a name"), "{text}");
        assert_eq!(RUNS.get(), 1);
    });
}

#[test]
fn why_it_runs() {
    #[cached(ttl = "10s", tags = [("explained why", id)])]
    fn child(id: u64) -> u64 {
        id
    }
    #[cached(ttl = "1m", tags = ["another"], helpers = [explain])]
    fn total(id: u64) -> u64 {
        child(id)
    }
    #[cached(ttl = "10s", stale_if_error = "1h", helpers = [explain])]
    fn fallible() -> Result<u64, String> {
        Ok(1)
    }
    let (cache, clock) = timed();
    cache.with_sync(|| {
        let names = |explanation: &larder::Explanation| -> Vec<String> {
            explanation.tags.iter().filter_map(|tag| tag.name).map(ToString::to_string).collect()
        };
        explain_total(1); // from now on tags have names
        (total(1), total(2));
        blocking::invalidate_tag(("explained why", 1)).unwrap();
        let invalidated = explain_total(1);
        assert_eq!(
            (&invalidated.finding, names(&invalidated)),
            (&Finding::Invalidated, vec!["explained why/1".into()])
        );
        assert!(invalidated.to_string().ends_with("was invalidated by explained why/1"), "{invalidated}");
        assert!(matches!(explain_total(2).finding, Finding::Stored { .. }));
        blocking::invalidate_tag("another").unwrap();
        assert_eq!(names(&explain_total(2)), ["another"]);

        fallible().unwrap();
        clock.advance(seconds(11));
        assert_eq!(explain_fallible().finding, Finding::Expired { age: seconds(11), fallback: true });
        total(3);
        clock.advance(seconds(61));
        // Whether it is still there, or was freed by now, is up to memory.
        let expired = explain_total(3).finding;
        assert!(matches!(expired, Finding::Absent | Finding::Expired { fallback: false, .. }), "{expired:?}");
        assert_eq!(without_cache_sync(|| explain_total(1)).finding, Finding::Off);
    });
    let strict = Cache::builder().require_scope().build().unwrap();
    strict.with_sync(|| {
        assert_eq!(explain_total(1).finding, Finding::Unscoped);
        assert_eq!(with_scope_sync("a", || explain_total(1)).finding, Finding::Absent);
        assert_eq!(strict.stats().function("total").map(|stats| stats.runs), Some(0));
    });
}

#[tokio::test]
async fn of_an_async_method() {
    struct Shop {
        id: u64,
    }
    impl Shop {
        #[cached(key = (self.id, article), tags = [("shop", self.id)], helpers = [explain])]
        async fn price(&self, article: &str) -> usize {
            article.len()
        }
    }
    let shop = Shop { id: 7 };
    cache()
        .with(async {
            shop.price("tea").await;
            let seen = larder::observe(shop.explain_price("tea")).await;
            assert!(matches!(seen.value.finding, Finding::Stored { age, expires_in: None, .. } if age < Duration::MAX));
            assert!(seen.value.tags.contains(("shop", 7)));
            assert!(seen.tags.is_empty(), "to explain is no call");
            assert_eq!(shop.explain_price("milk").await.finding, Finding::Absent);
        })
        .await;
}

#[cfg(feature = "msgpack")]
#[test]
fn what_a_backend_has() {
    use crate::support::two_processes;
    #[cached(ttl = "10s", tags = ["of a backend"], helpers = [explain])]
    fn one() -> u64 {
        1
    }
    let (first, second, clock) = two_processes();
    first.with_sync(one);
    clock.advance(seconds(4));
    let stored = |source| Finding::Stored { source, age: seconds(4), expires_in: Some(seconds(6)), stale: false };
    let explained = second.with_sync(explain_one);
    assert_eq!((explained.finding, explained.tags.contains("of a backend")), (stored(Source::Backend), true));
    second.with_sync(one);
    assert_eq!(second.with_sync(explain_one).finding, stored(Source::Memory));
    crate::support::block_on(first.invalidate_tag("of a backend")).unwrap();
    assert_eq!(second.with_sync(explain_one).finding, Finding::Invalidated);
}

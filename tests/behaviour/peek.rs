//! `helpers = [peek]`: what there is, without a run.

use larder::cached;

use crate::support::{Runs, cache, seconds, timed};

#[test]
fn it_never_runs() {
    static RUNS: Runs = Runs::new();
    #[cached(ttl = "10s", helpers = [peek])]
    fn f(id: u64) -> Option<usize> {
        let _ = id;
        Some(RUNS.add())
    }
    let (cache, clock) = timed();
    cache.with_sync(|| {
        assert_eq!((peek_f(1), RUNS.get()), (None, 0));
        f(1);
        assert_eq!((peek_f(1), peek_f(2)), (Some(Some(1)), None));
        assert_eq!(larder::without_cache_sync(|| peek_f(1)), None);
        clock.advance(seconds(10));
        assert_eq!(peek_f(1), None);
        f(1);
        invalidate_f(1).unwrap();
        assert_eq!((peek_f(1), RUNS.get()), (None, 2));
    });
}

#[test]
fn the_answer_is_the_functions() {
    #[cached(helpers = [peek], map = |text: String| text + "!")]
    fn f() -> String {
        "a".to_owned()
    }
    cache().with_sync(|| {
        f();
        assert_eq!(peek_f(), Some("a!".to_owned()));
    });
}

#[tokio::test]
async fn what_it_finds_counts_for_the_run_that_peeks() {
    static PARENTS: Runs = Runs::new();
    #[cached(helpers = [peek])]
    async fn child() -> u64 {
        7
    }
    #[cached]
    async fn parent() -> Option<u64> {
        PARENTS.add();
        peek_child().await
    }
    cache()
        .with(async {
            child().await;
            assert_eq!(parent().await, Some(7));
            invalidate_child().await.unwrap();
            assert_eq!((parent().await, PARENTS.get()), (None, 2));
        })
        .await;
}

#[cfg(feature = "msgpack")]
#[test]
fn backends_are_looked_into() {
    static RUNS: Runs = Runs::new();
    #[cached(ttl = "10s", helpers = [peek])]
    fn f() -> usize {
        RUNS.add()
    }
    let (first, second, clock) = crate::support::two_processes();
    first.with_sync(f);
    assert_eq!(second.with_sync(peek_f), Some(1));
    clock.advance(seconds(10));
    assert_eq!(second.with_sync(peek_f), None);
}

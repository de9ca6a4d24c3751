//! `invalidate_f` and `invalidate_all_f`, which stand beside every cached function.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Waker};

use larder::cached;

use crate::support::{Runs, block_on, cache};

#[test]
fn one_key_and_all() {
    static RUNS: Runs = Runs::new();
    #[cached(ttl = "5m")]
    fn f(id: u64, name: &str) -> usize {
        let _ = (id, name);
        RUNS.add()
    }
    cache().with_sync(|| {
        assert_eq!((f(1, "a"), f(1, "b"), f(2, "a")), (1, 2, 3));
        let done: Result<larder::Invalidated, larder::Error> = invalidate_f(1, "a");
        done.unwrap();
        assert_eq!((f(1, "a"), f(1, "b"), f(2, "a")), (4, 2, 3));
        invalidate_all_f().unwrap();
        assert_eq!((f(1, "a"), f(1, "b"), f(2, "a")), (5, 6, 7));
        invalidate_f(9, "never called").unwrap();
        assert_eq!((f(1, "a"), f(1, "b"), f(2, "a")), (5, 6, 7));
    });
    assert_eq!(RUNS.get(), 7);
}

#[tokio::test]
async fn async_functions_have_async_ones() {
    static RUNS: Runs = Runs::new();
    #[cached]
    async fn f(ids: &[u64]) -> Result<usize, String> {
        tokio::task::yield_now().await;
        let _ = ids;
        Ok(RUNS.add())
    }
    cache()
        .with(async {
            assert_eq!((f(&[1]).await, f(&[]).await), (Ok(1), Ok(2)));
            let invalidate = invalidate_f(&[1]);
            assert_eq!(f(&[1]).await, Ok(1), "nothing is done before it is awaited");
            invalidate.await.unwrap();
            assert_eq!((f(&[1]).await, f(&[]).await), (Ok(3), Ok(2)));
            invalidate_all_f().await.unwrap();
            assert_eq!((f(&[1]).await, f(&[]).await), (Ok(4), Ok(5)));
        })
        .await;
    assert_eq!(RUNS.get(), 5);
}

#[test]
fn an_invalidation_that_is_polled_after_its_end_panics() {
    #[cached]
    async fn f(id: u64) -> u64 {
        id
    }
    let mut task = Context::from_waker(Waker::noop());
    cache().with_sync(|| {
        assert_eq!(block_on(f(1)), 1);
        for mut invalidation in [pin!(invalidate_f(1)), pin!(invalidate_all_f())] {
            assert!(invalidation.as_mut().poll(&mut task).is_ready());
            let again = catch_unwind(AssertUnwindSafe(|| invalidation.as_mut().poll(&mut task)));
            let panic = again.unwrap_err();
            assert_eq!(panic.downcast_ref::<String>().unwrap(), "an invalidation polled after completion");
        }
    });
}

#[test]
fn of_a_function_with_a_scope() {
    static RUNS: Runs = Runs::new();
    #[cached(scope = tenant)]
    fn f(tenant: &str, id: u64) -> usize {
        let _ = id;
        RUNS.add()
    }
    cache().with_sync(|| {
        let all = || (f("a", 1), f("a", 2), f("b", 1));
        assert_eq!(all(), (1, 2, 3));
        invalidate_f("a", 1).unwrap();
        assert_eq!(all(), (4, 2, 3));
        invalidate_f("b", 2).unwrap();
        assert_eq!(all(), (4, 2, 3));
        // The scope follows from arguments, and it has none: so all scopes are meant.
        larder::with_scope_sync("a", invalidate_all_f).unwrap();
        assert_eq!(all(), (5, 6, 7));
    });
    assert_eq!(RUNS.get(), 7);
}

#[test]
fn of_a_generic_function() {
    static RUNS: Runs = Runs::new();
    #[cached]
    fn f<'a, T, const N: usize>(values: &'a [T], name: &'a str) -> usize
    where
        T: serde::Serialize + Sync,
    {
        let _ = (values, name);
        RUNS.add()
    }
    cache().with_sync(|| {
        let all = || (f::<_, 1>(&[1_u8], ""), f::<_, 2>(&[1_u8], ""), f::<_, 1>(&[1_u64], ""));
        assert_eq!(all(), (1, 2, 3));
        invalidate_f::<u8, 1>(&[1], "").unwrap();
        assert_eq!(all(), (4, 2, 3));
        invalidate_f::<u64, 1>(&[1], "").unwrap();
        assert_eq!(all(), (4, 2, 5));
        invalidate_all_f().unwrap();
        assert_eq!(all(), (6, 7, 8));
    });
    assert_eq!(RUNS.get(), 8);
}

mod inner {
    use super::{Runs, cached};

    pub(super) static RUNS: Runs = Runs::new();

    #[cached]
    pub(crate) fn seen(id: u64) -> usize {
        let _ = id;
        RUNS.add()
    }

    pub(super) mod deeper {
        use super::{RUNS, cached};

        #[cached(name = "deeper")]
        pub(in crate::helpers) fn seen(id: u64) -> usize {
            let _ = id;
            RUNS.add()
        }
    }
}

#[test]
fn they_are_seen_where_the_function_is() {
    cache().with_sync(|| {
        assert_eq!((inner::seen(1), inner::deeper::seen(1)), (1, 2));
        inner::invalidate_seen(1).unwrap();
        assert_eq!((inner::seen(1), inner::deeper::seen(1)), (3, 2));
        inner::deeper::invalidate_all_seen().unwrap();
        assert_eq!((inner::seen(1), inner::deeper::seen(1)), (3, 4));
    });
    assert_eq!(inner::RUNS.get(), 4);
}

#[test]
fn raw_identifiers() {
    static RUNS: Runs = Runs::new();
    #[cached]
    fn r#match(r#type: &str) -> usize {
        let _ = r#type;
        RUNS.add()
    }
    let cache = cache();
    cache.with_sync(|| {
        assert_eq!((r#match("a"), r#match("b")), (1, 2));
        invalidate_match("a").unwrap();
        assert_eq!((r#match("a"), r#match("b")), (3, 2));
        invalidate_all_match().unwrap();
        assert_eq!((r#match("a"), r#match("b")), (4, 5));
    });
    assert!(cache.stats().function("match").is_some(), "{}", cache.stats());
    assert_eq!(RUNS.get(), 5);
}

#[test]
fn arguments_that_the_key_leaves_out() {
    static RUNS: Runs = Runs::new();
    #[cached(key = id)]
    fn f(id: u64, mut log: Vec<u64>, (a, _): (u64, u64)) -> usize {
        log.push(a);
        RUNS.add()
    }
    cache().with_sync(|| {
        assert_eq!((f(1, vec![], (1, 1)), f(2, vec![], (1, 1))), (1, 2));
        invalidate_f(1, vec![7], (8, 9)).unwrap();
        assert_eq!((f(1, vec![], (1, 1)), f(2, vec![], (1, 1))), (3, 2));
    });
    assert_eq!(RUNS.get(), 3);
}

#[test]
fn without_them() {
    #[cached(helpers = none)]
    fn f() -> u64 {
        1
    }
    // Free for the user.
    fn invalidate_f() -> u64 {
        2
    }
    static RUNS: Runs = Runs::new();
    #[cached(helpers = none)]
    fn invalidate_all_f() -> usize {
        RUNS.add()
    }
    assert_eq!((f(), invalidate_f(), invalidate_all_f(), invalidate_all_f()), (1, 2, 1, 1));
    assert_eq!(RUNS.get(), 1);
}

#[test]
fn from_inside_the_function() {
    static RUNS: Runs = Runs::new();
    #[cached]
    fn f(id: u64) -> usize {
        if RUNS.add() == 1 {
            invalidate_f(id).unwrap();
        }
        RUNS.get()
    }
    cache().with_sync(|| {
        assert_eq!((f(1), f(1), f(1)), (1, 2, 2), "what is invalidated while it is made isn't stored");
    });
    assert_eq!(RUNS.get(), 2);
}

#[test]
fn of_functions_that_are_generic_over_characters() {
    static RUNS: Runs = Runs::new();
    #[cached]
    fn f<const MARK: char, T>() -> usize {
        RUNS.add() * size_of::<T>()
    }
    fn all_of<const MARK: char>() {
        let call = f::<MARK, std::path::PathBuf>;
        let first = call();
        assert_eq!(call(), first);
        invalidate_f::<MARK, std::path::PathBuf>().unwrap();
        let second = call();
        assert_ne!(second, first, "{MARK:?}");
        invalidate_all_f().unwrap();
        assert_ne!(call(), second, "{MARK:?}");
    }
    cache().with_sync(|| {
        all_of::<'a'>();
        all_of::<'<'>();
        all_of::<'>'>();
        all_of::<'('>();
        all_of::<')'>();
        all_of::<':'>();
        all_of::<'-'>();
        all_of::<'\''>();
        all_of::<'\\'>();
        all_of::<'\n'>();
        all_of::<'\u{7}'>();
        all_of::<'é'>();
    });
}

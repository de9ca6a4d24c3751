//! Where functions stand, what is written over them, and what they are called.

use larder::cached;

use crate::support::{Runs, block_on, cache};

static RUNS: Runs = Runs::new();

mod outer {
    pub(crate) mod inner {
        use crate::items::RUNS;

        #[larder::cached(helpers = [refresh, prime, peek, explain])]
        pub(in crate::items) fn in_a_module(id: u64) -> u64 {
            RUNS.add();
            id + 1
        }

        #[larder::cached(helpers = [peek])]
        pub(super) async fn for_its_parent(id: u64) -> u64 {
            RUNS.add();
            id + 2
        }

        #[larder::cached]
        #[allow(clippy::needless_pub_self)]
        pub(self) fn private(id: u64) -> u64 {
            RUNS.add();
            id + 3
        }

        pub(crate) fn through(id: u64) -> u64 {
            private(id)
        }
    }

    pub(crate) async fn through(id: u64) -> (u64, Option<u64>) {
        (inner::for_its_parent(id).await, inner::peek_for_its_parent(id).await)
    }
}

#[test]
fn in_modules_and_functions() {
    fn of_a_function(id: u64) -> u64 {
        #[cached]
        fn in_a_function(id: u64) -> u64 {
            #[cached(helpers = [peek])]
            fn in_a_function(id: u64) -> u64 {
                RUNS.add();
                id + 4
            }
            RUNS.add();
            let answer = in_a_function(id);
            assert_eq!(peek_in_a_function(id), Some(answer));
            answer
        }
        let in_a_closure = |id| {
            #[cached]
            fn in_a_closure(id: u64) -> u64 {
                RUNS.add();
                id + 5
            }
            in_a_closure(id)
        };
        in_a_function(id) * 10 + in_a_closure(id)
    }
    cache().with_sync(|| {
        for _ in 0..2 {
            assert_eq!((outer::inner::in_a_module(0), outer::inner::through(0)), (1, 3));
            assert_eq!(block_on(outer::through(0)), (2, Some(2)));
            assert_eq!(of_a_function(0), 45);
        }
        assert_eq!(RUNS.get(), 6);
        outer::inner::invalidate_in_a_module(0).unwrap();
        assert_eq!((outer::inner::peek_in_a_module(0), outer::inner::refresh_in_a_module(0)), (None, 1));
    });
}

#[test]
fn around_items_with_a_self_of_their_own() {
    #[cached(helpers = [refresh, prime, peek, explain])]
    fn f(id: u64) -> u64 {
        struct Inner(u64);
        impl Inner {
            fn new(id: u64) -> Self {
                Self(id)
            }
        }
        Inner::new(id).0
    }
    assert_eq!((f(1), peek_f(1), refresh_f(2)), (1, Some(1), 2));
}

/// A function and its helpers are there, or aren't, together.
#[cfg(not(test))]
#[cached(helpers = [refresh, prime, peek, explain])]
fn configured(id: u64) -> u64 {
    id
}

#[cfg(test)]
#[cached(helpers = [refresh, prime, peek, explain])]
#[cfg(test)]
fn configured(id: u64) -> u64 {
    #![allow(clippy::let_and_return)]
    let id = id + 1;
    id
}

#[cached(helpers = [refresh, prime, peek, explain])]
#[cfg_attr(test, cfg(not(test)))]
fn left_out(id: u64) -> u64 {
    id
}

fn left_out(id: u64) -> u64 {
    id + 2
}

#[test]
fn under_cfg() {
    assert_eq!((configured(1), peek_configured(1), left_out(1)), (2, Some(2), 3));
}

/// Documented
/// in two lines,
///
/// and more.
#[must_use = "it is the answer"]
#[inline(never)]
#[cold]
#[track_caller]
#[allow(clippy::needless_return)]
#[cached(ttl = "5m", helpers = [refresh, prime, peek, explain])]
#[expect(non_snake_case, unused_mut, reason = "these are kept in place")]
#[doc(alias = "attributes")]
#[deny(unused_variables)]
fn with_attributes(#[allow(unused_mut)] mut id: u64, #[expect(unused_variables)] (first, second): (u64, u64)) -> u64 {
    let mut Name = id + second;
    return Name;
}

#[test]
fn with_attributes_of_all_kinds() {
    assert_eq!((with_attributes(1, (0, 2)), peek_with_attributes(1, (0, 2))), (3, Some(3)));
}

#[tokio::test]
async fn instrumented() {
    static RUNS: Runs = Runs::new();
    #[tracing::instrument(skip(more), fields(total = id + more))]
    #[cached(tags = [("id", id)])]
    async fn above(id: u64, more: u64) -> Result<u64, String> {
        RUNS.add();
        tokio::task::yield_now().await;
        Ok(id + more)
    }
    #[cached(tags = [("id", id)], helpers = [refresh, prime, peek, explain])]
    #[tracing::instrument(err, ret, skip_all)]
    async fn below(mut id: u64, (a, b): (u64, u64)) -> Result<u64, String> {
        RUNS.add();
        tokio::task::yield_now().await;
        id += a + b;
        Ok(id)
    }
    #[cached]
    #[tracing::instrument]
    fn sync_below(name: &str) -> Option<u64> {
        RUNS.add();
        name.parse().ok()
    }
    #[tracing::instrument]
    #[cached]
    fn sync_above(name: &str) -> Option<u64> {
        RUNS.add();
        name.parse().ok()
    }
    struct Shop(u64);
    impl Shop {
        #[tracing::instrument(skip(self), fields(shop = self.0))]
        #[cached(key = (self.0, id))]
        async fn above(&self, id: u64) -> u64 {
            RUNS.add();
            self.0 + id
        }
        #[cached(key = (self.0, id))]
        #[tracing::instrument(skip(self), fields(shop = self.0))]
        async fn below(&self, id: u64) -> u64 {
            RUNS.add();
            self.0 + id
        }
    }
    for _ in 0..2 {
        assert_eq!((above(1, 2).await, below(1, (2, 3)).await), (Ok(3), Ok(6)));
        assert_eq!((sync_above("1"), sync_below("2")), (Some(1), Some(2)));
        assert_eq!((Shop(1).above(1).await, Shop(1).below(1).await), (2, 2));
    }
    assert_eq!(RUNS.get(), 6);
    larder::invalidate_tag(("id", 1)).await.unwrap();
    assert_eq!((above(1, 2).await, below(1, (2, 3)).await, RUNS.get()), (Ok(3), Ok(6), 8));
}

#[tokio::test]
async fn raw_identifiers() {
    static RUNS: Runs = Runs::new();
    #[cached(
        key = (r#type, r#fn.len()),
        tags = ["type:{type}", ("fn", r#fn)],
        scope = r#fn,
        result_tags = |r#match| [("match", *r#match)],
        helpers = [refresh, prime, peek, explain]
    )]
    async fn r#async(r#type: u64, r#fn: &str) -> u64 {
        RUNS.add();
        r#type + r#fn.len() as u64
    }
    for _ in 0..2 {
        assert_eq!((r#async(1, "a").await, r#async(1, "b").await), (2, 2));
    }
    assert_eq!((RUNS.get(), peek_async(1, "a").await), (2, Some(2)));
    larder::invalidate_tag("type:1").await.unwrap();
    prime_async(1, "a", 7).await.unwrap();
    assert_eq!((r#async(1, "a").await, refresh_async(1, "b").await, RUNS.get()), (7, 2, 3));
}

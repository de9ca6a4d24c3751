//! `require_scope` and `all_scopes`: what is forgotten costs time, and shows nobody what belongs to somebody else.

use larder::{Cache, all_scopes, all_scopes_sync, blocking, cached, with_scope, with_scope_sync};

use crate::support::{Runs, block_on, cache, stats_of};

fn strict() -> Cache {
    Cache::builder().require_scope().build().unwrap()
}

#[test]
fn a_call_without_a_scope_is_not_cached() {
    static RUNS: Runs = Runs::new();
    #[cached]
    fn f() -> usize {
        RUNS.add()
    }
    let cache = strict();
    cache.with_sync(|| {
        assert_eq!((f(), f()), (1, 2));
        for _ in 0..3 {
            assert_eq!(with_scope_sync("a", f), 3);
            assert_eq!(with_scope_sync("", f), 4, "the empty one is a scope, if it is given");
        }
        assert_eq!((f(), f()), (5, 6), "and nobody else is answered from it");
        with_scope_sync("a", || std::thread::scope(|threads| assert_eq!(threads.spawn(f).join().unwrap(), 7)));
        assert_eq!(with_scope_sync("a", f), 3);
    });
    let stats = stats_of(&cache, "f");
    assert_eq!((stats.unscoped, stats.bypassed, stats.stored), (4, 4, 2));
}

#[tokio::test]
async fn so_it_is_with_async_functions_and_helpers() {
    static RUNS: Runs = Runs::new();
    #[cached(helpers = [peek, prime, refresh], stale_while_revalidate = "1h", ttl = "1h")]
    async fn f() -> usize {
        RUNS.add()
    }
    let cache = strict();
    cache
        .with(async {
            assert_eq!((f().await, f().await, refresh_f().await), (1, 2, 3));
            prime_f(100).await.unwrap();
            assert_eq!((peek_f().await, f().await), (None, 4));
            assert_eq!(with_scope("", peek_f()).await, None, "nothing was stored in the default scope");
            assert_eq!((with_scope("a", f()).await, with_scope("a", peek_f()).await), (5, Some(5)));
        })
        .await;
}

#[test]
fn where_the_scope_comes_from() {
    static RUNS: Runs = Runs::new();
    #[cached]
    fn child() -> usize {
        RUNS.add()
    }
    #[cached(scope = tenant)]
    fn of_tenant(tenant: &str) -> usize {
        child()
    }
    #[cached]
    fn unscoped() -> (usize, usize) {
        (child(), of_tenant(""))
    }
    strict().with_sync(|| {
        for _ in 0..3 {
            assert_eq!((of_tenant("a"), of_tenant("b"), of_tenant("")), (1, 2, 3));
            assert_eq!(with_scope_sync("a", child), 1, "the entry that the run in that scope has left");
        }
        // A run without a scope hands none on: its child isn't cached either.
        assert_eq!((unscoped(), unscoped()), ((4, 3), (5, 3)));
    });
    let by_default = Cache::builder().require_scope().default_scope(|| Some("tenant".to_owned())).build().unwrap();
    by_default.with_sync(|| assert_eq!((child(), child()), (6, 6)));
    let none = Cache::builder().require_scope().default_scope(|| None).build().unwrap();
    none.with_sync(|| assert_eq!((child(), child()), (7, 8)));
}

/// The scope of a run in a cache that requires none is nobody's choice.
#[test]
fn another_caches_default_is_no_scope() {
    static RUNS: Runs = Runs::new();
    static STRICT: std::sync::LazyLock<Cache> = std::sync::LazyLock::new(strict);
    #[cached(cache = STRICT)]
    fn child() -> usize {
        RUNS.add()
    }
    #[cached]
    fn parent(id: u64) -> usize {
        let _ = id;
        child()
    }
    cache().with_sync(|| {
        assert_eq!((parent(1), parent(2)), (1, 2));
        assert_eq!(with_scope_sync("a", || (parent(1), parent(2))), (3, 3));
    });
}

#[test]
fn the_scope_is_known_around_calls_too() {
    #[cached(local)]
    fn inside() -> Option<larder::Scope> {
        larder::scope()
    }
    assert_eq!(larder::scope(), None);
    assert_eq!(with_scope_sync("a", larder::scope).unwrap(), "a");
    assert_eq!(with_scope_sync("a", || with_scope_sync("", larder::scope)).unwrap(), "");
    assert_eq!(block_on(with_scope("a", async { larder::scope() })).unwrap(), "a");
    cache().with_sync(|| {
        assert_eq!(larder::scope(), None);
        assert_eq!((inside().unwrap(), with_scope_sync("a", inside).unwrap()), ("".into(), "a".into()));
    });
}

mod in_every_scope {
    use super::*;

    static RUNS: Runs = Runs::new();

    #[cached(tags = ["tag"])]
    fn plain(id: u64) -> usize {
        let _ = id;
        RUNS.add()
    }
    #[cached(scope = tenant)]
    async fn of_tenant(tenant: &str) -> usize {
        let _ = tenant;
        RUNS.add()
    }
    #[cached]
    fn another() -> usize {
        RUNS.add()
    }

    fn all() -> [usize; 7] {
        [
            plain(1),
            with_scope_sync("a", || plain(1)),
            with_scope_sync("b", || plain(1)),
            with_scope_sync("b", || plain(2)),
            block_on(of_tenant("")),
            block_on(of_tenant("a")),
            with_scope_sync("a", another),
        ]
    }

    #[test]
    fn a_function_is_invalidated() {
        let cache = cache();
        cache.with_sync(|| {
            let mut before = all();
            let mut changed = || {
                let after = all();
                let changed: [bool; 7] = std::array::from_fn(|place| after[place] != before[place]);
                before = after;
                changed
            };
            assert_eq!(changed(), [false; 7]);
            let of_plain = [true, true, true, true, false, false, false];
            let of_tenant = [false, false, false, false, true, true, false];
            invalidate_all_plain().unwrap();
            assert_eq!(changed(), [true, false, false, false, false, false, false], "the current one");
            all_scopes_sync(invalidate_all_plain).unwrap();
            assert_eq!(changed(), of_plain);
            with_scope_sync("c", || all_scopes_sync(|| with_scope_sync("d", invalidate_all_plain))).unwrap();
            assert_eq!(changed(), of_plain, "wherever it is called");
            all_scopes_sync(|| invalidate_plain(1)).unwrap();
            assert_eq!(changed(), of_plain, "one key can't be named in all scopes");
            block_on(all_scopes(invalidate_all_of_tenant())).unwrap();
            assert_eq!(changed(), of_tenant);
            block_on(all_scopes(invalidate_of_tenant("x"))).unwrap();
            assert_eq!(changed(), of_tenant);
            all_scopes_sync(|| blocking::clear("b")).unwrap();
            assert_eq!(changed(), [false, false, true, true, false, false, false], "a scope is one scope");
            let mut pending = larder::Pending::new();
            pending.add_sync(|| all_scopes_sync(invalidate_all_plain)).unwrap();
            assert_eq!(changed(), [false; 7]);
            blocking::commit(&mut pending).unwrap();
            assert_eq!(changed(), of_plain);
        });
    }
}

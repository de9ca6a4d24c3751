//! `Pending`: invalidations that wait for a commit.

use larder::{Pending, Scope, blocking, cached, with_scope_sync};

use crate::support::{Runs, block_on, cache};

#[test]
fn nothing_happens_before_the_commit() {
    static RUNS: Runs = Runs::new();
    #[cached(tags = [("order", id)])]
    fn order(id: u64) -> usize {
        let _ = id;
        RUNS.add()
    }
    let cache = cache();
    cache.with_sync(|| {
        let all = || [1, 2, 3, 4].map(order);
        assert_eq!(all(), [1, 2, 3, 4]);
        let mut pending = Pending::new();
        assert!(pending.is_empty());
        pending.invalidate_tag(("order", 1));
        pending.invalidate_tags([("order", 2)]);
        pending.add_sync(|| invalidate_order(3)).unwrap();
        assert!(!pending.is_empty());
        assert_eq!(all(), [1, 2, 3, 4], "only collected");
        blocking::commit(&mut pending).unwrap();
        assert!(pending.is_empty());
        assert_eq!(all(), [5, 6, 7, 4]);
        blocking::commit(&mut pending).unwrap();
        assert_eq!(all(), [5, 6, 7, 4], "once");
    });
}

#[test]
fn what_is_dropped_is_forgotten() {
    static RUNS: Runs = Runs::new();
    #[cached(tags = ["orders"])]
    fn orders() -> usize {
        RUNS.add()
    }
    cache().with_sync(|| {
        assert_eq!(orders(), 1);
        let mut pending = Pending::new();
        pending.invalidate_tag("orders");
        pending.add_sync(invalidate_all_orders).unwrap();
        assert_eq!(format!("{pending:?}"), "Pending { tags: 2, .. }");
        drop(pending);
        assert_eq!(orders(), 1);
    });
}

#[tokio::test]
async fn whatever_invalidates_can_be_collected() {
    static RUNS: Runs = Runs::new();
    #[cached(tags = ["orders"])]
    async fn orders(id: u64) -> usize {
        let _ = id;
        RUNS.add()
    }
    #[cached(scope = tenant)]
    async fn of_tenant(tenant: &str) -> usize {
        let _ = tenant;
        RUNS.add()
    }
    let cache = cache();
    cache
        .with(async {
            for round in 0..5 {
                let (before, other) = (orders(1).await, of_tenant("a").await);
                let mut pending = Pending::new();
                match round {
                    0 => pending.add(invalidate_orders(1)).await.unwrap(),
                    1 => pending.add(invalidate_all_orders()).await.unwrap(),
                    2 => pending.add(larder::invalidate_tag("orders")).await.unwrap(),
                    3 => pending.add(Scope::global().clear()).await.unwrap(),
                    _ => pending.add(cache.reset()).await.unwrap(),
                }
                pending.add(invalidate_of_tenant("a")).await.unwrap();
                assert_eq!((orders(1).await, of_tenant("a").await), (before, other), "{round}");
                let ran = RUNS.get();
                pending.commit().await.unwrap();
                assert_eq!((orders(1).await, of_tenant("a").await), (ran + 1, ran + 2), "{round}");
            }
        })
        .await;
}

/// Each is invalidated in the cache that was ambient when it was collected.
#[test]
fn several_caches_and_scopes() {
    static RUNS: Runs = Runs::new();
    #[cached(tags = ["orders"])]
    fn orders() -> usize {
        RUNS.add()
    }
    let (one, two) = (cache(), cache());
    let mut pending = Pending::new();
    assert_eq!((one.with_sync(orders), two.with_sync(orders)), (1, 2));
    one.with_sync(|| pending.invalidate_tag("orders"));
    block_on(pending.commit()).unwrap();
    assert_eq!((one.with_sync(orders), two.with_sync(orders)), (3, 2));
    two.with_sync(|| pending.invalidate_tag("orders"));
    one.with_sync(|| pending.add_sync(|| blocking::invalidate_tag_in("a", "orders"))).unwrap();
    assert_eq!(one.with_sync(|| with_scope_sync("a", orders)), 4);
    block_on(pending.commit()).unwrap();
    let again = one.with_sync(|| (orders(), with_scope_sync("a", orders)));
    assert_eq!((again, two.with_sync(orders)), ((3, 5), 6));
}

#[test]
fn what_fails_is_not_collected() {
    cache().with_sync(|| {
        let mut pending = Pending::new();
        let failed: Result<(), &str> = pending.add_sync(|| {
            blocking::invalidate_tag("orders").map_err(|_| "not collected")?;
            Err::<(), _>("and then")
        });
        assert_eq!((failed, pending.is_empty()), (Err("and then"), true));
        let mut dropped = Box::pin(pending.add(async {
            larder::invalidate_tag("orders").await?;
            std::future::pending::<()>().await;
            Ok::<_, larder::Error>(())
        }));
        let waker = std::task::Waker::noop();
        assert!(dropped.as_mut().poll(&mut std::task::Context::from_waker(waker)).is_pending());
        drop(dropped);
        assert!(pending.is_empty());
    });
}

/// It has nobody who would commit for it.
#[tokio::test]
async fn a_task_that_is_left_behind_invalidates_for_itself() {
    static RUNS: Runs = Runs::new();
    #[cached(tags = ["orders"])]
    async fn orders() -> usize {
        RUNS.add()
    }
    cache()
        .with(async {
            assert_eq!(orders().await, 1);
            let mut pending = Pending::new();
            let mut left = None;
            let leave = async {
                left = Some(tokio::spawn(larder::carry(larder::invalidate_tag("orders"))));
                Ok::<(), larder::Error>(())
            };
            pending.add(leave).await.unwrap();
            drop(pending);
            left.unwrap().await.unwrap().unwrap();
            assert_eq!(orders().await, 2);
        })
        .await;
}

#[cfg(feature = "msgpack")]
#[test]
fn what_was_not_recorded_stays_collected() {
    use larder::reference::SharedMemory;
    use larder::{Cache, ErrorKind};
    static RUNS: Runs = Runs::new();
    #[cached(tags = ["orders"])]
    fn orders() -> usize {
        RUNS.add()
    }
    let store = SharedMemory::new();
    let cache = Cache::builder().backend(store.clone()).build().unwrap();
    cache.with_sync(|| {
        assert_eq!(orders(), 1);
        let mut pending = Pending::new();
        pending.invalidate_tag("orders");
        store.fail_with(Some(ErrorKind::Unavailable));
        assert_eq!(blocking::commit(&mut pending).unwrap_err().kind(), ErrorKind::Unavailable);
        assert!(!pending.is_empty());
        store.fail_with(None);
        let token = blocking::commit(&mut pending).unwrap();
        assert!(pending.is_empty() && !token.is_empty());
        assert_eq!(larder::at_least_sync(&token, orders), 2);
    });
}

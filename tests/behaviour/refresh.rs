//! `helpers = [refresh]`: run now, and replace the entry.

use std::fmt;
use std::sync::LazyLock;
use std::time::Duration;

use larder::{Cache, cached};

use crate::support::{Gate, Runs, cache};

#[test]
fn it_runs_and_replaces() {
    static RUNS: Runs = Runs::new();
    static CHILD: Runs = Runs::new();
    #[cached]
    fn child() -> usize {
        CHILD.add()
    }
    #[cached(helpers = [refresh], skip(log))]
    fn f<T: serde::Serialize>(id: T, log: &mut Vec<usize>) -> usize {
        child();
        log.push(RUNS.add());
        RUNS.get()
    }
    cache().with_sync(|| {
        let mut log = Vec::new();
        assert_eq!(f(1_u64, &mut log), 1);
        assert_eq!(refresh_f(1_u64, &mut log), 2);
        assert_eq!(f(1_u64, &mut log), 2);
        assert_eq!(log, [1, 2]);
        assert_eq!(CHILD.get(), 1, "what it calls is answered as ever");
        assert_eq!(larder::without_cache_sync(|| refresh_f(1_u64, &mut log)), 3);
        assert_eq!(f(1_u64, &mut log), 2);
    });
}

static TENANTS: Runs = Runs::new();
static APART: LazyLock<Cache> = LazyLock::new(cache);

#[cached(cache = APART)]
fn tenant_of(id: u64) -> u64 {
    TENANTS.add();
    id / 10
}

/// Looks its tenant up when it is written.
struct Tenant(u64);

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", tenant_of(self.0))
    }
}

#[tokio::test]
async fn what_its_key_and_scope_are_made_of_is_answered_as_ever() {
    static RUNS: Runs = Runs::new();
    #[cached(key = (tenant_of(id), id), helpers = [refresh, prime])]
    fn by_key(id: u64) -> usize {
        let _ = id;
        RUNS.add()
    }
    #[cached(scope = tenant_of(id), helpers = [refresh, prime])]
    async fn by_scope(id: u64) -> usize {
        let _ = id;
        RUNS.add()
    }
    #[cached(scope = Tenant(id), helpers = [refresh, prime])]
    fn by_text(id: u64) -> usize {
        let _ = id;
        RUNS.add()
    }
    #[cached(helpers = [refresh, prime])]
    fn by_default(id: u64) -> usize {
        let _ = id;
        RUNS.add()
    }
    let cache = Cache::builder().default_scope(|| Some(tenant_of(1).to_string())).build().unwrap();
    let all = async { [by_key(1), by_scope(1).await, by_text(1), by_default(1)] };
    assert_eq!(cache.with(all).await, [1, 2, 3, 4]);
    cache
        .with(async {
            assert_eq!([refresh_by_key(1), refresh_by_scope(1).await], [5, 6]);
            assert_eq!([refresh_by_text(1), refresh_by_default(1)], [7, 8]);
            assert_eq!([by_key(1), by_scope(1).await, by_text(1), by_default(1)], [5, 6, 7, 8]);
            prime_by_key(1, 50).unwrap();
            prime_by_scope(1, 60).await.unwrap();
            prime_by_text(1, 70).unwrap();
            prime_by_default(1, 80).unwrap();
            assert_eq!([by_key(1), by_scope(1).await, by_text(1), by_default(1)], [50, 60, 70, 80]);
        })
        .await;
    assert_eq!((RUNS.get(), TENANTS.get()), (8, 1));
}

#[test]
fn types_of_a_generic_function_are_told_apart() {
    static RUNS: Runs = Runs::new();
    /// Its key is another type's answer.
    #[cached(key = number_of(&id), helpers = [refresh])]
    fn f<T: Number>(id: T) -> usize {
        let _ = id;
        RUNS.add()
    }
    trait Number {
        fn number(&self) -> usize;
    }
    impl Number for u8 {
        fn number(&self) -> usize {
            usize::from(*self)
        }
    }
    impl Number for u16 {
        fn number(&self) -> usize {
            f(1_u8)
        }
    }
    fn number_of(id: &impl Number) -> usize {
        id.number()
    }
    cache().with_sync(|| {
        assert_eq!((f(1_u16), RUNS.get()), (2, 2));
        assert_eq!(refresh_f(1_u16), 3);
        assert_eq!((f(1_u8), f(1_u16)), (1, 3));
    });
}

struct Shop(u64, Runs);

impl Shop {
    #[cached(key = (self.0, id), helpers = [refresh, prime, peek])]
    async fn price(&self, id: u64) -> Result<usize, String> {
        Ok(self.1.add())
    }

    #[cached(helpers = [refresh, prime, peek])]
    fn of(id: u64) -> u64 {
        Self::double(id)
    }

    fn double(id: u64) -> u64 {
        id * 2
    }
}

#[tokio::test]
async fn of_methods() {
    let shop = Shop(1, Runs::new());
    cache()
        .with(async {
            assert_eq!(shop.peek_price(1).await, None);
            assert_eq!(shop.price(1).await, Ok(1));
            assert_eq!(shop.refresh_price(1).await, Ok(2));
            assert_eq!(shop.price(1).await, Ok(2));
            shop.prime_price(1, Ok(9)).await.unwrap();
            assert_eq!((shop.price(1).await, shop.peek_price(1).await), (Ok(9), Some(Ok(9))));
            assert_eq!(Shop::peek_of(2), None);
            assert_eq!(Shop::refresh_of(2), 4);
            assert_eq!(Shop::peek_of(2), Some(4));
            Shop::prime_of(2, 5).unwrap();
            assert_eq!(Shop::of(2), 5);
        })
        .await;
}

#[test]
fn arguments_that_are_called_as_the_function_is() {
    static RUNS: Runs = Runs::new();
    #[cached(helpers = [refresh, prime, peek])]
    fn user(user: u64, r#type: u64) -> u64 {
        user + r#type + RUNS.add() as u64
    }
    #[cached(helpers = [refresh])]
    fn r#type(r#type: u64) -> u64 {
        r#type
    }
    cache().with_sync(|| {
        assert_eq!((user(10, 1), refresh_user(10, 1), peek_user(10, 1)), (12, 13, Some(13)));
        prime_user(10, 1, 5).unwrap();
        assert_eq!((user(10, 1), refresh_type(2), r#type(2)), (5, 2, 2));
    });
}

#[test]
fn receivers_that_the_body_changes() {
    #[derive(Clone)]
    struct Words(Vec<u64>);
    impl Words {
        #[deny(unused_mut)]
        #[cached(key = self.0, helpers = [refresh, prime, peek])]
        fn longer(mut self) -> Vec<u64> {
            self.0.push(1);
            self.0
        }
    }
    let words = Words(vec![0]);
    assert_eq!((words.clone().refresh_longer(), words.peek_longer()), (vec![0, 1], Some(vec![0, 1])));
}

#[test]
fn of_a_deprecated_function() {
    #[deny(deprecated)]
    mod old {
        #[deprecated = "for the test"]
        #[larder::cached(helpers = [refresh, prime, peek])]
        pub(super) fn f(id: u64) -> u64 {
            id
        }
    }
    assert_eq!((old::refresh_f(1), old::peek_f(1)), (1, Some(1)));
}

#[test]
fn a_result_that_is_not_to_be_stored_takes_the_old_one_away() {
    #[cached(cache_none = false, skip(now), helpers = [refresh, prime, peek])]
    fn by_none(now: &Runs) -> Option<usize> {
        Some(now.add()).filter(|run| run % 2 == 1)
    }
    #[cached(cache_if = |run| run % 2 == 1, skip(now), helpers = [refresh, prime, peek])]
    fn by_result(now: &Runs) -> usize {
        now.add()
    }
    #[cached(skip(now), helpers = [refresh, prime, peek])]
    fn by_body(now: &Runs) -> usize {
        let run = now.add();
        match run {
            2 => larder::dont_cache(),
            4 => larder::set_ttl(Duration::ZERO),
            _ => {}
        }
        run
    }
    #[cached(skip(now), helpers = [refresh, peek])]
    fn failing(now: &Runs) -> Result<usize, usize> {
        let run = now.add();
        if run == 2 { Err(run) } else { Ok(run) }
    }
    let runs = [const { Runs::new() }; 4];
    let [none, result, body, fails] = &runs;
    cache().with_sync(|| {
        assert_eq!((by_none(none), refresh_by_none(none), peek_by_none()), (Some(1), None, None));
        assert_eq!((by_none(none), by_none(none)), (Some(3), Some(3)));
        prime_by_none(None).unwrap();
        assert_eq!((peek_by_none(), by_none(none)), (None, None));

        assert_eq!((by_result(result), refresh_by_result(result), peek_by_result()), (1, 2, None));
        assert_eq!((by_result(result), larder::refreshing_sync(|| by_result(result))), (3, 4));
        assert_eq!((by_result(result), by_result(result)), (5, 5));
        prime_by_result(100).unwrap();
        assert_eq!((peek_by_result(), by_result(result)), (None, 6));

        assert_eq!((by_body(body), refresh_by_body(body), by_body(body)), (1, 2, 3));
        assert_eq!((refresh_by_body(body), peek_by_body(), by_body(body)), (4, None, 5));

        // Nothing is known to be newer.
        assert_eq!((failing(fails), refresh_failing(fails), peek_failing()), (Ok(1), Err(2), Some(Ok(1))));
    });
}

#[tokio::test]
async fn one_that_was_overtaken_takes_nothing_away() {
    static RUNS: Runs = Runs::new();
    static GATE: Gate = Gate::new();
    #[cached(tags = ["refresh-overtaken"], helpers = [refresh, peek])]
    async fn f(last: bool) -> usize {
        let run = RUNS.add();
        if run % 2 == 1 {
            if last {
                larder::dont_cache();
            }
            GATE.pass().await;
        }
        run
    }
    let cache = cache();
    let test = async {
        for last in [false, true] {
            let before = RUNS.get();
            let overtaken = async { assert_eq!(refresh_f(last).await, before + 1) };
            let newer = async {
                GATE.arrival().await;
                larder::invalidate_tag("refresh-overtaken").await.unwrap();
                assert_eq!((f(last).await, f(last).await), (before + 2, before + 2));
                GATE.open(1);
            };
            tokio::join!(overtaken, newer);
            assert_eq!(peek_f(last).await, Some(before + 2));
        }
    };
    cache.with(test).await;
}

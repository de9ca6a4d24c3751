//! Arguments that are taken apart, and options that name the parts.

use std::time::Duration;

use larder::{blocking, cached};

use crate::support::{Runs, cache, stats_of, timed};

#[derive(Clone, Copy, serde::Serialize)]
struct Point {
    x: u64,
    y: u64,
}

#[test]
fn closures_over_the_result_use_parts() {
    static RUNS: Runs = Runs::new();
    #[cached(
        cache_if = |sum| *sum > least,
        result_tags = |_| [("x", x)],
        ttl = |_| Duration::from_secs(seconds),
        helpers = [prime, peek]
    )]
    fn f((least, seconds): (u64, u64), Point { x, y }: Point, [_, last]: [u64; 2]) -> u64 {
        RUNS.add();
        least + x + y + last
    }
    let (cache, clock) = timed();
    cache.with_sync(|| {
        let point = |x| Point { x, y: 0 };
        assert_eq!((f((1, 10), point(0), [5, 0]), f((1, 10), point(0), [5, 0])), (1, 1));
        assert_eq!(RUNS.get(), 2, "not more than the least");
        assert_eq!((f((1, 10), point(1), [5, 5]), f((1, 10), point(1), [5, 5]), RUNS.get()), (7, 7, 3));
        blocking::invalidate_tag(("x", 1)).unwrap();
        assert_eq!((f((1, 10), point(1), [5, 5]), RUNS.get()), (7, 4));
        clock.advance(Duration::from_secs(10));
        assert_eq!((f((1, 10), point(1), [5, 5]), RUNS.get()), (7, 5));
        prime_f((1, 10), point(2), [0, 0], 50).unwrap();
        assert_eq!(peek_f((1, 10), point(2), [0, 0]), Some(50));
        blocking::invalidate_tag(("x", 2)).unwrap();
        assert_eq!(peek_f((1, 10), point(2), [0, 0]), None);
    });
}

#[tokio::test]
async fn what_owns_may_lie_beside_what_is_named() {
    static RUNS: Runs = Runs::new();
    #[cached(result_tags = |_| [("id", id)], map = |text| format!("{text}{id}"), helpers = [peek])]
    async fn f((name, id): (String, u64), mut list: Vec<u64>) -> String {
        RUNS.add();
        tokio::task::yield_now().await;
        list.push(id);
        name + &list.len().to_string()
    }
    let call = |id| f(("a".to_owned(), id), vec![0]);
    assert_eq!((call(1).await, call(1).await, call(2).await), ("a21".into(), "a21".into(), "a22".into()));
    assert_eq!(peek_f(("a".to_owned(), 1), vec![0]).await, Some("a21".into()));
    larder::invalidate_tag(("id", 1)).await.unwrap();
    assert_eq!((call(1).await, call(2).await, RUNS.get()), ("a21".into(), "a22".into(), 3));
}

#[tokio::test]
async fn in_runs_that_outlive_their_callers() {
    static RUNS: Runs = Runs::new();
    #[cached(ttl = |_| Duration::from_secs(id), stale_while_revalidate = "1m", result_tags = |_| [("id", id)])]
    async fn f((name, id): (String, u64)) -> String {
        RUNS.add();
        tokio::task::yield_now().await;
        name
    }
    let (cache, clock) = timed();
    cache
        .with(async {
            assert_eq!(f(("a".to_owned(), 5)).await, "a");
            clock.advance(Duration::from_secs(5));
            assert_eq!(f(("a".to_owned(), 5)).await, "a");
            crate::support::until(|| RUNS.get() == 2).await;
        })
        .await;
    assert_eq!(stats_of(&cache, "f").runs, 2);
}

#[tokio::test]
async fn closures_use_what_runs_in_the_background_only_borrow() {
    static RUNS: Runs = Runs::new();
    #[derive(Clone)]
    struct Shop {
        id: u64,
    }
    impl Shop {
        #[cached(
            ttl = |_| Duration::from_secs(5),
            stale_while_revalidate = "1m",
            key = (self.id, name, a),
            cache_if = |list| list.len() > name.len(),
            result_tags = |list| [("shop", self.id), ("a", *a), ("length", list.len() as u64 + more)],
            helpers = [prime]
        )]
        async fn list(&self, name: &str, (a, _): &(u64, String), more: u64) -> Vec<u64> {
            RUNS.add();
            tokio::task::yield_now().await;
            vec![self.id + a; name.len() + 1]
        }
    }
    let (cache, clock) = timed();
    let test = async {
        let shop = Shop { id: 1 };
        let call = || async { shop.list(&String::from("ab"), &(2, String::new()), 10).await };
        assert_eq!((call().await, call().await, RUNS.get()), (vec![3; 3], vec![3; 3], 1));
        clock.advance(Duration::from_secs(5));
        assert_eq!(call().await, [3; 3], "the old one");
        crate::support::until(|| RUNS.get() == 2).await;
        for (tag, runs) in [(("shop", 1), 3), (("a", 2), 4), (("length", 13), 5)] {
            larder::invalidate_tag(tag).await.unwrap();
            assert_eq!((call().await, RUNS.get()), (vec![3; 3], runs), "{tag:?}");
        }
        shop.prime_list("c", &(2, String::new()), 10, vec![7, 8]).await.unwrap();
        assert_eq!((shop.list("c", &(2, String::new()), 10).await, RUNS.get()), (vec![7, 8], 5));
    };
    cache.with(test).await;
}

#[test]
fn a_closures_own_names_are_its_own() {
    static RUNS: Runs = Runs::new();
    // `name` and `text` are parts too, which own and so couldn't be copied.
    #[cached(
        cache_if = |name| !name.is_empty(),
        result_tags = |value| {
            let text = value.len();
            vec![format!("{text}"), format!("{}", Point { x: 1, y: 2 }.x)]
        }
    )]
    fn f((name, text): (String, String), x: String) -> String {
        RUNS.add();
        name + &text + &x
    }
    let call = || f(("a".into(), "b".into()), "c".into());
    cache().with_sync(|| {
        assert_eq!((call(), call(), RUNS.get()), ("abc".into(), "abc".into(), 1));
        blocking::invalidate_tag("3").unwrap();
        assert_eq!((call(), RUNS.get()), ("abc".into(), 2));
    });
}

#[test]
fn every_irrefutable_pattern() {
    static RUNS: Runs = Runs::new();
    struct Unit;
    impl larder::key::Identity for Unit {
        fn identify(&self, _: &mut larder::key::KeyWriter<'_>) {}
    }
    #[allow(clippy::needless_borrowed_reference)]
    #[cached(key = (a, b, c, d, whole, g), tags = [("a", a), ("whole", whole.0)])]
    fn f(
        &a: &u64,
        &(ref b, _): &(String, u8),
        (Ok(c) | Err(c)): Result<u64, u64>,
        ((d, ..), _): ((u64, u8, u8), u8),
        whole @ (e, _): (u64, u64),
        Unit: Unit,
        [first, .., g]: [u64; 4],
        _: &str,
    ) -> u64 {
        RUNS.add();
        a + b.len() as u64 + c + d + e + whole.1 + first + g
    }
    let call = |c| f(&1, &("ab".into(), 0), c, ((3, 0, 0), 0), (4, 5), Unit, [6, 0, 0, 7], "");
    for _ in 0..2 {
        assert_eq!((call(Ok(10)), call(Err(20))), (38, 48));
    }
    assert_eq!(RUNS.get(), 2);
}

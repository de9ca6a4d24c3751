//! `map` and `stored`: what is done to every returned value, hit or miss, and never stored.

use larder::{blocking, cached};

use crate::support::{Runs, cache};

#[test]
fn of_the_same_type() {
    static RUNS: Runs = Runs::new();
    static MAPS: Runs = Runs::new();
    #[cached(map = |text| format!("{text}{}", MAPS.add()))]
    fn f(text: &str) -> String {
        RUNS.add();
        text.to_owned()
    }
    assert_eq!((f("a"), f("a"), f("a")), ("a1".into(), "a2".into(), "a3".into()), "not stored, so never mapped twice");
    assert_eq!((RUNS.get(), MAPS.get()), (1, 3));
}

#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Raw {
    cents: u64,
}

/// Without serde, without `Clone`.
#[derive(Debug, PartialEq)]
struct Price(String);

fn decorate(raw: Raw) -> Price {
    Price(format!("{}.{:02} €", raw.cents / 100, raw.cents % 100))
}

#[tokio::test]
async fn of_another_type() {
    static RUNS: Runs = Runs::new();
    #[cached(map = decorate, stored = Raw, cache_if = |raw| raw.cents > 100, tags = ["price"])]
    async fn f(id: u64) -> Price {
        RUNS.add();
        tokio::task::yield_now().await;
        if id == 0 {
            return Raw { cents: 0 };
        }
        Raw { cents: id * 100 + 5 }
    }
    cache()
        .with(async {
            for _ in 0..2 {
                assert_eq!((f(1).await, f(12).await), (Price("1.05 €".into()), Price("12.05 €".into())));
            }
            assert_eq!(RUNS.get(), 2);
            (f(0).await, f(0).await);
            assert_eq!(RUNS.get(), 4, "the other options see what is stored");
            larder::invalidate_tag("price").await.unwrap();
            f(1).await;
            assert_eq!(RUNS.get(), 5);
        })
        .await;
}

#[test]
fn of_a_result() {
    static RUNS: Runs = Runs::new();
    #[cached(map = |raw| raw.map(decorate).map_err(|code| format!("code {code}")), stored = Result<Raw, u8>)]
    fn f(id: u64) -> Result<Price, String> {
        RUNS.add();
        let cents = id.checked_mul(100).ok_or(7)?;
        Ok(Raw { cents })
    }
    for _ in 0..2 {
        assert_eq!((f(1), f(u64::MAX)), (Ok(Price("1.00 €".into())), Err("code 7".into())));
    }
    assert_eq!(RUNS.get(), 3, "an Err isn't stored here either");
}

#[test]
fn it_may_use_arguments() {
    static RUNS: Runs = Runs::new();
    #[cached(map = |names| names[at].clone(), stored = Vec<String>, key = text)]
    fn f(text: &str, at: usize) -> String {
        RUNS.add();
        text.split(' ').map(str::to_owned).collect()
    }
    assert_eq!((f("a b c", 0), f("a b c", 2)), ("a".into(), "c".into()));
    assert_eq!(RUNS.get(), 1);
}

#[test]
fn to_a_type_without_a_name() {
    static RUNS: Runs = Runs::new();
    #[cached(map = |list| list.into_iter().rev(), stored = Vec<u64>)]
    fn f(n: u64) -> impl Iterator<Item = u64> {
        RUNS.add();
        (0..n).collect()
    }
    assert_eq!((f(3).collect::<Vec<_>>(), f(3).sum::<u64>()), (vec![2, 1, 0], 3));
    assert_eq!(RUNS.get(), 1);
}

#[test]
fn inside_another_function() {
    static MAPS: Runs = Runs::new();
    #[cached(map = |n| n + MAPS.add(), tags = ["leaf"])]
    fn leaf() -> usize {
        10
    }
    static RUNS: Runs = Runs::new();
    #[cached]
    fn root() -> usize {
        RUNS.add();
        leaf()
    }
    cache().with_sync(|| {
        assert_eq!((root(), leaf(), root()), (11, 12, 11), "what is computed from it is stored as it was");
        blocking::invalidate_tag("leaf").unwrap();
        assert_eq!((root(), RUNS.get()), (13, 2));
    });
}

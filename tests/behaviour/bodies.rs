//! Bodies: whatever a function may contain, it may contain when it is cached.

use std::sync::Arc;

use larder::cached;
use tokio::task::yield_now;

use crate::support::{Runs, cache};

#[test]
fn question_mark_and_early_return() {
    static RUNS: Runs = Runs::new();
    #[cached]
    fn f(text: &str) -> Result<i64, std::num::ParseIntError> {
        RUNS.add();
        if text.is_empty() {
            return Ok(0);
        }
        let number: i64 = text.parse()?;
        Ok(number * 2)
    }
    for _ in 0..2 {
        assert_eq!((f(""), f("21"), f("x").is_err()), (Ok(0), Ok(42), true));
    }
    assert_eq!(RUNS.get(), 4);

    static OPTION: Runs = Runs::new();
    #[cached]
    fn option(list: &[u64]) -> Option<u64> {
        OPTION.add();
        let first = list.first()?;
        Some(first + list.get(1)?)
    }
    for _ in 0..2 {
        assert_eq!((option(&[1]), option(&[1, 2])), (None, Some(3)));
    }
    assert_eq!(OPTION.get(), 2);
}

#[tokio::test]
async fn question_mark_and_early_return_async() {
    static RUNS: Runs = Runs::new();
    #[cached]
    async fn f(text: &str) -> Result<i64, Box<dyn std::error::Error + Send + Sync>> {
        RUNS.add();
        if text.is_empty() {
            return Ok(0);
        }
        yield_now().await;
        let number: i64 = text.parse()?;
        if number < 0 {
            Err("negative")?;
        }
        Ok(number)
    }
    for _ in 0..2 {
        assert_eq!((f("").await.unwrap(), f("21").await.unwrap()), (0, 21));
        assert_eq!(f("-1").await.unwrap_err().to_string(), "negative");
        assert!(f("x").await.is_err());
    }
    assert_eq!(RUNS.get(), 6);
}

#[test]
fn shadowing_and_loops() {
    static RUNS: Runs = Runs::new();
    #[cached]
    fn f(n: u64, call: u64, key: &str) -> u64 {
        let n = n + 1;
        let (call, value, verdict, tags, __larder_call) = (call, 1, 2, 3, 4);
        let found = 'outer: loop {
            for i in 0.. {
                if i * i > n {
                    break 'outer i;
                }
                if i == 1_000 {
                    continue 'outer;
                }
            }
        };
        let block = 'block: {
            if key.is_empty() {
                break 'block 0;
            }
            10
        };
        RUNS.add();
        found + block + call + value + verdict + tags + __larder_call
    }
    for _ in 0..2 {
        assert_eq!((f(15, 0, ""), f(15, 100, "k")), (15, 125));
    }
    assert_eq!(RUNS.get(), 2);
}

#[tokio::test]
async fn moving_arguments() {
    static RUNS: Runs = Runs::new();
    #[cached]
    async fn f(name: String, list: Vec<String>, shared: Arc<str>) -> (String, usize) {
        RUNS.add();
        let task = tokio::spawn(async move { list.into_iter().map(|text| text.len()).sum::<usize>() });
        let closure = move |extra: usize| name.clone() + &shared + &"!".repeat(extra);
        let lazy = async { closure(2) };
        (lazy.await, task.await.unwrap())
    }
    let call = || f("a".into(), vec!["bc".into()], "d".into());
    for _ in 0..2 {
        assert_eq!(call().await, ("ad!!".into(), 2));
    }
    assert_eq!(RUNS.get(), 1);
}

#[test]
fn nothing_and_statements() {
    static RUNS: Runs = Runs::new();
    #[cached]
    fn nothing() {}
    #[cached]
    fn unit(id: u64) {
        if id > 1 {
            return;
        }
        RUNS.add();
    }
    #[cached]
    fn explicit(id: u64) -> () {
        let _ = (id, RUNS.add());
    }
    for _ in 0..2 {
        nothing();
        unit(1);
        unit(2);
        explicit(1);
    }
    assert_eq!(RUNS.get(), 2);
}

#[test]
fn items_attributes_and_macros() {
    macro_rules! or_return {
        ($value:expr) => {
            match $value {
                Some(value) => value,
                None => return 0,
            }
        };
    }
    static RUNS: Runs = Runs::new();
    /// Documented.
    #[must_use]
    #[inline]
    #[allow(clippy::items_after_statements, non_snake_case)]
    #[cached]
    fn f(Id: Option<u64>) -> u64 {
        #![allow(clippy::redundant_locals)]
        use std::cmp::max;
        const ONE: u64 = 1;
        static TWO: u64 = 2;
        struct Local(u64);
        impl Local {
            fn get(&self) -> u64 {
                self.0
            }
        }
        fn f(id: u64) -> u64 {
            id * 10
        }
        type Result = u64;
        enum Option {
            #[allow(dead_code)]
            Some(u64),
        }
        let Option::Some(_) = Option::Some(1);
        RUNS.add();
        let id: Result = or_return!(Id);
        max(f(Local(id).get()), ONE + TWO)
    }
    for _ in 0..2 {
        assert_eq!((f(Some(7)), f(None)), (70, 0));
    }
    assert_eq!(RUNS.get(), 2);
}

#[test]
fn a_function_made_by_a_macro() {
    static RUNS: Runs = Runs::new();
    macro_rules! make {
        ($name:ident($arg:ident: $type:ty) -> $ret:ty, $ttl:literal, $tag:expr, $body:block) => {
            #[cached(ttl = $ttl, tags = [$tag], key = $arg)]
            fn $name($arg: $type) -> $ret $body
        };
    }
    make!(f(id: u64) -> u64, "5m", "tag", { RUNS.add(); id + 1 });
    assert_eq!((f(1), f(1)), (2, 2));
    assert_eq!(RUNS.get(), 1);
}

#[test]
fn recursion() {
    static RUNS: Runs = Runs::new();
    #[cached]
    fn fibonacci(n: u64) -> u64 {
        RUNS.add();
        if n < 2 { n } else { fibonacci(n - 1) + fibonacci(n - 2) }
    }
    cache().with_sync(|| assert_eq!(fibonacci(80), 23_416_728_348_467_685));
    assert_eq!(RUNS.get(), 81);
}

#[tokio::test]
async fn async_recursion() {
    static RUNS: Runs = Runs::new();
    #[cached]
    async fn even(n: u64) -> bool {
        RUNS.add();
        n == 0 || Box::pin(odd(n - 1)).await
    }
    #[cached]
    async fn odd(n: u64) -> bool {
        RUNS.add();
        n != 0 && Box::pin(even(n - 1)).await
    }
    assert!(even(20).await && even(20).await && odd(19).await && !even(21).await);
    assert_eq!(RUNS.get(), 21 + 22);
}

#[test]
fn a_panic_is_the_callers_and_nothing_is_stored() {
    static RUNS: Runs = Runs::new();
    #[cached]
    fn f(id: u64) -> u64 {
        assert!(RUNS.add() > 1, "the first time");
        id
    }
    let panic = std::panic::catch_unwind(|| f(1)).unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"the first time"));
    assert_eq!((f(1), f(1)), (1, 1));
    assert_eq!(RUNS.get(), 2);
}

#[tokio::test]
async fn sync_in_async_in_sync() {
    static RUNS: Runs = Runs::new();
    #[cached(tags = ["leaf"])]
    fn leaf() -> usize {
        RUNS.add()
    }
    #[cached]
    async fn middle() -> usize {
        yield_now().await;
        leaf()
    }
    #[cached]
    fn root() -> usize {
        crate::support::block_on(middle())
    }
    let call = || std::thread::spawn(root).join().unwrap();
    assert_eq!((call(), call()), (1, 1));
    larder::invalidate_tag("leaf").await.unwrap();
    assert_eq!((call(), call()), (2, 2));
    assert_eq!(RUNS.get(), 2);
}

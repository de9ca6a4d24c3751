//! `key`: what identifies a call instead of all its arguments.

use larder::cached;
use serde::Serialize;

use crate::support::{Runs, cache};

#[derive(Clone, Serialize)]
struct User {
    id: u64,
    name: String,
}

fn user(id: u64, name: &str) -> User {
    User { id, name: name.to_owned() }
}

#[test]
fn one_expression() {
    static RUNS: Runs = Runs::new();
    #[cached(key = user.id)]
    fn f(user: &User) -> String {
        RUNS.add();
        user.name.clone()
    }
    assert_eq!((f(&user(1, "a")), f(&user(1, "b"))), ("a".into(), "a".into()), "the name doesn't count");
    assert_eq!(f(&user(2, "b")), "b");
    assert_eq!(RUNS.get(), 2);
}

#[test]
fn a_tuple() {
    static RUNS: Runs = Runs::new();
    #[cached(key = (tenant, user.id))]
    fn f(tenant: &str, user: User, noise: u64) -> u64 {
        RUNS.add();
        noise + user.id
    }
    assert_eq!(f("t", user(1, "a"), 10), 11);
    assert_eq!(f("t", user(1, "b"), 20), 11);
    assert_eq!(f("u", user(1, "a"), 30), 31);
    assert_eq!(f("t", user(2, "a"), 40), 42);
    assert_eq!(RUNS.get(), 3);
}

#[test]
fn tuples_in_a_tuple() {
    static RUNS: Runs = Runs::new();
    #[cached(key = ((a, b), (name, ()), 1), helpers = [prime])]
    fn f(a: String, b: Vec<String>, name: &str) -> (String, usize) {
        RUNS.add();
        (a + name, b.len())
    }
    for _ in 0..2 {
        assert_eq!(f("a".into(), vec!["b".into()], "c"), ("ac".into(), 1));
        assert_eq!(f("a".into(), vec![], "bc"), ("abc".into(), 0));
    }
    assert_eq!(RUNS.get(), 2);
    prime_f("a".into(), vec![], "bc", (String::new(), 7)).unwrap();
    invalidate_f("a".into(), vec!["b".into()], "c").unwrap();
    assert_eq!((f("a".into(), vec![], "bc").1, RUNS.get()), (7, 2));
    assert_eq!((f("a".into(), vec!["b".into()], "c").1, RUNS.get()), (1, 3));
}

#[test]
fn parts_that_borrow_what_is_made_on_the_spot() {
    static RUNS: Runs = Runs::new();
    static LIMITS: std::sync::Mutex<(u64, u64)> = std::sync::Mutex::new((1, 2));
    #[cached(key = (name.to_lowercase().trim(), LIMITS.lock().unwrap().0, LIMITS.lock().unwrap().1), helpers = [prime, peek])]
    fn f(name: &str) -> usize {
        let _ = name;
        RUNS.add()
    }
    assert_eq!((f("Ann "), f("ann"), f("bob")), (1, 1, 2));
    prime_f("ANN", 7).unwrap();
    assert_eq!(peek_f(" ann"), Some(7));
    LIMITS.lock().unwrap().1 = 3;
    assert_eq!((f("ann"), RUNS.get()), (3, 3));
    invalidate_f("Ann").unwrap();
    assert_eq!(peek_f("ann"), None);
}

#[test]
fn made_on_the_spot() {
    static RUNS: Runs = Runs::new();
    #[cached(key = (name.to_lowercase(), &list[..1], { let twice = n * 2; twice.min(4) }, if n > 1 { Some(true) } else { None }))]
    fn f(name: &str, list: Vec<u8>, n: u64) -> usize {
        drop(list);
        RUNS.add()
    }
    assert_eq!(f("Ann", vec![1, 2], 2), 1);
    assert_eq!(f("ANN", vec![1, 3], 3), 1);
    assert_eq!(f("ANN", vec![2], 3), 2);
    assert_eq!(f("ANN", vec![2], 1), 3);
    assert_eq!(RUNS.get(), 3);
}

#[test]
fn nothing() {
    static RUNS: Runs = Runs::new();
    #[cached(key = ())]
    fn f(id: u64) -> u64 {
        RUNS.add();
        id
    }
    assert_eq!((f(1), f(2)), (1, 1), "all calls are one");
    assert_eq!(RUNS.get(), 1);
}

#[test]
fn it_is_computed_once_a_call() {
    static KEYS: Runs = Runs::new();
    fn noted(id: u64) -> u64 {
        KEYS.add();
        id
    }
    static RUNS: Runs = Runs::new();
    #[cached(key = noted(id))]
    fn f(id: u64) -> u64 {
        RUNS.add();
        id
    }
    (f(1), f(1), f(2));
    assert_eq!((KEYS.get(), RUNS.get()), (3, 2));
}

struct Shop {
    id: u64,
    /// Not part of any key, and couldn't be.
    opened: std::cell::Cell<u64>,
}

static SHOP: Runs = Runs::new();

impl Shop {
    #[cached(key = (self.id, item))]
    fn price(&self, item: &str) -> String {
        SHOP.add();
        format!("{}:{item}:{}", self.id, self.opened.get())
    }
}

#[test]
fn of_self() {
    let shop = |id, opened| Shop { id, opened: std::cell::Cell::new(opened) };
    cache().with_sync(|| {
        assert_eq!(shop(1, 0).price("tea"), "1:tea:0");
        assert_eq!(shop(1, 1).price("tea"), "1:tea:0", "one shop, as far as the key says");
        assert_eq!(shop(2, 1).price("tea"), "2:tea:1");
        assert_eq!(shop(1, 1).price("oil"), "1:oil:1");
        assert_eq!(SHOP.get(), 3);
        shop(1, 9).invalidate_price("tea").unwrap();
        assert_eq!(shop(1, 2).price("tea"), "1:tea:2");
        assert_eq!(shop(2, 2).price("tea"), "2:tea:1");
        Shop::invalidate_all_price().unwrap();
        assert_eq!(shop(2, 3).price("tea"), "2:tea:3");
        assert_eq!(SHOP.get(), 5);
    });
}

#[tokio::test]
async fn of_an_async_function_that_moves_its_arguments() {
    static RUNS: Runs = Runs::new();
    #[cached(key = (user.id, &tags[0]))]
    async fn f(user: User, tags: Vec<String>) -> String {
        RUNS.add();
        tokio::task::yield_now().await;
        drop(tags);
        user.name
    }
    let tags = || vec!["x".to_owned()];
    assert_eq!(f(user(1, "a"), tags()).await, "a");
    assert_eq!(f(user(1, "b"), tags()).await, "a");
    assert_eq!(f(user(1, "b"), vec!["y".into()]).await, "b");
    assert_eq!(RUNS.get(), 2);
    invalidate_f(user(1, ""), tags()).await.unwrap();
    assert_eq!(f(user(1, "c"), tags()).await, "c");
    assert_eq!(RUNS.get(), 3);
}

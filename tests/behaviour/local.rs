//! `local`: in memory only, so that nothing needs to be serialized.

use std::borrow::Cow;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;

use larder::cached;

use crate::support::Runs;

/// Without serde.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct User {
    id: u64,
    name: String,
}

fn user(id: u64, name: &str) -> User {
    User { id, name: name.to_owned() }
}

#[test]
fn keys_that_are_hashed_and_compared() {
    static RUNS: Runs = Runs::new();
    #[cached(local)]
    fn f(a: User, b: u64, c: User) -> User {
        RUNS.add();
        user(a.id + b, &c.name)
    }
    for _ in 0..2 {
        assert_eq!(f(user(1, "a"), 1, user(2, "b")), user(2, "b"));
        assert_eq!(f(user(2, "b"), 1, user(1, "a")), user(3, "a"));
        assert_eq!(f(user(1, "a"), 2, user(2, "b")), user(3, "b"));
        assert_eq!(f(user(1, "x"), 1, user(2, "b")), user(2, "b"));
    }
    assert_eq!(RUNS.get(), 4);
    invalidate_f(user(1, "a"), 1, user(2, "b")).unwrap();
    f(user(1, "a"), 1, user(2, "b"));
    f(user(2, "b"), 1, user(1, "a"));
    assert_eq!(RUNS.get(), 5);
}

#[test]
fn keys_of_one_hash() {
    #[derive(Clone, PartialEq, Eq)]
    struct Clash(u64);
    impl Hash for Clash {
        fn hash<H: std::hash::Hasher>(&self, _: &mut H) {}
    }
    static RUNS: Runs = Runs::new();
    #[cached(local)]
    fn f(clash: Clash) -> u64 {
        RUNS.add();
        clash.0
    }
    for _ in 0..2 {
        assert_eq!((f(Clash(1)), f(Clash(2))), (1, 2), "a hash is no proof");
    }
    assert_eq!(RUNS.get(), 2);
}

#[test]
fn borrowed_keys() {
    static RUNS: Runs = Runs::new();
    #[cached(local)]
    fn f(a: &User, b: &[User], c: Option<&User>, d: &[&User], e: Cow<'_, User>) -> usize {
        let _ = (a, b, c, d, e);
        RUNS.add()
    }
    let (one, two) = (user(1, "a"), user(2, "b"));
    let list = [one.clone(), two.clone()];
    let calls: [&dyn Fn() -> usize; 7] = [
        &|| f(&one, &list, None, &[], Cow::Borrowed(&one)),
        &|| f(&two, &list, None, &[], Cow::Borrowed(&one)),
        &|| f(&one, &list[..1], None, &[], Cow::Borrowed(&one)),
        &|| f(&one, &list, Some(&one), &[], Cow::Borrowed(&one)),
        &|| f(&one, &list, Some(&two), &[], Cow::Borrowed(&one)),
        &|| f(&one, &list, None, &[&one, &two], Cow::Borrowed(&one)),
        &|| f(&one, &list, None, &[&two, &one], Cow::Borrowed(&two)),
    ];
    let first = calls.map(|call| call());
    assert_eq!(first, [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(first, calls.map(|call| call()));
    assert_eq!(f(&user(1, "a"), &list.clone(), None, &[], Cow::Owned(user(1, "a"))), 1, "by value");
    assert_eq!(RUNS.get(), 7);
}

#[test]
fn keys_that_borrow_inside() {
    #[derive(Clone, PartialEq, Eq, Hash, serde::Serialize)]
    struct Query<'a> {
        text: &'a str,
        limit: u64,
    }
    static RUNS: Runs = Runs::new();
    #[cached(local)]
    fn f(query: &Query<'_>, user: &User, (name, other): (&str, Option<Query<'_>>), all: Vec<Query<'_>>) -> usize {
        let _ = (query.limit, user, name, other, all);
        RUNS.add()
    }
    let text = String::from("a");
    let query = |limit| Query { text: &text, limit };
    let calls: [&dyn Fn() -> usize; 5] = [
        &|| f(&query(1), &user(1, "a"), (&text, None), vec![]),
        &|| f(&query(2), &user(1, "a"), (&text, None), vec![]),
        &|| f(&query(1), &user(2, "a"), (&text, None), vec![]),
        &|| f(&query(1), &user(1, "a"), (&text, Some(query(1))), vec![]),
        &|| f(&query(1), &user(1, "a"), (&text, None), vec![query(1)]),
    ];
    for _ in 0..2 {
        assert_eq!(calls.map(|call| call()), [1, 2, 3, 4, 5]);
    }
    invalidate_f(&query(1), &user(2, "a"), (&text, None), vec![]).unwrap();
    assert_eq!(calls.map(|call| call()), [1, 2, 6, 4, 5]);
}

#[test]
fn results_of_any_kind() {
    trait Greet: Send + Sync {
        fn greet(&self) -> String;
    }
    impl Greet for User {
        fn greet(&self) -> String {
            format!("hello {}", self.name)
        }
    }
    static RUNS: Runs = Runs::new();
    #[cached(local)]
    fn object(name: &str) -> Arc<dyn Greet> {
        RUNS.add();
        Arc::new(user(1, name))
    }
    #[cached(local)]
    fn text(number: u64) -> &'static str {
        RUNS.add();
        if number > 1 { "many" } else { "few" }
    }
    #[cached(local)]
    fn function(add: bool) -> fn(u64, u64) -> u64 {
        RUNS.add();
        if add { |a, b| a + b } else { |a, b| a * b }
    }
    #[cached(local)]
    fn fallible(fine: bool) -> Result<User, Box<dyn std::error::Error + Send + Sync>> {
        RUNS.add();
        if fine { Ok(user(1, "a")) } else { Err("no".into()) }
    }
    for _ in 0..2 {
        assert_eq!(object("ann").greet(), "hello ann");
        assert_eq!((text(1), text(2)), ("few", "many"));
        assert_eq!((function(true)(3, 4), function(false)(3, 4)), (7, 12));
        assert_eq!(fallible(true).unwrap(), user(1, "a"));
    }
    assert!(Arc::ptr_eq(&object("ann"), &object("ann")));
    assert_eq!(RUNS.get(), 6);
    assert!(fallible(false).is_err() && fallible(false).is_err());
    assert_eq!(RUNS.get(), 8);
}

#[test]
fn generic_functions() {
    static RUNS: Runs = Runs::new();
    #[cached(local)]
    fn f<T>(value: T) -> (usize, T)
    where
        T: Hash + Eq + Clone + Send + Sync + 'static,
    {
        (RUNS.add(), value)
    }
    for _ in 0..2 {
        assert_eq!((f(1_u8), f(1_u16), f(2_u8)), ((1, 1), (2, 1), (3, 2)));
        assert_eq!((f("a"), f(String::from("a")), f(user(1, "a"))), ((4, "a"), (5, "a".into()), (6, user(1, "a"))));
    }
    assert_eq!(RUNS.get(), 6);
    invalidate_f(1_u8).unwrap();
    assert_eq!((f(1_u8), f(1_u16)), ((7, 1), (2, 1)));
    invalidate_all_f().unwrap();
    assert_eq!((f(1_u8), f(1_u16)), ((8, 1), (9, 1)), "all of them, whatever the type");
}

#[test]
fn types_and_constants_alone_make_a_difference() {
    static RUNS: Runs = Runs::new();
    #[cached(local)]
    fn size<T: ?Sized, const N: usize>() -> usize
    where
        T: Debug,
    {
        let _ = std::any::type_name::<T>();
        RUNS.add() * 10 + N
    }
    for _ in 0..2 {
        assert_eq!((size::<u8, 1>(), size::<u8, 2>(), size::<[u8], 1>(), size::<str, 1>()), (11, 22, 31, 41));
    }
    assert_eq!(RUNS.get(), 4);
}

#[tokio::test]
async fn async_and_generic() {
    static RUNS: Runs = Runs::new();
    #[cached(local, tags = [("n", N)])]
    async fn f<T: Hash + Eq + Clone + Send + Sync + 'static, const N: usize>(value: &T, list: [u8; N]) -> T {
        let _ = list;
        RUNS.add();
        tokio::task::yield_now().await;
        value.clone()
    }
    let one = user(1, "a");
    for _ in 0..2 {
        assert_eq!((f(&one, [1]).await, f(&one, [1, 2]).await, f(&1, [1]).await), (one.clone(), one.clone(), 1));
    }
    assert_eq!(RUNS.get(), 3);
}

mod apart {
    use super::{Runs, cached};

    pub(super) static RUNS: Runs = Runs::new();

    #[cached(local)]
    fn answer<T: Answer>() -> u64 {
        RUNS.add();
        T::ANSWER
    }

    trait Answer {
        const ANSWER: u64;
    }

    pub(super) fn one() -> u64 {
        struct Local;
        impl Answer for Local {
            const ANSWER: u64 = 1;
        }
        answer::<Local>()
    }

    pub(super) fn two() -> (u64, u64) {
        let first = {
            struct Local;
            impl Answer for Local {
                const ANSWER: u64 = 2;
            }
            answer::<Local>()
        };
        let second = {
            struct Local;
            impl Answer for Local {
                const ANSWER: u64 = 3;
            }
            answer::<Local>()
        };
        (first, second)
    }
}

#[test]
fn types_of_one_name_are_different_types() {
    for _ in 0..2 {
        assert_eq!((apart::one(), apart::two()), (1, (2, 3)));
    }
    assert_eq!(apart::RUNS.get(), 3);
}

//! `scope`, `with_scope`, `default_scope` and `Scope`: partitions of a cache.

use std::sync::{LazyLock, Mutex};

use larder::{Cache, Scope, blocking, cached, with_scope, with_scope_sync};
use tokio::task::yield_now;

use crate::support::{Runs, block_on, cache};

#[test]
fn the_option() {
    static RUNS: Runs = Runs::new();
    #[cached(scope = tenant, key = id)]
    fn f(tenant: &str, id: u64) -> String {
        RUNS.add();
        format!("{tenant}{id}{}", larder::scope().unwrap())
    }
    assert_eq!((f("a", 1), f("b", 1)), ("a1a".into(), "b1b".into()), "the key is the same, the scope isn't");
    (f("a", 1), f("b", 1));
    assert_eq!(RUNS.get(), 2);
}

#[test]
fn the_option_takes_whatever_is_displayed() {
    struct Tenant {
        number: u64,
    }
    static RUNS: Runs = Runs::new();
    #[cached(skip(tenant), scope = format_args!("tenant-{:>60}", tenant.number))]
    fn long(tenant: &Tenant) -> u64 {
        RUNS.add();
        tenant.number
    }
    #[cached(scope = number / 10, key = ())]
    fn number(number: u64) -> u64 {
        RUNS.add();
        number
    }
    #[cached(scope = team, key = ())]
    fn pattern((team, id): (char, u64)) -> u64 {
        RUNS.add();
        id
    }
    let tenants = [1, 2].map(|number| Tenant { number });
    for _ in 0..2 {
        assert_eq!(tenants.each_ref().map(long), [1, 2]);
        assert_eq!([1, 12, 13].map(number), [1, 12, 12]);
        assert_eq!([('a', 1), ('b', 2), ('a', 3)].map(pattern), [1, 2, 1]);
    }
    assert_eq!(RUNS.get(), 6);
}

#[test]
fn around_calls() {
    static RUNS: Runs = Runs::new();
    #[cached]
    fn f(id: u64) -> String {
        RUNS.add();
        format!("{id}{}", larder::scope().unwrap())
    }
    for _ in 0..2 {
        assert_eq!(f(1), "1");
        assert_eq!(with_scope_sync("a", || f(1)), "1a");
        assert_eq!(with_scope_sync(Scope::new("b"), || f(1)), "1b");
        assert_eq!(
            with_scope_sync("a", || with_scope_sync(String::from("c"), || f(1)) + &f(1)),
            "1c1a",
            "the inner one"
        );
        assert_eq!(with_scope_sync("", || f(1)), "1", "the empty name is the default scope");
    }
    assert_eq!(RUNS.get(), 4);
}

#[tokio::test]
async fn around_futures() {
    static RUNS: Runs = Runs::new();
    #[cached]
    async fn f(id: u64) -> String {
        RUNS.add();
        yield_now().await;
        format!("{id}{}", larder::scope().unwrap())
    }
    let call = async || {
        yield_now().await;
        let first = f(1).await;
        yield_now().await;
        first + &f(2).await
    };
    for _ in 0..2 {
        let all = tokio::join!(with_scope("a", call()), with_scope("b", call()), call());
        assert_eq!(all, ("1a2a".into(), "1b2b".into(), "12".into()), "side by side on one thread");
    }
    assert_eq!(RUNS.get(), 6);
}

#[test]
fn nested_functions_inherit_it() {
    static RUNS: Runs = Runs::new();
    #[cached]
    fn child() -> String {
        RUNS.add();
        larder::scope().unwrap().to_string()
    }
    #[cached(scope = tenant)]
    fn parent(tenant: &str) -> String {
        child()
    }
    #[cached(scope = "elsewhere")]
    fn elsewhere() -> String {
        child()
    }
    for _ in 0..2 {
        assert_eq!(
            (parent("a"), parent("b"), child(), elsewhere()),
            ("a".into(), "b".into(), "".into(), "elsewhere".into())
        );
        assert_eq!(with_scope_sync("a", child), "a", "the entry that `parent(\"a\")` left");
        assert_eq!(with_scope_sync("a", elsewhere), "elsewhere", "the option counts more");
    }
    assert_eq!(RUNS.get(), 4);
}

static CURRENT: Mutex<Option<String>> = Mutex::new(None);

fn by_default(scope: Option<&str>) {
    *CURRENT.lock().unwrap() = scope.map(str::to_owned);
}

#[tokio::test]
async fn the_default() {
    static RUNS: Runs = Runs::new();
    #[cached]
    async fn child() -> String {
        RUNS.add();
        larder::scope().unwrap().to_string()
    }
    #[cached]
    async fn parent() -> String {
        let before = child().await;
        // What becomes the default meanwhile is nobody's business: the run goes on where it began.
        by_default(Some("later"));
        yield_now().await;
        before + &child().await
    }
    let cache = Cache::builder().default_scope(|| CURRENT.lock().unwrap().clone()).build().unwrap();
    cache
        .with(async {
            by_default(Some("a"));
            assert_eq!(child().await, "a");
            assert_eq!(parent().await, "aa");
            assert_eq!(RUNS.get(), 1);
            assert_eq!(child().await, "later");
            by_default(None);
            assert_eq!(child().await, "");
            assert_eq!(RUNS.get(), 3);
            by_default(Some("a"));
            assert_eq!(with_scope("b", child()).await, "b", "what is around the call counts more");
            assert_eq!(RUNS.get(), 4);
            invalidate_child().await.unwrap();
            assert_eq!(child().await, "a");
            assert_eq!(RUNS.get(), 5);
        })
        .await;
}

/// `f` in the scopes "", "a" and "b": which of them ran again since the last time.
fn ran(f: fn() -> usize) -> [bool; 3] {
    let calls = || ["", "a", "b"].map(|scope| with_scope_sync(scope, f));
    static LAST: Mutex<usize> = Mutex::new(0);
    let mut last = LAST.lock().unwrap();
    let ran = calls().map(|run| run > *last);
    *last = calls().into_iter().max().unwrap();
    ran
}

type Invalidate<'a> = dyn FnMut() -> Result<larder::Invalidated, larder::Error> + 'a;

#[test]
fn invalidation() {
    static RUNS: Runs = Runs::new();
    #[cached(tags = [("user", 1)])]
    fn f() -> usize {
        RUNS.add()
    }
    cache().with_sync(|| {
        assert_eq!(ran(f), [true; 3]);
        assert_eq!(ran(f), [false; 3]);
        let (a, unused) = (Scope::new("a"), Scope::new("unused"));
        let cases: &mut [(&str, &mut Invalidate<'_>, [bool; 3])] = &mut [
            ("a tag in all scopes", &mut || blocking::invalidate_tag("user"), [true; 3]),
            ("in whichever it is called", &mut || with_scope_sync("a", || blocking::invalidate_tag("user")), [true; 3]),
            ("a tag in one scope", &mut || blocking::invalidate_tag_in(&a, ("user", 1)), [false, true, false]),
            ("a prefix in one scope", &mut || blocking::invalidate_tag_in("b", "user"), [false, false, true]),
            ("in the global scope", &mut || blocking::invalidate_tag_in(Scope::global(), "user"), [true; 3]),
            ("another tag", &mut || blocking::invalidate_tag_in("b", "order"), [false; 3]),
            ("a scope", &mut || blocking::clear(&a), [false, true, false]),
            ("the default scope", &mut || blocking::clear(""), [true, false, false]),
            ("another scope", &mut || blocking::clear(&unused), [false; 3]),
            ("a key, in the current scope", &mut || with_scope_sync("a", invalidate_f), [false, true, false]),
            ("a key, in the default scope", &mut invalidate_f, [true, false, false]),
            ("a function, in the current scope", &mut || with_scope_sync("b", invalidate_all_f), [false, false, true]),
            ("everything", &mut || block_on(Cache::ambient().reset()), [true; 3]),
        ];
        for (what, invalidate, expected) in cases {
            invalidate().unwrap();
            assert_eq!(ran(f), *expected, "{what}");
            assert_eq!(ran(f), [false; 3], "{what}");
        }
    });
    assert_eq!(RUNS.get(), 3 + 3 + 3 + 1 + 1 + 3 + 1 + 1 + 1 + 1 + 1 + 3);
}

#[tokio::test]
async fn invalidation_reaches_what_was_computed_in_another_scope() {
    #[cached(scope = "inner", tags = ["leaf"])]
    async fn leaf() -> u64 {
        1
    }
    static RUNS: Runs = Runs::new();
    #[cached]
    async fn root() -> u64 {
        RUNS.add();
        leaf().await
    }
    cache()
        .with(with_scope("outer", async {
            root().await;
            Scope::new("outer").invalidate_tag("leaf").await.unwrap();
            root().await;
            assert_eq!(RUNS.get(), 1, "the leaf isn't in that scope");
            Scope::new("inner").invalidate_tags(["leaf", "x"]).await.unwrap();
            root().await;
            assert_eq!(RUNS.get(), 2);
            Scope::new("inner").clear().await.unwrap();
            root().await;
            assert_eq!(RUNS.get(), 3);
        }))
        .await;
}

#[test]
fn what_a_scope_is() {
    let scope = Scope::new("a");
    assert_eq!((scope.name(), scope.is_global(), &*scope), ("a", false, "a"));
    assert_eq!((scope.to_string(), format!("{scope:?}")), ("a".into(), "Scope(\"a\")".into()));
    assert_eq!(scope, "a");
    assert_eq!(Scope::new(""), Scope::global());
    assert!(Scope::default().is_global());
    assert!(larder::scope().is_none(), "there is one inside of functions and of `with_scope` only");
    assert_eq!(with_scope_sync("a", larder::scope), Some(Scope::new("a")));
}

#[test]
fn what_a_default_scope_is_made_of_is_in_the_global_one() {
    static RUNS: Runs = Runs::new();
    #[cached]
    fn tenant_of(user: u64) -> u64 {
        RUNS.add();
        assert!(larder::scope().is_some_and(|scope| scope.is_global()));
        user / 10
    }
    #[cached]
    fn f() -> String {
        larder::scope().unwrap().to_string()
    }
    let cache = Cache::builder().default_scope(|| Some(format!("tenant {}", tenant_of(70)))).build().unwrap();
    cache.with_sync(|| {
        assert_eq!((f(), f(), RUNS.get()), ("tenant 7".into(), "tenant 7".into(), 1));
        with_scope_sync("", invalidate_all_tenant_of).unwrap();
        assert_eq!((f(), RUNS.get()), ("tenant 7".into(), 2));
    });
}

#[test]
fn whatever_is_displayed() {
    #[cached(scope = *tenant, skip(tenant))]
    fn of_a_dyn(tenant: &(dyn std::fmt::Display + Send)) -> String {
        larder::scope().unwrap().to_string()
    }
    #[cached(scope = tenant, skip(tenant))]
    fn of_a_box(tenant: Box<dyn std::fmt::Display>) -> String {
        larder::scope().unwrap().to_string()
    }
    #[cached(scope = format_args!("{tenant}/{}", 1), skip(tenant))]
    fn of_arguments(tenant: &str) -> String {
        larder::scope().unwrap().to_string()
    }
    assert_eq!((of_a_dyn(&7), of_a_dyn(&"a"), of_a_box(Box::new(8))), ("7".into(), "a".into(), "8".into()));
    assert_eq!(of_arguments("a"), "a/1");
}

#[test]
fn the_default_is_asked_for_while_a_thread_ends() {
    static RUNS: Runs = Runs::new();
    static CACHE: LazyLock<Cache> =
        LazyLock::new(|| Cache::builder().default_scope(|| Some("tenant".into())).build().unwrap());
    #[cached(cache = CACHE)]
    fn f() -> usize {
        RUNS.add()
    }
    struct AtEnd;
    impl Drop for AtEnd {
        fn drop(&mut self) {
            invalidate_f().unwrap();
        }
    }
    thread_local!(static END: AtEnd = const { AtEnd });
    assert_eq!(f(), 1);
    std::thread::spawn(|| {
        END.with(|_| ());
        assert_eq!(f(), 1);
    })
    .join()
    .unwrap();
    assert_eq!(f(), 2);
}

/// Whatever answers the call.
#[test]
fn a_default_scope_is_asked_for_once_a_call() {
    static ASKED: Runs = Runs::new();
    #[cached(max_entries = 10)]
    fn f(id: u64) -> u64 {
        id
    }
    for name in [None, Some("tenant")] {
        let default = move || {
            ASKED.add();
            name.map(str::to_owned)
        };
        let cache = Cache::builder().default_scope(default).build().unwrap();
        let asked = |call: &dyn Fn()| {
            let before = ASKED.get();
            cache.with_sync(call);
            ASKED.get() - before
        };
        assert_eq!(asked(&|| _ = f(1)), 1, "a miss");
        assert_eq!(asked(&|| _ = f(1)), 1, "a hit of this thread's");
        let other = || std::thread::scope(|scope| scope.spawn(|| asked(&|| _ = f(1))).join().unwrap());
        assert_eq!(other(), 1, "a hit of the store");
        assert_eq!(asked(&|| (0..1_000).for_each(|_| _ = f(1))), 1_000);
    }
}

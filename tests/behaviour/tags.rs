//! `tags`: what an answer is about, and invalidation by it.

use std::sync::atomic::{AtomicU64, Ordering};

use larder::{Tag, blocking, cached};

use crate::support::{Runs, cache, seconds, timed, until};

/// What the calls return before and after the invalidation: an answer that stays is the same number.
fn stays<const N: usize>(calls: [&dyn Fn() -> usize; N], invalidate: impl FnOnce()) -> [bool; N] {
    let before = calls.map(|call| call());
    assert_eq!(before, calls.map(|call| call()), "cached at first");
    invalidate();
    let after = calls.map(|call| call());
    assert_eq!(after, calls.map(|call| call()), "and again");
    std::array::from_fn(|call| before[call] == after[call])
}

#[test]
fn a_literal() {
    static RUNS: Runs = Runs::new();
    #[cached(tags = ["users"])]
    fn users(id: u64) -> usize {
        let _ = id;
        RUNS.add()
    }
    #[cached(tags = ["orders"])]
    fn orders() -> usize {
        RUNS.add()
    }
    cache().with_sync(|| {
        let calls: [&dyn Fn() -> usize; 3] = [&|| users(1), &|| users(2), &orders];
        assert_eq!(stays(calls, || drop(blocking::invalidate_tag("users").unwrap())), [false, false, true]);
        assert_eq!(stays(calls, || drop(blocking::invalidate_tag("user").unwrap())), [true; 3], "another tag");
        assert_eq!(stays(calls, || drop(blocking::invalidate_tag("Users").unwrap())), [true; 3], "case counts");
    });
    assert_eq!(RUNS.get(), 5);
}

#[test]
fn arguments_in_braces() {
    static RUNS: Runs = Runs::new();
    #[cached(tags = ["team:{team}", "{id:>3}", "{{team}}", r"raw\{id}"])]
    fn f(team: &str, id: u64) -> usize {
        RUNS.add()
    }
    cache().with_sync(|| {
        let calls: [&dyn Fn() -> usize; 3] = [&|| f("red", 1), &|| f("red", 2), &|| f("blue", 1)];
        for (tag, expected) in [
            ("team:red", [false, false, true]),
            ("team:blue", [true, true, false]),
            ("  1", [false, true, false]),
            ("{team}", [false; 3]),
            (r"raw\2", [true, false, true]),
            ("team:{team}", [true; 3]),
            ("1", [true; 3]),
        ] {
            assert_eq!(stays(calls, || drop(blocking::invalidate_tag(tag).unwrap())), expected, "{tag}");
        }
    });
    assert_eq!(RUNS.get(), 12);
}

#[test]
fn a_tuple_implies_its_prefixes() {
    static RUNS: Runs = Runs::new();
    #[cached(tags = [("user", id, "posts")])]
    fn posts(id: u64) -> usize {
        RUNS.add()
    }
    #[cached(tags = [("user", id)])]
    fn user(id: u64) -> usize {
        RUNS.add()
    }
    #[cached(tags = ["user"])]
    fn users() -> usize {
        RUNS.add()
    }
    cache().with_sync(|| {
        let calls: [&dyn Fn() -> usize; 5] = [&|| posts(1), &|| posts(2), &|| user(1), &|| user(2), &users];
        let (stay, go) = (true, false);
        let invalidate = |tag: Tag| stays(calls, || drop(blocking::invalidate_tag(tag).unwrap()));
        assert_eq!(invalidate(Tag::new("user")), [go, go, go, go, go]);
        assert_eq!(invalidate(Tag::new(("user",))), [go, go, go, go, go]);
        assert_eq!(invalidate(Tag::new(("user", 1))), [go, stay, go, stay, stay]);
        assert_eq!(invalidate(Tag::new(("user", 1, "posts"))), [go, stay, stay, stay, stay]);
        assert_eq!(invalidate(Tag::new(("user", 1, "posts", 1))), [stay; 5]);
        assert_eq!(invalidate(Tag::new("posts")), [stay; 5], "a suffix is no prefix");
        assert_eq!(invalidate(Tag::new((1,))), [stay; 5]);
    });
    assert_eq!(RUNS.get(), 5 + 5 + 5 + 2 + 1);
}

#[test]
fn parts_compare_by_their_text() {
    static RUNS: Runs = Runs::new();
    #[cached(tags = [("user", id)])]
    fn f(id: u32) -> usize {
        RUNS.add()
    }
    const NOTHING: &str = "";
    #[cached(tags = ["a/b"])]
    fn joined() -> usize {
        RUNS.add()
    }
    #[cached(tags = [("a", "b")])]
    fn apart() -> usize {
        RUNS.add()
    }
    #[cached(tags = [("ab", NOTHING)])]
    fn moved() -> usize {
        RUNS.add()
    }
    cache().with_sync(|| {
        let calls: [&dyn Fn() -> usize; 4] = [&|| f(7), &joined, &apart, &moved];
        let (stay, go) = (true, false);
        let invalidate = |tag: Tag| stays(calls, || drop(blocking::invalidate_tag(tag).unwrap()));
        assert_eq!(invalidate(Tag::new(("user", 7_u32))), [go, stay, stay, stay]);
        assert_eq!(invalidate(Tag::new(("user", 7_u64))), [go, stay, stay, stay]);
        assert_eq!(invalidate(Tag::new(("user", "7"))), [go, stay, stay, stay]);
        assert_eq!(invalidate(Tag::new((String::from("user"), '7'))), [go, stay, stay, stay]);
        assert_eq!(invalidate(Tag::new(("user", "07"))), [stay; 4]);
        assert_eq!(invalidate(Tag::new("a/b")), [stay, go, stay, stay]);
        assert_eq!(invalidate(Tag::new(("a", "b"))), [stay, stay, go, stay]);
        assert_eq!(invalidate(Tag::new("ab")), [stay, stay, stay, go]);
        assert_eq!(invalidate(Tag::new(("b", "a"))), [stay; 4], "order counts");
    });
    assert_eq!(RUNS.get(), 4 + 7);
}

#[test]
fn several_at_once() {
    static RUNS: Runs = Runs::new();
    #[cached(tags = ["a", "b"])]
    fn both() -> usize {
        RUNS.add()
    }
    #[cached(tags = ["a"])]
    fn a() -> usize {
        RUNS.add()
    }
    #[cached(tags = ["c"])]
    fn c() -> usize {
        RUNS.add()
    }
    cache().with_sync(|| {
        let calls: [&dyn Fn() -> usize; 3] = [&both, &a, &c];
        assert_eq!(stays(calls, || drop(blocking::invalidate_tag("b").unwrap())), [false, true, true]);
        let none: [&str; 0] = [];
        assert_eq!(stays(calls, || drop(blocking::invalidate_tags(none).unwrap())), [true; 3]);
        assert_eq!(stays(calls, || drop(blocking::invalidate_tags(["b", "c"]).unwrap())), [false, true, false]);
        let tags = vec![Tag::new(("a",)), Tag::new("x")];
        assert_eq!(stays(calls, || drop(blocking::invalidate_tags(&tags).unwrap())), [false, false, true]);
    });
    assert_eq!(RUNS.get(), 3 + 1 + 2 + 2);
}

#[test]
fn expressions() {
    struct User {
        team: String,
    }
    const KIND: &str = "kind";
    static RUNS: Runs = Runs::new();
    #[cached(
        skip(user),
        tags = [KIND, user.team.as_str(), format!("t-{}", user.team), Tag::new(("tag", a)), ("sum", a + b, 9), ("in:{b}", r#type)]
    )]
    fn f(user: User, (a, b): (u64, u64), r#type: String) -> usize {
        // Tags were made before the arguments were moved away.
        drop((user, r#type));
        RUNS.add()
    }
    cache().with_sync(|| {
        let call = || f(User { team: "red".into() }, (1, 2), "new".into());
        for tag in [
            Tag::new("kind"),
            Tag::new("red"),
            Tag::new("t-red"),
            Tag::new("tag"),
            Tag::new(("tag", 1)),
            Tag::new(("sum", 3, 9)),
            Tag::new(("in:2", "new")),
        ] {
            assert_eq!(stays([&call], || drop(blocking::invalidate_tag(&tag).unwrap())), [false], "{tag}");
        }
        assert_eq!(stays([&call], || drop(blocking::invalidate_tag("blue").unwrap())), [true]);
    });
    assert_eq!(RUNS.get(), 8);
}

#[tokio::test]
async fn async_functions() {
    static RUNS: Runs = Runs::new();
    #[cached(tags = ["users", ("user", id)])]
    async fn f(id: u64) -> usize {
        tokio::task::yield_now().await;
        RUNS.add()
    }
    cache()
        .with(async {
            assert_eq!((f(1).await, f(2).await), (1, 2));
            larder::invalidate_tag(("user", 1)).await.unwrap();
            assert_eq!((f(1).await, f(2).await), (3, 2));
            larder::invalidate_tags(["users", "others"]).await.unwrap();
            assert_eq!((f(1).await, f(2).await), (4, 5));
        })
        .await;
    assert_eq!(RUNS.get(), 5);
}

#[test]
fn what_was_computed_from_it_goes_too() {
    static LEAF: Runs = Runs::new();
    #[cached(tags = [("leaf", id)])]
    fn leaf(id: u64) -> u64 {
        LEAF.add();
        id
    }
    static ROOT: Runs = Runs::new();
    #[cached(tags = ["root"])]
    fn root() -> u64 {
        ROOT.add();
        leaf(1) + leaf(2)
    }
    cache().with_sync(|| {
        let runs = || {
            root();
            (ROOT.get(), LEAF.get())
        };
        leaf(2);
        assert_eq!(runs(), (1, 2), "one leaf was there already, which makes no difference");
        blocking::invalidate_tag(("leaf", 2)).unwrap();
        assert_eq!(runs(), (2, 3), "the leaf and the root, not the other leaf");
        blocking::invalidate_tag("root").unwrap();
        assert_eq!(runs(), (3, 3), "the root, not the leaves");
    });
}

#[tokio::test]
async fn what_they_are_made_of_counts_for_the_entry() {
    static ORG: AtomicU64 = AtomicU64::new(1);
    static RUNS: Runs = Runs::new();
    #[cached(tags = ["who-is-where"])]
    fn org_of(id: u64) -> u64 {
        let _ = id;
        ORG.load(Ordering::SeqCst)
    }
    #[cached(tags = [("org", org_of(id))], helpers = [prime])]
    async fn profile(id: u64) -> usize {
        let _ = id;
        RUNS.add()
    }
    #[cached(tags = [("org", org_of(id))], ttl = "1h", stale_while_revalidate = "1h")]
    fn in_background(id: u64) -> usize {
        let _ = id;
        RUNS.add()
    }
    #[cached]
    async fn parent(id: u64) -> usize {
        profile(id).await + in_background(id)
    }
    let (cache, clock) = timed();
    cache
        .with(async {
            assert_eq!((profile(1).await, in_background(1), parent(1).await), (1, 2, 3));
            ORG.store(2, Ordering::SeqCst);
            larder::invalidate_tag("who-is-where").await.unwrap();
            assert_eq!((profile(1).await, in_background(1), parent(1).await), (3, 4, 7));
            larder::invalidate_tag(("org", 1)).await.unwrap();
            assert_eq!((profile(1).await, in_background(1), parent(1).await), (3, 4, 7), "it has moved");
            larder::invalidate_tag(("org", 2)).await.unwrap();
            assert_eq!((profile(1).await, in_background(1), parent(1).await), (5, 6, 11));
            prime_profile(1, 50).await.unwrap();
            assert_eq!(profile(1).await, 50);
            larder::invalidate_tag("who-is-where").await.unwrap();
            assert_eq!((profile(1).await, in_background(1)), (7, 8));
            clock.advance(seconds(3_600));
            assert_eq!(in_background(1), 8);
            until(|| cache.stats().flights == 0).await;
            assert_eq!(in_background(1), 9, "it was renewed");
            larder::invalidate_tag("who-is-where").await.unwrap();
            assert_eq!(in_background(1), 10);
        })
        .await;
}

#[test]
fn what_they_are_made_of_may_keep_the_entry_out_of_the_cache() {
    static RUNS: Runs = Runs::new();
    fn unsure() -> &'static str {
        larder::dont_cache();
        "unsure"
    }
    #[cached(tags = [unsure()])]
    fn f() -> usize {
        RUNS.add()
    }
    #[cached(tags = [in_scope()], scope = "tags-scope")]
    fn scoped() -> usize {
        RUNS.add()
    }
    fn in_scope() -> String {
        larder::add_tag("added");
        larder::scope().map(|scope| scope.name().to_owned()).unwrap_or_default()
    }
    cache().with_sync(|| {
        assert_eq!((f(), f()), (1, 2));
        assert_eq!((scoped(), scoped()), (3, 3));
        blocking::invalidate_tag("tags-scope").unwrap();
        assert_eq!((scoped(), scoped()), (4, 4));
        blocking::invalidate_tag("added").unwrap();
        assert_eq!(scoped(), 5);
    });
}

//! What the attribute writes means the same wherever it stands: under other names, among other names, inside macros.

use crate::support::{Runs, cache, stats_of};

/// Every name that the attribute's code could mean is something else here, and nothing is in scope by itself.
mod foreign {
    #![no_implicit_prelude]
    #![allow(dead_code, non_camel_case_types, non_snake_case, unused_macros, reason = "these only stand in the way")]

    use super::Runs;

    struct Result;
    struct Option;
    struct Vec;
    struct String;
    struct Box;
    struct Duration;
    struct Future;
    struct Clone;
    struct Send;
    struct u64;
    struct bool;
    struct str;
    trait Into {}
    trait FnOnce {}
    fn Some() {}
    fn Ok() {}
    fn Err() {}
    struct None;
    mod std {}
    mod core {}
    mod alloc {}
    mod larder {}
    macro_rules! format {
        () => {};
    }
    fn drop() {}

    pub(super) static RUNS: Runs = Runs::new();

    #[::larder::cached(
        ttl = "5m",
        memory_ttl = "1m",
        jitter = 0.1,
        tags = ["a", "of:{of}", ("of", of)],
        result_tags = |_| ["b"],
        cache_if = |sum| *sum > 0,
        key = (of, more),
        name = "foreign",
        version = 1,
        max_entries = 10,
        helpers = [refresh, prime, peek, explain]
    )]
    pub(super) fn sync(of: i64, more: &[u8]) -> i64 {
        let _ = more;
        RUNS.add();
        of + 1
    }

    #[::larder::cached(
        ttl = "5m",
        stale_while_revalidate = "1m",
        refresh_ahead = 0.5,
        tags = ["of:{of}"],
        scope = of,
        helpers = [refresh, prime, peek, explain]
    )]
    pub(super) async fn renewed(of: i64) -> i64 {
        RUNS.add();
        of + 2
    }

    #[::larder::cached(max_bytes = "1kB", weigh = |_| 8_i32, map = |value| value + more, stored = i64, local)]
    pub(super) async fn not_sync(of: i64, more: i64) -> i64 {
        RUNS.add();
        of
    }
}

#[tokio::test]
async fn among_other_names() {
    let test = async {
        for _ in 0..2 {
            assert_eq!((foreign::sync(1, &[1]), foreign::renewed(1).await, foreign::not_sync(1, 2).await), (2, 3, 3));
        }
        assert_eq!(foreign::RUNS.get(), 3);
        larder::invalidate_tag("of:1").await.unwrap();
        assert_eq!((foreign::peek_sync(1, &[1]), foreign::peek_renewed(1).await), (None, None));
        foreign::prime_sync(1, &[1], 9).unwrap();
        assert_eq!((foreign::sync(1, &[1]), foreign::refresh_sync(1, &[1])), (9, 2));
        foreign::invalidate_not_sync(1, 2).await.unwrap();
        assert_eq!((foreign::not_sync(1, 2).await, foreign::RUNS.get()), (3, 5));
    };
    cache().with(test).await;
}

mod framework {
    pub(crate) use larder as storage;

    pub(crate) mod deep {
        pub(crate) use super::storage::cached as memoized;
        pub(crate) mod within {
            pub(crate) use crate::hygiene::framework::storage;
        }
    }
}

#[test]
fn by_another_path() {
    static RUNS: Runs = Runs::new();
    #[framework::deep::memoized(crate = crate::hygiene::framework::deep::within::storage, helpers = [refresh, prime, peek, explain])]
    fn f(id: u64) -> u64 {
        RUNS.add();
        id
    }
    #[framework::storage::cached(crate = framework::storage)]
    fn g(id: u64) -> u64 {
        RUNS.add();
        id
    }
    assert_eq!((f(1), f(1), g(1), g(1), peek_f(1), RUNS.get()), (1, 1, 1, 1, Some(1), 2));
}

static MADE: Runs = Runs::new();

/// Functions of every kind of fragment.
macro_rules! getters {
    ($($(#[$attr:meta])* $vis:vis $name:ident<$lifetime:lifetime>($arg:ident: $type:ty) -> $returns:ty, $ttl:expr, $tag:literal, $if:path, $body:expr;)*) => {$(
        $(#[$attr])*
        #[larder::cached(ttl = $ttl, tags = [$tag, ($tag, $arg)], cache_if = $if, helpers = [refresh, prime, peek, explain])]
        $vis fn $name<$lifetime>($arg: &$lifetime $type, more: u64) -> $returns {
            MADE.add();
            // A name of the macro's own, which the caller's expression can't mean.
            let own = more;
            own + $body
        }
    )*};
}

fn always<T>(_: &T) -> bool {
    true
}

const TTL: std::time::Duration = std::time::Duration::from_secs(60);
const OWN: u64 = 1_000;

getters! {
    /// Documented.
    #[must_use]
    pub(crate) made<'a>(id: u64) -> u64, "5m", "made", always, *id;
    with_an_expression<'long>(r#type: u64) -> u64, TTL * 2, "expression", always::<u64>, { let own = OWN; own + *r#type };
}

#[test]
fn made_by_macros() {
    cache().with_sync(|| {
        for _ in 0..2 {
            assert_eq!((made(&1, 10), made(&2, 10), with_an_expression(&1, 10)), (11, 12, 1_011));
        }
        assert_eq!(MADE.get(), 3);
        larder::blocking::invalidate_tag(("made", 1)).unwrap();
        assert_eq!(
            (peek_made(&1, 10), peek_made(&2, 10), peek_with_an_expression(&1, 10)),
            (None, Some(12), Some(1_011))
        );
    });
}

/// Names that the macro chooses, and those that its caller does.
macro_rules! hygienic {
    ($name:ident, $x:ident, $body:block) => {
        #[larder::cached(key = (x, $x), tags = [("own", x), ("callers", $x)], result_tags = |_| [("sum", x + $x)])]
        fn $name(x: u64, $x: u64) -> u64 {
            let _ = x;
            $body
        }
    };
}

hygienic!(two_of_one_name, x, {
    let more = 0;
    x + more
});

#[test]
fn names_of_a_macro_and_of_its_caller() {
    let cache = cache();
    cache.with_sync(|| {
        let calls = [(1, 2), (1, 2), (2, 2), (1, 3)];
        assert_eq!(calls.map(|(own, callers)| two_of_one_name(own, callers)), [2, 2, 2, 3]);
        larder::blocking::invalidate_tag(("sum", 4)).unwrap();
        assert_eq!(calls.map(|(own, callers)| two_of_one_name(own, callers)), [2, 2, 2, 3]);
    });
    assert_eq!(stats_of(&cache, "two_of_one_name").runs, 5, "both are in the key, and in the tags");
}

/// Several functions of the same options, arguments and body.
macro_rules! lists {
    ($options:tt [$($name:ident)+] $arguments:tt $body:tt) => {$(
        #[larder::cached $options]
        fn $name $arguments -> usize $body
    )+};
}

static LISTS: Runs = Runs::new();

lists! { (ttl = "5m", skip(b), helpers = [peek]) [first second third] (a: &str, b: u8) { LISTS.add(); a.len() + usize::from(b) } }

#[test]
fn lists_of_tokens() {
    for _ in 0..2 {
        assert_eq!((first("a", 1), second("ab", 1), third("abc", 1)), (2, 3, 4));
    }
    assert_eq!((LISTS.get(), peek_first("a")), (3, Some(2)));
}

struct Holder(u64);

macro_rules! methods {
    ($($name:ident($this:ident) $key:expr;)*) => { impl Holder {$(
        #[larder::cached(key = $key, helpers = [refresh, peek])]
        fn $name(&$this, add: u64) -> u64 {
            MADE_METHODS.add();
            $this.0 + add
        }
    )*} };
}

static MADE_METHODS: Runs = Runs::new();

methods! {
    plus(self) (self.0, 7);
    same(self) self.0;
}

#[test]
fn methods_made_by_macros() {
    let holder = Holder(1);
    for _ in 0..2 {
        assert_eq!((holder.plus(1), holder.same(1), Holder(2).same(1)), (2, 2, 3));
    }
    assert_eq!((MADE_METHODS.get(), holder.peek_same(1), holder.refresh_plus(2)), (3, Some(2), 3));
}

static COMPUTED: Runs = Runs::new();

/// Expressions that hold together where the macro puts them.
macro_rules! computed {
    ($name:ident, $type:ty, $negative:literal, $of:pat, $sum:expr, $closure:expr, $block:expr) => {
        #[larder::cached(key = x * $sum, tags = [("x", x - $sum)], ttl = TTL * ($sum as u32), cache_if = |_| x * $sum > 5)]
        fn $name(x: i64) -> (i64, i64, i64, i64, [$type; $sum * 2]) {
            COMPUTED.add();
            let $of = x;
            let called = $closure(x);
            let block = 1 + $block;
            (x * $sum, $negative.abs() - $sum, called, block, [1; $sum * 2])
        }
    };
}

computed!(together, u8, -5_i64, (0 | _), 1 + 2, |x: i64| x + 1, { 6 });

#[test]
fn expressions_of_macros_hold_together() {
    cache().with_sync(|| {
        let start = COMPUTED.get();
        assert_eq!(together(2), (6, 2, 3, 7, [1; 6]), "not 2 * 1 + 2");
        assert_eq!((together(2).0, COMPUTED.get() - start), (6, 1));
        assert_eq!(together(1).0, 3, "not stored");
        larder::blocking::invalidate_tag(("x", -1)).unwrap();
        assert_eq!((together(2).0, COMPUTED.get() - start), (6, 3));
    });
}

/// Method probing must not meet anybody else's methods, whatever they are for.
#[test]
fn among_traits_that_all_types_have() {
    #[allow(dead_code, reason = "these only stand in the way")]
    mod traits {
        pub(super) trait ByValue: Sized {
            fn add(self, _: &mut dyn std::any::Any) {}
            fn add_to(self) {}
            fn own(self) {}
            fn shape(self) {}
            fn whole(self) {}
            fn shared(self) {}
            fn local(self) {}
            fn failures(self) {}
        }
        impl<T> ByValue for T {}
        pub(super) trait ByReference {
            fn tags(&self) {}
            fn ttl(&self) {}
            fn policy(&self) {}
            fn run_sync(&self) {}
            fn identify(&self) {}
        }
        impl<T: ?Sized> ByReference for T {}
    }
    #[allow(unused_imports, reason = "they stand in the way")]
    use traits::{ByReference as _, ByValue as _};

    #[larder::cached(tags = ["a", ("of", id)], result_tags = |_| ["b"], ttl = |_| std::time::Duration::from_secs(id))]
    fn f(id: u64, name: &str) -> Result<String, String> {
        Ok(format!("{id}{name}"))
    }
    #[larder::cached(ttl = "1m", stale_while_revalidate = "1m", local, cache_err = true, cache_if = |_| id > 0)]
    fn renewed(id: u64, name: &str) -> Result<String, String> {
        Ok(format!("{id}{name}"))
    }
    cache().with_sync(|| {
        assert_eq!((f(1, "a"), f(1, "a")), (Ok("1a".into()), Ok("1a".into())));
        assert_eq!((renewed(1, "a"), renewed(1, "a")), (Ok("1a".into()), Ok("1a".into())));
    });
}

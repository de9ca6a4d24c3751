//! Promise 8: different functions, arguments, scopes, receivers, generic types and value types never share a key.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Debug;
use std::hash::Hash;

use larder::cached;
use larder::reference::SharedMemory;
use proptest::prelude::*;

use crate::support::{block_on, cache, without_memory};

#[test]
fn arguments_that_could_run_into_each_other() {
    #[cached]
    fn join(a: &str, b: &str) -> String {
        format!("{a:?} {b:?}")
    }
    #[cached]
    fn lists(a: &[u8], b: Vec<u8>, c: Option<&str>) -> String {
        format!("{a:?} {b:?} {c:?}")
    }
    let cache = cache();
    cache.with_sync(|| {
        for (a, b) in [("ab", "c"), ("a", "bc"), ("abc", ""), ("", "abc"), ("a\0b", "c"), ("a", "\0bc")] {
            assert_eq!(join(a, b), format!("{a:?} {b:?}"));
        }
        for (a, b, c) in [
            (&[1, 2][..], vec![3], None),
            (&[1], vec![2, 3], None),
            (&[1, 2, 3], vec![], None),
            (&[], vec![1, 2, 3], Some("")),
            (&[], vec![1, 2, 3], None),
        ] {
            assert_eq!(lists(a, b.clone(), c), format!("{a:?} {b:?} {c:?}"));
        }
    });
}

#[test]
fn functions_of_one_name_in_different_places() {
    fn first(x: u32) -> String {
        #[cached]
        fn inner(x: u32) -> String {
            format!("first {x}")
        }
        inner(x)
    }
    fn second(x: u32) -> String {
        #[cached]
        fn inner(x: u32) -> String {
            format!("second {x}")
        }
        inner(x)
    }
    mod module {
        #[larder::cached]
        pub(super) fn inner(x: u32) -> String {
            format!("module {x}")
        }
    }
    let shared = SharedMemory::new();
    for cache in [cache(), without_memory(&shared), without_memory(&shared)] {
        cache.with_sync(|| {
            assert_eq!(first(1), "first 1");
            assert_eq!(second(1), "second 1");
            assert_eq!(module::inner(1), "module 1");
        });
    }
}

/// Nothing in the language tells these two apart by name, so they go by their places: which of them a process calls first
/// makes no difference.
#[test]
fn functions_of_one_name_in_the_same_place() {
    static RUNS: crate::support::Runs = crate::support::Runs::new();
    fn pick(which: bool) -> u32 {
        if which {
            #[cached]
            fn inner() -> u32 {
                RUNS.begin();
                1
            }
            inner()
        } else {
            #[cached]
            fn inner() -> u32 {
                RUNS.begin();
                2
            }
            inner()
        }
    }
    let shared = SharedMemory::new();
    for (cache, first) in [(cache(), true), (without_memory(&shared), true), (without_memory(&shared), false)] {
        for which in [first, !first, first, !first] {
            assert_eq!(cache.with_sync(|| pick(which)), if which { 1 } else { 2 });
        }
    }
    assert_eq!(RUNS.count(), 2 + 2, "once in memory, and once for all who share a backend");
}

/// What a macro makes has one line and column.
#[test]
fn functions_of_one_name_of_one_macro() {
    static RUNS: crate::support::Runs = crate::support::Runs::new();
    macro_rules! either {
        ($which:expr) => {
            if $which {
                #[cached]
                fn inner() -> u32 {
                    RUNS.begin();
                    1
                }
                inner()
            } else {
                #[cached]
                fn inner() -> u32 {
                    RUNS.begin();
                    2
                }
                inner()
            }
        };
    }
    let shared = SharedMemory::new();
    for first in [true, false] {
        let cache = without_memory(&shared);
        for which in [first, !first] {
            assert_eq!(cache.with_sync(|| either!(which)), if which { 1 } else { 2 });
        }
    }
    assert_eq!(RUNS.count(), 2);
}

/// In the impl of a trait, and of closures themselves.
#[test]
fn functions_of_one_name_in_traits() {
    static RUNS: crate::support::Runs = crate::support::Runs::new();
    trait Pick {
        fn pick(&self, which: bool) -> u32;
    }
    impl Pick for u8 {
        fn pick(&self, which: bool) -> u32 {
            if which {
                #[cached]
                fn inner() -> u32 {
                    RUNS.begin();
                    1
                }
                inner()
            } else {
                #[cached]
                fn inner() -> u32 {
                    RUNS.begin();
                    2
                }
                inner()
            }
        }
    }
    trait Handler {
        fn run(&self) -> u32;
    }
    impl<F: Fn() -> u32 + 'static> Handler for F {
        #[cached(skip(self), helpers = none)]
        fn run(&self) -> u32 {
            self()
        }
    }
    let shared = SharedMemory::new();
    for first in [true, false] {
        let cache = without_memory(&shared);
        for which in [first, !first] {
            assert_eq!(cache.with_sync(|| 0_u8.pick(which)), if which { 1 } else { 2 });
            let handled = cache.with_sync(|| if which { (|| 1).run() } else { (|| 2).run() });
            assert_eq!(handled, if which { 1 } else { 2 });
        }
        let written = |name: &str| cache.stats().function(name).map(|stats| stats.bytes_written);
        assert_eq!(written("run"), Some(0), "{}", cache.stats());
    }
    assert_eq!(RUNS.count(), 2);
}

/// Closures of one function have one name, and which of them a process meets first is chance: they aren't shared.
#[test]
fn closures_of_one_function() {
    #[cached(skip(make))]
    fn made_by<F: Fn() -> u32>(make: F) -> u32 {
        make()
    }
    let shared = SharedMemory::new();
    let [one, two] = [(); 2].map(|()| without_memory(&shared));
    let call = |first: bool| if first { made_by(|| 1) } else { made_by(|| 2) };
    for (cache, first) in [(&one, true), (&two, false)] {
        for which in [first, !first, first] {
            assert_eq!(cache.with_sync(|| call(which)), if which { 1 } else { 2 });
        }
        assert_eq!(cache.stats().functions.iter().map(|stats| stats.bytes_written).sum::<u64>(), 0);
    }
}

/// Caches of one process may share a backend: the function that came first has it to itself, whichever cache it was in.
#[test]
fn functions_that_are_given_one_name_in_different_caches() {
    #[cached(name = "no_mixups.same")]
    fn first(x: u32) -> String {
        format!("first {x}")
    }
    #[cached(name = "no_mixups.same")]
    fn second(x: u32) -> String {
        format!("second {x}")
    }
    #[cached(name = "no_mixups.same", version = 2)]
    fn next(x: u32) -> String {
        format!("next {x}")
    }
    let shared = SharedMemory::new();
    let [one, two, three] = [(); 3].map(|()| without_memory(&shared));
    assert_eq!(one.with_sync(|| first(1)), "first 1");
    for _ in 0..2 {
        assert_eq!(two.with_sync(|| second(1)), "second 1");
        assert_eq!(three.with_sync(|| (second(1), first(1))), ("second 1".into(), "first 1".into()));
        assert_eq!(two.with_sync(|| next(1)), "next 1");
        assert_eq!(one.with_sync(|| next(1)), "next 1");
    }
    let hits = |cache: &larder::Cache| cache.stats().functions.iter().map(|stats| stats.backend_hits).sum::<u64>();
    assert_eq!((hits(&one), hits(&two), hits(&three)), (2, 1, 2), "`first` and `next` are shared, `second` isn't");
}

/// A path that differs in types only is a name of its own.
#[test]
fn functions_of_one_name_in_impls_for_different_types() {
    struct Holder<T>(std::marker::PhantomData<T>);
    impl Holder<u8> {
        #[cached]
        fn name() -> String {
            "u8".to_owned()
        }
    }
    impl Holder<u16> {
        #[cached]
        fn name() -> String {
            "u16".to_owned()
        }
    }
    let shared = SharedMemory::new();
    let [one, two] = [(); 2].map(|()| without_memory(&shared));
    for cache in [&one, &two] {
        assert_eq!(cache.with_sync(|| (Holder::<u8>::name(), Holder::<u16>::name())), ("u8".into(), "u16".into()));
    }
    assert_eq!(two.stats().functions.iter().map(|stats| stats.backend_hits).sum::<u64>(), 2, "both are shared");
}

/// What never goes to a backend takes no name there.
#[test]
fn functions_that_are_not_shared_leave_the_name_to_others() {
    #[cached(name = "no_mixups.left", local)]
    fn of_memory() -> u32 {
        1
    }
    #[cached(name = "no_mixups.left")]
    fn elsewhere() -> u32 {
        2
    }
    #[cached(name = "no_mixups.left")]
    fn of_backends() -> u32 {
        3
    }
    let shared = SharedMemory::new();
    let here = without_memory(&shared);
    assert_eq!(here.with_sync(of_memory), 1);
    assert_eq!(cache().with_sync(elsewhere), 2);
    assert_eq!(here.with_sync(|| (of_backends(), of_backends())), (3, 3));
    assert_eq!(without_memory(&shared).with_sync(|| (elsewhere(), of_backends())), (2, 3));
    assert_eq!(here.stats().functions.iter().map(|stats| stats.backend_hits).sum::<u64>(), 1);
}

#[test]
fn generic_types_and_constants_are_part_of_the_key() {
    trait Name {
        const NAME: &'static str;
    }
    impl Name for u8 {
        const NAME: &'static str = "u8";
    }
    impl Name for Vec<u8> {
        const NAME: &'static str = "bytes";
    }
    #[cached]
    fn of<T: Name, const N: usize>(x: u32) -> String {
        format!("{} {N} {x}", T::NAME)
    }
    #[cached(local)]
    fn local_of<T: Name + Clone + Eq + Hash + Send + Sync + 'static>(x: T) -> &'static str {
        let _ = x;
        T::NAME
    }
    struct Holder<T>(std::marker::PhantomData<T>);
    impl<T: Name> Holder<T> {
        #[cached]
        fn name() -> String {
            T::NAME.to_owned()
        }
        #[cached(skip(self))]
        fn name_of(&self) -> String {
            T::NAME.to_owned()
        }
    }
    let shared = SharedMemory::new();
    for cache in [cache(), without_memory(&shared), without_memory(&shared)] {
        cache.with_sync(|| {
            assert_eq!(of::<u8, 1>(1), "u8 1 1");
            assert_eq!(of::<Vec<u8>, 1>(1), "bytes 1 1");
            assert_eq!(of::<u8, 2>(1), "u8 2 1");
            assert_eq!(of::<u8, 1>(1), "u8 1 1");
            assert_eq!((local_of(1_u8), local_of(vec![1_u8])), ("u8", "bytes"));
            assert_eq!((Holder::<u8>::name(), Holder::<Vec<u8>>::name()), ("u8".into(), "bytes".into()));
            let (a, b) = (Holder::<u8>(std::marker::PhantomData), Holder::<Vec<u8>>(std::marker::PhantomData));
            assert_eq!((a.name_of(), b.name_of()), ("u8".into(), "bytes".into()));
        });
    }
}

#[test]
fn types_of_one_path_are_part_of_the_key() {
    trait Name {
        const NAME: &'static str;
    }
    #[cached]
    fn of<T: Name>(x: u32) -> String {
        format!("{} {x}", T::NAME)
    }
    fn pick(which: bool) -> String {
        if which {
            struct Here;
            impl Name for Here {
                const NAME: &'static str = "one";
            }
            of::<Here>(1)
        } else {
            struct Here;
            impl Name for Here {
                const NAME: &'static str = "other";
            }
            of::<Here>(1)
        }
    }
    let shared = SharedMemory::new();
    for cache in [cache(), without_memory(&shared), without_memory(&shared)] {
        cache.with_sync(|| {
            for which in [true, false, true] {
                assert_eq!(pick(which), if which { "one 1" } else { "other 1" });
            }
        });
    }
}

#[tokio::test]
async fn scopes_and_receivers_are_apart() {
    struct Repository {
        id: u32,
    }
    impl Repository {
        #[cached(key = (self.id, x))]
        async fn get(&self, x: u32) -> String {
            format!("{} {x} {:?}", self.id, larder::scope())
        }
    }
    let shared = SharedMemory::new();
    for cache in [cache(), without_memory(&shared), without_memory(&shared)] {
        cache
            .with(async {
                for scope in ["", "a", "ab", "b"] {
                    for id in [1, 2] {
                        let got = larder::with_scope(scope, Repository { id }.get(7)).await;
                        assert_eq!(got, format!("{id} 7 Some(Scope({scope:?}))"));
                    }
                }
            })
            .await;
    }
}

/// What a cached function says of its arguments must be what they are.
fn check<T: Debug>(values: &[T], describe: impl Fn(&T) -> String) {
    for value in values.iter().chain(values) {
        assert_eq!(describe(value), format!("{value:?}"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_arguments_give_their_own_answer(
        strings in prop::collection::vec((".{0,3}", ".{0,3}"), 1..20),
        nested in prop::collection::vec((any::<Option<Vec<Option<u8>>>>(), any::<Vec<Vec<u8>>>()), 1..20),
        numbers in prop::collection::vec((any::<i8>(), any::<u64>(), any::<i128>(), any::<bool>(), any::<char>()), 1..20),
        maps in prop::collection::vec(any::<BTreeMap<u8, Vec<u8>>>(), 1..5),
    ) {
        #[cached]
        fn of_strings(a: &str, b: &str) -> String { format!("{:?}", (a, b)) }
        #[cached]
        fn of_nested(a: &Option<Vec<Option<u8>>>, b: &[Vec<u8>]) -> String { format!("{:?}", (a, b)) }
        #[cached]
        fn of_numbers(a: i8, b: u64, c: i128, d: bool, e: char) -> String { format!("{:?}", (a, b, c, d, e)) }
        #[cached]
        fn of_map(map: &BTreeMap<u8, Vec<u8>>) -> String { format!("{map:?}") }

        cache().with_sync(|| {
            check(&strings, |(a, b)| of_strings(a, b));
            check(&nested, |(a, b)| of_nested(a, b));
            check(&numbers, |(a, b, c, d, e)| of_numbers(*a, *b, *c, *d, *e));
            check(&maps, of_map);
        });
    }
}

#[test]
fn sets_and_maps_are_the_same_in_any_order() {
    static RUNS: crate::support::Runs = crate::support::Runs::new();
    #[cached]
    fn count(set: &HashSet<u32>, map: &HashMap<String, u32>) -> usize {
        RUNS.begin();
        set.len() + map.len()
    }
    let cache = cache();
    let numbers: Vec<u32> = (0..100).collect();
    for _ in 0..5 {
        // Each has its own random order.
        let set: HashSet<u32> = numbers.iter().copied().collect();
        let map: HashMap<String, u32> = numbers.iter().map(|n| (n.to_string(), *n)).collect();
        assert_eq!(cache.with_sync(|| count(&set, &map)), 200);
    }
    assert_eq!(RUNS.count(), 1);
}

#[test]
fn two_caches_are_apart() {
    #[cached]
    async fn read() -> usize {
        static RUNS: crate::support::Runs = crate::support::Runs::new();
        RUNS.begin().number
    }
    let (a, b) = (cache(), cache());
    assert_eq!((block_on(a.with(read())), block_on(b.with(read()))), (1, 2));
    assert_eq!((block_on(a.with(read())), block_on(b.with(read()))), (1, 2));
}

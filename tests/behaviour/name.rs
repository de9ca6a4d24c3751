//! `name`: what a function is called in keys and statistics.

use larder::cached;

use crate::support::{Runs, cache, stats_of};

#[test]
fn in_statistics() {
    #[cached(name = "users.get")]
    fn named(id: u64) -> u64 {
        id
    }
    #[cached]
    fn unnamed(id: u64) -> u64 {
        id
    }
    let cache = cache();
    cache.with_sync(|| (named(1), named(1), unnamed(1)));
    assert_eq!(stats_of(&cache, "users.get").runs, 1);
    assert_eq!(stats_of(&cache, "unnamed").function, "behaviour::name::in_statistics::unnamed");
    assert_eq!(cache.stats().functions.len(), 2);
}

#[test]
fn of_methods_and_generic_functions() {
    struct Shop<T>(T);
    impl<T> Shop<T> {
        #[cached]
        fn size<U>() -> usize {
            size_of::<T>() + size_of::<U>()
        }
    }
    let cache = cache();
    cache.with_sync(|| {
        let _ = Shop(0_u8);
        assert_eq!((Shop::<u8>::size::<u8>(), Shop::<u8>::size::<u64>(), Shop::<u64>::size::<u8>()), (2, 9, 9));
    });
    let stats = stats_of(&cache, "size");
    assert!(!stats.function.contains("u64"), "type arguments are no part of it: {}", stats.function);
    assert_eq!(stats.runs, 3);
}

#[test]
fn functions_do_not_mix() {
    static RUNS: Runs = Runs::new();
    #[cached]
    fn one(id: u64) -> String {
        RUNS.add();
        format!("one {id}")
    }
    #[cached]
    fn two(id: u64) -> String {
        RUNS.add();
        format!("two {id}")
    }
    for _ in 0..2 {
        assert_eq!((one(1), two(1)), ("one 1".into(), "two 1".into()));
    }
    assert_eq!(RUNS.get(), 2);
}

mod first {
    use super::{Runs, cached};

    pub(super) static RUNS: Runs = Runs::new();

    pub(super) fn outer() -> u64 {
        #[cached]
        fn inner() -> u64 {
            RUNS.add();
            1
        }
        inner()
    }

    pub(super) fn other() -> u64 {
        #[cached]
        fn inner() -> u64 {
            RUNS.add();
            2
        }
        inner()
    }

    pub(super) fn blocks() -> (u64, u64) {
        let a = {
            #[cached]
            fn inner() -> u64 {
                RUNS.add();
                3
            }
            inner()
        };
        let b = {
            #[cached]
            fn inner() -> u64 {
                RUNS.add();
                4
            }
            inner()
        };
        (a, b)
    }
}

#[test]
fn inner_functions_of_one_name_do_not_mix() {
    cache().with_sync(|| {
        for _ in 0..2 {
            assert_eq!((first::outer(), first::other(), first::blocks()), (1, 2, (3, 4)));
        }
    });
    assert_eq!(first::RUNS.get(), 4);
}

#[test]
fn functions_that_are_given_one_name_do_not_mix() {
    static RUNS: Runs = Runs::new();
    #[cached(name = "same")]
    fn one(id: u64) -> u64 {
        RUNS.add();
        id + 10
    }
    #[cached(name = "same")]
    fn two(id: u64) -> u64 {
        RUNS.add();
        id + 20
    }
    cache().with_sync(|| {
        for _ in 0..2 {
            assert_eq!((one(1), two(1)), (11, 21));
        }
        assert_eq!(RUNS.get(), 2);
        // They have given up being told apart: at worst more is forgotten than was meant.
        invalidate_all_one().unwrap();
        assert_eq!((one(1), two(1)), (11, 21));
        assert!(RUNS.get() > 2);
    });
}

#[test]
fn a_named_function_is_invalidated_as_any_other() {
    static RUNS: Runs = Runs::new();
    #[cached(name = "weather.at")]
    fn f(x: i32, y: i32) -> usize {
        let _ = (x, y);
        RUNS.add()
    }
    cache().with_sync(|| {
        assert_eq!((f(1, 2), f(2, 1)), (1, 2));
        invalidate_f(1, 2).unwrap();
        assert_eq!((f(1, 2), f(2, 1)), (3, 2));
        invalidate_all_f().unwrap();
        assert_eq!((f(1, 2), f(2, 1)), (4, 5));
    });
}

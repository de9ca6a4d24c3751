//! Arguments in every form that makes a key: equal ones are one call, different ones are different calls.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use larder::cached;
use serde::Serialize;

use crate::support::Runs;

/// `name: (a: A, b: B) [calls, ..]`: calls in one list, `(1), (2)`, are one after the other, and whoever stands at a
/// position of its own is another call; those joined by `=` are the same call.
macro_rules! calls {
    ($($name:ident: ($($arg:ident: $type:ty),*) [$($(($($value:expr),*))=+),+ $(,)?];)*) => {$(
        #[test]
        fn $name() {
            static RUNS: Runs = Runs::new();
            #[cached]
            fn f($($arg: $type),*) -> usize {
                $(let _ = $arg;)*
                RUNS.add()
            }
            // Twice, so that the second time everything is there.
            for _ in 0..2 {
                let mut answers = Vec::new();
                $(
                    let same = [$(f($($value),*)),+];
                    assert!(same.iter().all(|answer| *answer == same[0]), "{}", stringify!($(($($value),*))=+));
                    assert!(!answers.contains(&same[0]), "{}", stringify!($(($($value),*))=+));
                    answers.push(same[0]);
                )+
                assert_eq!(RUNS.get(), answers.len());
            }
        }
    )*};
}

#[derive(Clone, Serialize)]
struct Point {
    x: i64,
    y: i64,
}

#[derive(Serialize)]
enum Shape {
    Dot,
    Circle(u32),
    Square(u32),
    Box { w: u32, h: u32 },
}

fn map<const N: usize>(entries: [(&str, u64); N]) -> HashMap<String, u64> {
    entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

calls! {
    none: () [() = ()];
    numbers: (a: u8, b: i128) [(0, 0), (0, -1), (1, 0), (255, i128::MIN)];
    sizes: (a: usize, b: isize) [(0, 0), (usize::MAX, -1), (1, isize::MIN)];
    text: (a: &str, b: &str) [("ab", "c"), ("a", "bc"), ("", "abc"), ("abc", ""), ("äb", "c"), ("ab ", "c")];
    owned_text: (a: String) [("a".into()) = (String::from("a")), ("A".into()), ("a\0".into())];
    characters: (a: char, b: bool) [('a', true), ('a', false), ('b', true)];
    slices: (a: &[u64], b: &[u64]) [(&[1, 2], &[3]) = (&vec![1, 2], &[3]), (&[1], &[2, 3]), (&[], &[1, 2, 3]), (&[2, 1], &[3])];
    slices_of_text: (a: &[&str]) [(&["a", "b"]) = (&vec!["a", "b"]), (&["ab"]), (&["a", "b", ""]), (&[])];
    lists: (a: Vec<Vec<u8>>) [(vec![vec![1], vec![2]]), (vec![vec![1, 2]]), (vec![vec![1], vec![], vec![2]]), (vec![])];
    arrays: (a: [u8; 4], b: Box<[u8]>) [([0; 4], Box::new([])), ([0, 0, 0, 1], Box::new([])), ([0; 4], Box::new([0]))];
    options: (a: Option<&str>) [(None), (Some("")), (Some("a")) = (Some("a"))];
    nested_options: (a: Option<Option<u8>>) [(None), (Some(None)), (Some(Some(0)))];
    results: (a: Result<u8, u8>) [(Ok(0)), (Err(0)), (Ok(1))];
    cows: (a: Cow<'_, str>) [("a".into()) = (String::from("a").into()), ("b".into())];
    tuples: (a: (u8, &str), b: (u8,)) [((1, "2"), (3,)), ((1, "23"), (0,)), ((3, "2"), (1,))];
    units: (a: (), b: std::marker::PhantomData<u8>) [((), std::marker::PhantomData) = ((), std::marker::PhantomData)];
    floats: (a: f64, b: f32) [
        (0.0, 0.0) = (-0.0, 0.0) = (0.0, -0.0),
        (f64::NAN, 0.0) = (-f64::NAN, 0.0) = (f64::from_bits(f64::NAN.to_bits() ^ 1), 0.0),
        (0.0, f32::NAN),
        (f64::INFINITY, 0.0),
        (f64::NEG_INFINITY, 0.0),
        (0.1 + 0.2, 0.0),
        (0.3, 0.0),
        (f64::MIN_POSITIVE, 0.0),
    ];
    shared: (a: Arc<str>, b: Arc<Vec<u8>>) [("a".into(), Arc::default()) = ("a".into(), Arc::new(vec![])), ("b".into(), Arc::default())];
    paths: (a: &Path, b: PathBuf) [
        (Path::new("a/b"), "c".into()) = (&PathBuf::from("a").join("b"), PathBuf::from("c")),
        (Path::new("a"), "b/c".into()),
        (Path::new("a//b"), "c".into()),
    ];
    addresses: (a: IpAddr) [("127.0.0.1".parse().unwrap()), ("::1".parse().unwrap()), ("::ffff:127.0.0.1".parse().unwrap())];
    times: (a: Duration) [(Duration::from_millis(1_000)) = (Duration::from_secs(1)), (Duration::from_nanos(1))];
    hash_maps: (a: HashMap<String, u64>) [
        (map([("a", 1), ("b", 2), ("c", 3)])) = (map([("c", 3), ("b", 2), ("a", 1)])) = (map([("b", 2), ("a", 9), ("c", 3), ("a", 1)])),
        (map([("a", 2), ("b", 1), ("c", 3)])),
        (map([("a", 1), ("b", 2)])),
    ];
    sorted_maps: (a: BTreeMap<u8, u8>) [(BTreeMap::from([(1, 2), (3, 4)])) = (BTreeMap::from([(3, 4), (1, 2)])), (BTreeMap::from([(1, 4), (3, 2)]))];
    sets: (a: HashSet<u64>, b: BTreeSet<&str>) [
        ((0..100).collect(), BTreeSet::from(["a", "b"])) = ((0..100).rev().collect(), BTreeSet::from(["b", "a"])),
        ((0..99).collect(), BTreeSet::from(["a", "b"])),
        ((0..100).collect(), BTreeSet::from(["a"])),
    ];
    nested_maps: (a: &HashMap<u8, HashSet<u8>>) [
        (&HashMap::from([(1, HashSet::from([1, 2])), (2, HashSet::new())])) = (&HashMap::from([(2, HashSet::new()), (1, HashSet::from([2, 1]))])),
        (&HashMap::from([(1, HashSet::from([1])), (2, HashSet::from([2]))])),
    ];
    structs: (a: Point, b: &Point) [
        (Point { x: 1, y: 2 }, &Point { x: 3, y: 4 }) = (Point { x: 1, y: 2 }, &Point { x: 3, y: 4 }),
        (Point { x: 2, y: 1 }, &Point { x: 3, y: 4 }),
        (Point { x: 3, y: 4 }, &Point { x: 1, y: 2 }),
    ];
    enums: (a: &Shape) [(&Shape::Dot), (&Shape::Circle(1)), (&Shape::Square(1)), (&Shape::Box { w: 1, h: 2 }), (&Shape::Box { w: 2, h: 1 })];
    structs_in_containers: (a: &[Point], b: Option<Point>) [(&[Point { x: 1, y: 1 }], None), (&[], Some(Point { x: 1, y: 1 })), (&[], None)];
    many: (a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8, i: u8, j: u8, k: u8, l: u8, m: u8, n: u8) [
        (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14),
        (2, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14),
        (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 13),
    ];
    raw_names: (r#type: &str, r#fn: u8) [("a", 1), ("a", 2)];
}

#[test]
fn patterns() {
    static RUNS: Runs = Runs::new();
    #[cached]
    fn f((a, mut b): (u64, u64), Point { x, .. }: Point, [first, .., last]: [u8; 3], _: &str) -> u64 {
        RUNS.add();
        b += a;
        b + u64::try_from(x).unwrap() + u64::from(first + last)
    }
    let point = |x, y| Point { x, y };
    assert_eq!(f((1, 2), point(3, 0), [4, 0, 5], ""), 15);
    assert_eq!(f((1, 2), point(3, 0), [4, 0, 5], ""), 15);
    assert_eq!(RUNS.get(), 1);
    // What the pattern leaves out, and what has no name, is an argument all the same.
    f((1, 2), point(3, 1), [4, 0, 5], "");
    f((1, 2), point(3, 0), [4, 1, 5], "");
    f((1, 2), point(3, 0), [4, 0, 5], "x");
    assert_eq!(RUNS.get(), 4);
    invalidate_f((1, 2), point(3, 0), [4, 0, 5], "").unwrap();
    f((1, 2), point(3, 0), [4, 0, 5], "");
    f((1, 2), point(3, 1), [4, 0, 5], "");
    assert_eq!(RUNS.get(), 5);
}

#[tokio::test]
async fn mutable_arguments() {
    static RUNS: Runs = Runs::new();
    #[cached]
    async fn f(mut list: Vec<u64>, mut n: u64) -> Vec<u64> {
        RUNS.add();
        n += 1;
        tokio::task::yield_now().await;
        list.push(n);
        list
    }
    for _ in 0..2 {
        assert_eq!(f(vec![1], 1).await, [1, 2]);
        assert_eq!(f(vec![1, 2], 1).await, [1, 2, 2], "the key is what was passed");
    }
    assert_eq!(RUNS.get(), 2);
}

#[test]
fn borrows_of_the_caller() {
    static RUNS: Runs = Runs::new();
    #[cached]
    fn longest<'a>(texts: &'a [&'a str], or: &&'a String) -> String {
        RUNS.add();
        texts.iter().copied().max_by_key(|text| text.len()).unwrap_or(or).to_owned()
    }
    let (first, second) = (String::from("ab"), String::from("abc"));
    assert_eq!(longest(&[&first, &second], &&first), "abc");
    drop(first);
    assert_eq!(longest(&["ab", &second], &&String::from("ab")), "abc", "by what they point to");
    assert_eq!(RUNS.get(), 1);
}

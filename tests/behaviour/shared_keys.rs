//! Arguments in a layer that processes share: what is one call in memory is one call there, whoever makes it.

#![cfg(feature = "msgpack")]
#![allow(clippy::type_complexity, reason = "nested types are what is tested")]

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use larder::{Cache, cached};
use serde::Serialize;
use uuid::Uuid;

use crate::support::{Runs, two_processes};

#[derive(Clone, Copy, Serialize)]
struct UserId(Uuid);

#[derive(Serialize)]
#[serde(transparent)]
struct Name<'a>(Cow<'a, str>);

/// `name: type [values];` where values joined by `=>` are the same call and all others differ.
macro_rules! keys {
    ($($name:ident: $type:ty [$($($value:expr)=>+),+ $(,)?];)*) => {$(
        #[test]
        fn $name() {
            static RUNS: Runs = Runs::new();
            #[cached]
            fn f(key: $type) -> usize {
                let _ = key;
                RUNS.add()
            }
            let all = |cache: &Cache| cache.with_sync(|| vec![$(vec![$(f($value)),+]),+]);
            let (first, second, _clock) = two_processes();
            let answers = all(&first);
            for (index, same) in answers.iter().enumerate() {
                assert!(same.iter().all(|answer| *answer == index + 1), "{}: {answers:?}", stringify!($($($value)=>+),+));
            }
            assert_eq!(all(&first), answers, "in memory");
            assert_eq!(all(&second), answers, "what another process has stored");
            assert_eq!(RUNS.get(), answers.len());
        }
    )*};
}

fn uuid(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn at(seconds: i64) -> SystemTime {
    let time = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 { SystemTime::UNIX_EPOCH - time } else { SystemTime::UNIX_EPOCH + time }
}

keys! {
    doubles: f64 [0.0 => -0.0, f64::NAN => -f64::NAN => f64::from_bits(f64::NAN.to_bits() | 1), 0.1 + 0.2, 0.3, f64::INFINITY, f64::NEG_INFINITY, 5e-324];
    floats: f32 [0.0 => -0.0, f32::NAN => -f32::NAN, 0.1, -0.1, f32::MAX];
    floats_inside: &[(f64, Option<f32>)] [&[(0.0, Some(-0.0))] => &[(-0.0, Some(0.0))], &[(0.0, None)], &[]];
    durations: Duration [Duration::from_millis(1_000) => Duration::from_secs(1), Duration::ZERO, Duration::MAX, Duration::from_nanos(1)];
    times: SystemTime [at(0), at(1), at(-1), at(0) + Duration::from_nanos(1)];
    paths: PathBuf ["a/b".into() => Path::new("a").join("b"), "a//b".into(), "".into(), "/".into()];
    borrowed_paths: &Path [Path::new("a/b") => &PathBuf::from("a/b"), Path::new("a")];
    uuids: Uuid [uuid(1) => "00000000-0000-0000-0000-000000000001".parse().unwrap(), uuid(2), Uuid::nil(), Uuid::max()];
    newtypes: UserId [UserId(uuid(1)) => UserId(uuid(1)), UserId(uuid(2))];
    newtypes_that_borrow: Name<'_> [Name("a".into()) => Name(String::from("a").into()), Name("b".into())];
    nested_tuples: ((u8, (&str, [u16; 2])), (), ((i8,),)) [((1, ("2", [3, 4])), (), ((5,),)), ((1, ("23", [0, 4])), (), ((5,),)), ((1, ("2", [3, 4])), (), ((6,),))];
    arrays: [[u8; 3]; 2] [[[0; 3]; 2], [[0, 0, 1], [0; 3]], [[0; 3], [1, 0, 0]]];
    long_arrays: &[u8; 100] [&[0; 100], &[1; 100]];
    arcs: (Arc<str>, Rc<[u8]>) [("a".into(), [1].into()) => (String::from("a").into(), vec![1].into()), ("a".into(), [].into()), ("b".into(), [1].into())];
    boxes: Box<[Box<str>]> [Box::new(["a".into(), "b".into()]) => vec!["a".into(), "b".into()].into(), Box::new(["ab".into()]), Box::new([])];
    non_zero: NonZeroU32 [NonZeroU32::MIN => NonZeroU32::new(1).unwrap(), NonZeroU32::MAX];
    characters: char ['a', 'ä', '\0', char::MAX];
    wide: (u128, i128) [(0, 0), (u128::MAX, -1), (0, i128::MIN), (1 << 64, 0)];
    addresses: (IpAddr, SocketAddr) [
        ("::1".parse().unwrap(), "[::1]:1".parse().unwrap()),
        ("127.0.0.1".parse().unwrap(), "127.0.0.1:1".parse().unwrap()),
        ("::ffff:127.0.0.1".parse().unwrap(), "127.0.0.1:1".parse().unwrap()),
        ("127.0.0.1".parse().unwrap(), "127.0.0.1:2".parse().unwrap()),
    ];
    cows: Cow<'_, [u8]> [Cow::Borrowed(&[1, 2]) => Cow::Owned(vec![1, 2]), Cow::Borrowed(&[])];
    optional_text: Option<&str> [None, Some(""), Some("a") => Some(&String::from("a"))];
    text_slices: &[&str] [&["a", "b"] => &*vec!["a", "b"], &["ab"], &["a", "b", ""], &[]];
    ranges: (Range<u64>, RangeInclusive<char>) [(0..1, 'a'..='b'), (0..2, 'a'..='b'), (0..1, 'a'..='c')];
    sorted_maps: BTreeMap<&str, Vec<u8>> [[("a", vec![1]), ("b", vec![])].into() => [("b", vec![]), ("a", vec![1])].into(), [("a", vec![]), ("b", vec![1])].into(), [].into()];
    hash_maps: HashMap<u64, &str> [
        (0..50).map(|n| (n, "x")).collect() => (0..50).rev().map(|n| (n, "x")).collect(),
        (0..50).map(|n| (n, "y")).collect(),
        (0..49).map(|n| (n, "x")).collect(),
    ];
    hash_sets: &HashSet<(u8, String)> [&(0..50).map(|n| (n, n.to_string())).collect() => &(0..50).rev().map(|n| (n, n.to_string())).collect(), &HashSet::new()];
    nested_sets: HashMap<u8, BTreeSet<HashSetKey>> [[(1, [HashSetKey(1)].into())].into(), [(1, [HashSetKey(2)].into())].into()];
    queues: VecDeque<u8> [[1, 2].into() => VecDeque::from_iter([1, 2]), [2, 1].into()];
}

#[derive(Serialize, PartialEq, Eq, PartialOrd, Ord)]
struct HashSetKey(u8);

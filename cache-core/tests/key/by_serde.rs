//! Values whose key is what serde writes.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::fmt::Debug;

use cache_core::ErrorKind;
use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use serde::Serialize;
use serde::ser::{SerializeMap, SerializeSeq, Serializer};

use crate::{User, assert_keys, serde_bytes, user};

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Unit;

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Meters(f64);

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Feet(f64);

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Celsius {
    degrees: u8,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Kelvin {
    degrees: u8,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
enum Untagged {
    Nothing,
    Small(u8),
    Wide(u64),
    Signed(i64),
    Text(String),
    Letter(char),
    List(Vec<u8>),
    Pair(u8, u8),
    Metric(Meters),
    Imperial(Feet),
    Named { a: u8 },
    OtherName { b: u8 },
    Map(BTreeMap<String, u8>),
    NamedNothing(Unit),
    Celsius(Celsius),
    Kelvin(Kelvin),
    Tagged(Tagged),
    Boxed(Option<Box<Untagged>>),
    Deep { inner: Vec<Untagged> },
}

#[derive(Clone, Debug, PartialEq, Serialize)]
enum Tagged {
    Unit,
    Other,
    Newtype(u8),
    OtherNewtype(u8),
    Tuple(u8, u8),
    OtherTuple(u8, u8),
    Struct { a: u8, b: Option<u8> },
}

fn tagged() -> impl Strategy<Value = Tagged> {
    prop_oneof![
        Just(Tagged::Unit),
        Just(Tagged::Other),
        (0..3u8).prop_map(Tagged::Newtype),
        (0..3u8).prop_map(Tagged::OtherNewtype),
        (0..3u8, 0..3u8).prop_map(|(a, b)| Tagged::Tuple(a, b)),
        (0..3u8, 0..3u8).prop_map(|(a, b)| Tagged::OtherTuple(a, b)),
        (0..3u8, of(0..3u8)).prop_map(|(a, b)| Tagged::Struct { a, b }),
    ]
}

fn untagged() -> impl Strategy<Value = Untagged> {
    let leaf = prop_oneof![
        Just(Untagged::Nothing),
        (0..3u8).prop_map(Untagged::Small),
        (0..3u64).prop_map(Untagged::Wide),
        (0..3i64).prop_map(Untagged::Signed),
        "[a-c]{0,2}".prop_map(Untagged::Text),
        any::<char>().prop_map(Untagged::Letter),
        vec(0..3u8, 0..3).prop_map(Untagged::List),
        (0..3u8, 0..3u8).prop_map(|(a, b)| Untagged::Pair(a, b)),
        Just(Untagged::Metric(Meters(1.0))),
        Just(Untagged::Imperial(Feet(1.0))),
        (0..3u8).prop_map(|a| Untagged::Named { a }),
        (0..3u8).prop_map(|b| Untagged::OtherName { b }),
        btree_map("[ab]", 0..3u8, 0..3).prop_map(Untagged::Map),
        Just(Untagged::NamedNothing(Unit)),
        tagged().prop_map(Untagged::Tagged),
        Just(Untagged::Boxed(None)),
    ];
    leaf.prop_recursive(3, 16, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|inner| Untagged::Boxed(Some(Box::new(inner)))),
            vec(inner, 0..3).prop_map(|inner| Untagged::Deep { inner }),
        ]
    })
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Skipping {
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    second: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rest: Vec<Tagged>,
}

fn skipping() -> impl Strategy<Value = Skipping> {
    let word = || of("[ab]{0,2}");
    (word(), word(), vec(tagged(), 0..3)).prop_map(|(first, second, rest)| Skipping { first, second, rest })
}

proptest! {
    #[test]
    fn untagged_enums_stay_apart(a in untagged(), b in untagged(), tail in 0..3u8) {
        assert_keys(&key!(a, tail), &key!(b, tail), a == b);
        prop_assert!(a == b || !serde_bytes(&a).starts_with(&serde_bytes(&b)));
    }

    #[test]
    fn skipped_fields_are_not_their_neighbours(a in skipping(), b in skipping()) {
        assert_keys(&key!(a), &key!(b), a == b);
        assert_keys(&key!([&a, &b]), &key!([&b, &a]), a == b);
    }
}

/// Values that differ in kind, width or name alone. What a random pair would seldom hit is here.
#[test]
fn kinds_widths_and_names_tell_values_apart() {
    let text = || "a".to_owned();
    let all = [
        Untagged::Nothing,
        Untagged::Small(1),
        Untagged::Wide(1),
        Untagged::Signed(1),
        Untagged::Text(text()),
        Untagged::Letter('a'),
        Untagged::List(vec![]),
        Untagged::List(vec![1, 1]),
        Untagged::Pair(1, 1),
        Untagged::Metric(Meters(1.0)),
        Untagged::Imperial(Feet(1.0)),
        Untagged::Named { a: 1 },
        Untagged::OtherName { b: 1 },
        Untagged::Map(BTreeMap::new()),
        Untagged::Map(BTreeMap::from([(text(), 1)])),
        Untagged::NamedNothing(Unit),
        Untagged::Tagged(Tagged::Unit),
        Untagged::Tagged(Tagged::Other),
        Untagged::Tagged(Tagged::Newtype(1)),
        Untagged::Tagged(Tagged::OtherNewtype(1)),
        Untagged::Celsius(Celsius { degrees: 1 }),
        Untagged::Kelvin(Kelvin { degrees: 1 }),
        Untagged::Tagged(Tagged::Tuple(1, 1)),
        Untagged::Tagged(Tagged::OtherTuple(1, 1)),
        Untagged::Tagged(Tagged::Struct { a: 1, b: None }),
        Untagged::Tagged(Tagged::Struct { a: 1, b: Some(1) }),
        Untagged::Boxed(None),
        Untagged::Boxed(Some(Box::new(Untagged::Boxed(None)))),
        Untagged::Boxed(Some(Box::new(Untagged::Small(1)))),
        Untagged::Deep { inner: vec![] },
        Untagged::Deep { inner: vec![Untagged::Small(1)] },
        Untagged::Deep { inner: vec![Untagged::Small(1), Untagged::Small(1)] },
    ];
    for (i, a) in all.iter().map(serde_bytes).enumerate() {
        for (j, b) in all.iter().map(serde_bytes).enumerate() {
            assert!(i == j || !a.starts_with(&b), "{:?} {:?}", all[i], all[j]);
        }
    }
}

#[test]
fn lists_end_where_they_end() {
    let users = |list: &str| -> Vec<User> { list.chars().map(|name| user(1, &name.to_string())).collect() };
    let lists = |lists: &[&str]| -> Vec<Vec<User>> { lists.iter().map(|list| users(list)).collect() };
    let all = [&[][..], &[""], &["", ""], &["ab"], &["a", "b"], &["ab", ""], &["", "ab"]].map(lists);
    for (i, a) in all.iter().enumerate() {
        for (j, b) in all.iter().enumerate() {
            assert_keys(&key!(a), &key!(b), i == j);
        }
    }
}

#[test]
fn text_written_by_display_is_the_same_text() {
    struct Shown(String);
    impl Serialize for Shown {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_str(&format_args!("<{}", self.0))
        }
    }
    for length in [0, 1, 60, 70, 252, 253, 254, 255, 300] {
        let text = "x".repeat(length);
        assert_eq!(serde_bytes(&Shown(text.clone())), serde_bytes(&format!("<{text}")));
    }
}

#[test]
fn maps_are_sorted_whatever_their_keys() {
    struct Pairs(Vec<(User, u8)>);
    impl Serialize for Pairs {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut map = serializer.serialize_map(None)?;
            for (key, value) in &self.0 {
                map.serialize_key(key)?;
                map.serialize_value(value)?;
            }
            map.end()
        }
    }
    let mut pairs: Vec<_> = (0..20).map(|n| (user(n % 10, &"n".repeat(n as usize)), n as u8)).collect();
    let forward = serde_bytes(&(Pairs(pairs.clone()), 1u8));
    pairs.reverse();
    assert_eq!(serde_bytes(&(Pairs(pairs.clone()), 1u8)), forward);
    pairs[0].1 += 1;
    assert_ne!(serde_bytes(&(Pairs(pairs), 1u8)), forward);
}

#[test]
fn a_sequence_of_unknown_length_is_a_sequence() {
    struct Lazy(Vec<u8>);
    impl Serialize for Lazy {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut seq = serializer.serialize_seq(None)?;
            self.0.iter().try_for_each(|element| seq.serialize_element(element))?;
            seq.end()
        }
    }
    assert_eq!(serde_bytes(&Lazy(vec![1, 2])), serde_bytes(&vec![1u8, 2]));
}

#[test]
fn what_cannot_be_encoded_is_an_error_that_helps() {
    struct Broken;
    impl Serialize for Broken {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("not today"))
        }
    }
    struct Torn;
    impl Serialize for Torn {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut map = serializer.serialize_map(None)?;
            map.serialize_key(&1)?;
            map.end()
        }
    }
    let mut key = key!(1u8, Broken, Torn);
    let error = key.error().unwrap();
    assert!(key.error().is_none());
    assert_eq!(error.kind(), ErrorKind::Key);
    let message = error.to_string();
    assert!(
        message.contains("Broken`") && message.contains("`key = ..`") && message.contains("`skip(..)`"),
        "{message}"
    );
    assert_eq!(error.source().unwrap().to_string(), "not today");
    assert!(key!(Torn).error().is_some());
}

#[test]
fn an_ignored_error_is_still_an_error() {
    struct Broken(u8);
    impl Serialize for Broken {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut seq = serializer.serialize_seq(None)?;
            seq.serialize_element(&self.0)?;
            Err(serde::ser::Error::custom("not today"))
        }
    }
    struct Careless(bool);
    impl Serialize for Careless {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            if self.0 {
                let mut map = serializer.serialize_map(None)?;
                map.serialize_entry("b", "")?;
                let _ = map.serialize_entry(&Broken(1), "");
                map.serialize_entry("a", "")?;
                map.end()
            } else {
                let mut seq = serializer.serialize_seq(None)?;
                let _ = seq.serialize_element(&Broken(1));
                seq.end()
            }
        }
    }
    for careless in [Careless(true), Careless(false)] {
        assert!(key!(careless).error().is_some());
    }
}

#[test]
fn depth_is_bounded() {
    #[derive(Serialize)]
    struct Chain(Option<Box<Chain>>);
    let chain = |length| (0..length).fold(Chain(None), |chain, _| Chain(Some(Box::new(chain))));
    assert!(key!(chain(60)).error().is_none());
    let error = key!(chain(1000)).error().unwrap();
    assert!(error.source().unwrap().to_string().contains("deep"));
}

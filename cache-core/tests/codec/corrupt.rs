//! Corrupt and hostile bytes: errors, and nothing worse.

use std::collections::HashMap;
use std::fmt::Debug;

use cache_core::codec::{Codec, MAX_DEPTH, decode};
use cache_core::{Error, ErrorKind};
use proptest::collection::vec;
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::allocations::largest_allocation;
use super::values::{Everything, bytes_of, codecs, everything};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn corrupt_bytes_do_no_harm(value in everything(), changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        for codec in codecs() {
            let mut bytes = bytes_of(&*codec, &value).unwrap();
            for (place, byte) in &changes {
                let place = place.index(bytes.len());
                bytes[place] = *byte;
            }
            harmless(&*codec, &bytes);
        }
    }

    #[test]
    fn random_bytes_do_no_harm(bytes in vec(any::<u8>(), 0..64)) {
        for codec in codecs() {
            harmless(&*codec, &bytes);
        }
    }
}

/// Reads the bytes as many types: errors are fine, so are values.
fn harmless(codec: &dyn Codec, bytes: &[u8]) {
    fn read<T: DeserializeOwned>(codec: &dyn Codec, bytes: &[u8]) {
        let (result, largest) = largest_allocation(|| decode::<T>(codec, bytes));
        // A mebibyte is what serde itself may set aside before it has seen an element.
        let allowed = (16 * 16 * bytes.len()).max(2 << 20);
        assert!(largest <= allowed, "{codec:?} allocates {largest} for {} bytes", bytes.len());
        if let Err(error) = result {
            assert_eq!(error.kind(), ErrorKind::Codec);
            assert!(std::error::Error::source(&error).is_some());
        }
    }
    read::<Everything>(codec, bytes);
    read::<List>(codec, bytes);
    read::<Tree>(codec, bytes);
    read::<Vec<u64>>(codec, bytes);
    read::<Vec<()>>(codec, bytes);
    read::<String>(codec, bytes);
    read::<HashMap<String, Vec<[u64; 4]>>>(codec, bytes);
    read::<serde::de::IgnoredAny>(codec, bytes);
    read::<Eager>(codec, bytes);
}

/// Believes in announced lengths, as careless crates do.
struct Eager;

impl<'de> Deserialize<'de> for Eager {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Eager;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a sequence")
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut access: A) -> Result<Eager, A::Error> {
                let mut all = Vec::<u64>::with_capacity(access.size_hint().unwrap_or(0));
                while let Some(next) = access.next_element()? {
                    all.push(next);
                }
                Ok(Eager)
            }
        }
        deserializer.deserialize_seq(Visitor)
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct List {
    next: Option<Box<List>>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Tree {
    Leaf,
    Node(Box<Tree>),
    Pair(Box<Tree>, u8),
    Named { left: Box<Tree> },
    Many(Vec<Tree>),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Deep(Option<Box<Deep>>);

/// Whatever the depth: it comes back, or it is refused; and what is reasonable isn't refused.
#[test]
fn nesting_is_limited_when_encoding() {
    #[track_caller]
    fn check<T: Serialize + DeserializeOwned + PartialEq + Debug>(name: &str, leaf: fn() -> T, wrap: fn(T) -> T) {
        for codec in codecs() {
            let mut refused = None;
            for depth in 0..300 {
                let value = (0..depth).fold(leaf(), |inner, _| wrap(inner));
                match bytes_of(&*codec, &value) {
                    Ok(bytes) => match decode::<T>(&*codec, &bytes) {
                        Ok(back) => assert_eq!(back, value),
                        Err(error) => panic!("{codec:?} takes {name} {depth} deep and doesn't give it back: {error:?}"),
                    },
                    Err(_) => refused = refused.or(Some(depth)),
                }
            }
            let refused = refused.unwrap();
            assert!((MAX_DEPTH / 2 - 1..=MAX_DEPTH + 1).contains(&refused), "{codec:?} refuses {name} {refused} deep");
        }
    }
    check("lists", || List { next: None }, |inner| List { next: Some(Box::new(inner)) });
    check("nodes", || Tree::Leaf, |inner| Tree::Node(Box::new(inner)));
    check("pairs", || Tree::Leaf, |inner| Tree::Pair(Box::new(inner), 1));
    check("fields", || Tree::Leaf, |inner| Tree::Named { left: Box::new(inner) });
    check("vectors", || Tree::Many(vec![]), |inner| Tree::Many(vec![inner]));
}

/// Formats that quote a quoted error at every level make gigabytes of it.
#[track_caller]
fn short(error: &Error) {
    let cause = std::error::Error::source(error).unwrap().to_string();
    assert!(cause.len() < 500, "{} bytes: {:.500}", cause.len(), cause);
}

#[test]
fn errors_from_deep_inside_stay_short_and_say_what_is_wrong() {
    #[derive(Debug)]
    struct Picky;
    impl<'de> Deserialize<'de> for Picky {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            u8::deserialize(deserializer)?;
            Err(serde::de::Error::custom("I don't \"like\" it"))
        }
    }
    impl Serialize for Picky {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("I don't \"like\" it"))
        }
    }
    #[derive(Debug, Serialize, Deserialize)]
    enum Nested<T> {
        In(Box<Nested<T>>),
        Seq(Vec<Nested<T>>),
        Value(T),
    }
    fn nested<T>(value: T) -> Nested<T> {
        let wrap = |inner, depth| if depth % 2 == 0 { Nested::In(Box::new(inner)) } else { Nested::Seq(vec![inner]) };
        (0..70).fold(Nested::Value(value), wrap)
    }
    for codec in codecs() {
        let bytes = bytes_of(&*codec, &nested(1u8)).unwrap();
        let decoding = decode::<Nested<Picky>>(&*codec, &bytes).unwrap_err();
        for error in [decoding, bytes_of(&*codec, &nested(Picky)).unwrap_err()] {
            let cause = std::error::Error::source(&error).unwrap().to_string();
            assert!(cause.contains("like"), "{cause:.500}");
            short(&error);
        }
    }
}

#[test]
fn depth_bombs_are_errors() {
    // Deep enough that a recursion without limit would overflow the stack.
    const DEEP: usize = 200_000;
    let bombs: Vec<Vec<u8>> = vec![
        vec![0x01; DEEP],
        vec![0x91; DEEP],
        vec![0x81; DEEP],
        [0x81, 0xa4, b'n', b'e', b'x', b't'].repeat(DEEP),
        [0x81, 0xa4, b'N', b'o', b'd', b'e'].repeat(DEEP),
        b"[".repeat(DEEP),
        br#"{"next":"#.repeat(DEEP),
        br#"{"Node":"#.repeat(DEEP),
        br#"{"Many":["#.repeat(DEEP),
    ];
    for (codec, bomb) in codecs().iter().flat_map(|codec| bombs.iter().map(move |bomb| (codec, bomb))) {
        harmless(&**codec, bomb);
        short(&decode::<List>(&**codec, bomb).unwrap_err());
        short(&decode::<Tree>(&**codec, bomb).unwrap_err());
        short(&decode::<Deep>(&**codec, bomb).unwrap_err());
    }
}

#[test]
fn lengths_that_are_not_there_are_errors() {
    for codec in codecs() {
        for first in 0..=255u8 {
            for rest in [[0xffu8; 8], [0x7f; 8], [0; 8]] {
                harmless(&*codec, &[&[first], &rest[..]].concat());
            }
        }
    }
}

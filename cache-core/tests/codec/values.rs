//! What the tests of the codecs are about.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use cache_core::Error;
use cache_core::codec::{self, Codec, encode};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

pub(crate) fn codecs() -> Vec<Arc<dyn Codec>> {
    vec![
        #[cfg(feature = "msgpack")]
        Arc::new(codec::MessagePack),
        #[cfg(feature = "bincode")]
        Arc::new(codec::Bincode),
        #[cfg(feature = "json")]
        Arc::new(codec::Json),
    ]
}

pub(crate) fn bytes_of<T: Serialize>(codec: &dyn Codec, value: &T) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    encode(codec, value, &mut bytes)?;
    Ok(bytes)
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Everything {
    numbers: (u8, i16, u32, i64, u128, i128),
    float: f64,
    small: f32,
    text: String,
    letter: char,
    bytes: Vec<u8>,
    maybe: Option<Box<Everything>>,
    twice: Option<Option<u8>>,
    choice: Choice,
    choices: Vec<Choice>,
    map: BTreeMap<String, Vec<i32>>,
    numbered: BTreeMap<u16, bool>,
    shared: Arc<str>,
    unit: (),
    nothing: Nothing,
    wrapped: Wrapped,
    address: IpAddr,
    time: Duration,
    result: Result<u8, String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Choice {
    Unit,
    Newtype(String),
    Tuple(u8, i64),
    Struct { a: bool, b: Option<char> },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Nothing;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Wrapped(pub(crate) u64);

pub(crate) fn choice() -> impl Strategy<Value = Choice> {
    prop_oneof![
        Just(Choice::Unit),
        any::<String>().prop_map(Choice::Newtype),
        any::<(u8, i64)>().prop_map(|(a, b)| Choice::Tuple(a, b)),
        any::<(bool, Option<char>)>().prop_map(|(a, b)| Choice::Struct { a, b }),
    ]
}

pub(crate) fn finite() -> impl Strategy<Value = (f64, f32)> {
    any::<(f64, f32)>().prop_filter("finite", |(a, b)| a.is_finite() && b.is_finite())
}

pub(crate) fn everything() -> impl Strategy<Value = Everything> {
    let leaf = (
        (any::<(u8, i16, u32, i64, u128, i128)>(), finite(), any::<String>(), any::<char>(), vec(any::<u8>(), 0..40)),
        (choice(), vec(choice(), 0..4), btree_map(any::<String>(), vec(any::<i32>(), 0..4), 0..4)),
        (btree_map(any::<u16>(), any::<bool>(), 0..4), any::<String>(), any::<u64>(), any::<IpAddr>()),
        (any::<u64>(), 0..1_000_000_000u32, any::<Result<u8, String>>(), any::<Option<u8>>()),
    )
        .prop_map(|((numbers, floats, text, letter, bytes), (choice, choices, map), more, rest)| Everything {
            numbers,
            float: floats.0,
            small: floats.1,
            text,
            letter,
            bytes,
            maybe: None,
            twice: rest.3.map(Some),
            choice,
            choices,
            map,
            numbered: more.0,
            shared: more.1.into(),
            unit: (),
            nothing: Nothing,
            wrapped: Wrapped(more.2),
            address: more.3,
            time: Duration::new(rest.0, rest.1),
            result: rest.2,
        })
        .boxed();
    (leaf.clone(), proptest::option::of(leaf))
        .prop_map(|(outer, inner)| Everything { maybe: inner.map(Box::new), ..outer })
}

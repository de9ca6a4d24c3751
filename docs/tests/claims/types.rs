//! `types.md`: what each codec keeps.

use std::collections::BTreeMap;
use std::fmt::Debug;

use larder::codec::{self, Bincode, Codec, Json, MessagePack};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

const KEPT: &str = "kept";
const REFUSED: &str = "refused";
const MISS: &str = "a miss";
const CHANGED: &str = "changed";

/// What becomes of a value, in the order of the columns.
fn fates<T: Serialize + DeserializeOwned + Debug>(value: &T) -> [&'static str; 3] {
    let codecs: [&dyn Codec; 3] = [&MessagePack, &Json, &Bincode];
    codecs.map(|codec| {
        let mut bytes = Vec::new();
        if codec::encode(codec, value, &mut bytes).is_err() {
            return REFUSED;
        }
        match codec::decode::<T>(codec, &bytes) {
            Ok(back) if format!("{back:?}") == format!("{value:?}") => KEPT,
            Ok(_) => CHANGED,
            Err(_) => MISS,
        }
    })
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Map(BTreeMap<u8, u8>),
    Text(String),
}

#[derive(Debug, Serialize, Deserialize)]
struct Flat {
    id: u8,
    #[serde(flatten)]
    more: BTreeMap<String, u8>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Tagged {
    Circle { radius: u8 },
}

#[derive(Debug, Serialize, Deserialize)]
enum Variants {
    Unit,
    Pair(u8, u8),
    Named { x: u8 },
}

#[derive(Debug, Serialize, Deserialize)]
struct Nested(Option<Box<Nested>>);

#[test]
fn the_table() {
    assert_eq!(fates(&Some(None::<u8>)), [REFUSED, REFUSED, KEPT], "Some(None)");
    assert_eq!(fates(&Some(())), [REFUSED, REFUSED, KEPT], "Some(())");
    assert_eq!(fates(&f64::NAN), [KEPT, REFUSED, KEPT], "NaN");
    assert_eq!(fates(&f64::INFINITY), [KEPT, REFUSED, KEPT], "infinity");
    assert_eq!(fates(&(0.1 + 0.2)), [KEPT; 3], "other floats");
    assert_eq!(fates(&BTreeMap::from([(7_u64, "a".to_owned())])), [KEPT; 3], "numbers as keys");
    assert_eq!(fates(&BTreeMap::from([((1, 2), 3)])), [KEPT, REFUSED, KEPT], "tuples as keys");
    assert_eq!(fates(&[Variants::Unit, Variants::Pair(1, 2), Variants::Named { x: 3 }]), [KEPT; 3], "variants");
    assert_eq!(fates(&Untagged::Text("a".to_owned())), [KEPT, KEPT, MISS], "untagged");
    assert_eq!(fates(&Flat { id: 1, more: BTreeMap::from([("a".to_owned(), 1)]) })[..2], [KEPT; 2], "flatten");
    assert_eq!(fates(&Tagged::Circle { radius: 1 }), [KEPT, KEPT, MISS], "internally tagged");
    assert_eq!(fates(&serde_json::json!({ "a": [1, null] })), [KEPT, KEPT, MISS], "serde_json::Value");
    let deep = (0..130).fold(Nested(None), |inner, _| Nested(Some(Box::new(inner))));
    assert_eq!(fates(&deep), [REFUSED; 3], "deeply nested");
}

#[test]
fn a_number_as_a_key_inside_untagged() {
    let map = Untagged::Map(BTreeMap::from([(1, 2)]));
    let [msgpack, json, _] = fates(&map);
    assert_eq!(msgpack, KEPT);
    assert_ne!(json, KEPT, "it comes back as text");
}

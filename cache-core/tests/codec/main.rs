//! The codecs: what they take comes back unchanged, what they can't give back they refuse, and corrupt bytes do no harm.
#![cfg(any(feature = "msgpack", feature = "bincode", feature = "json"))]
#![allow(clippy::unwrap_used, clippy::panic, clippy::needless_pass_by_value, reason = "a test fails by panicking")]

mod allocations;
mod corrupt;
mod values;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::net::IpAddr;

use cache_core::ErrorKind;
use cache_core::codec::{Codec, decode, default_codec};
use proptest::collection::vec;
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use self::values::{Choice, Everything, Nothing, Wrapped, bytes_of, codecs, everything};

#[track_caller]
fn comes_back<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: T) {
    for codec in codecs() {
        let bytes = bytes_of(&*codec, &value).unwrap();
        assert_eq!(decode::<T>(&*codec, &bytes).unwrap(), value, "{codec:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn values_come_back_and_left_over_bytes_are_refused(value in everything(), more in vec(any::<u8>(), 1..4)) {
        for codec in codecs() {
            let bytes = bytes_of(&*codec, &value).unwrap();
            prop_assert_eq!(&decode::<Everything>(&*codec, &bytes).unwrap(), &value);
            let longer = [&bytes[..], &more].concat();
            prop_assert_eq!(decode::<Everything>(&*codec, &longer).unwrap_err().kind(), ErrorKind::Codec);
            prop_assert!(decode::<Everything>(&*codec, &bytes[..bytes.len() - 1]).is_err());
        }
    }

}

#[test]
fn long_values_of_small_elements_come_back() {
    comes_back(vec![Wrapped(7); 300_000]);
    comes_back(vec![((1u8, (2u8, (3u8,))), None::<u8>); 100_000]);
    comes_back(vec![Vec::<u8>::new(); 200_000]);
    comes_back(vec![u128::MAX; 1000]);
    comes_back(vec![1u128; 5000]);
    comes_back(vec![(); 1000]);
    comes_back("x".repeat(3 << 20));
}

/// `Some` of nothing has the bytes of `None` in formats with a null.
#[test]
fn values_that_would_change_are_refused() {
    #[track_caller]
    fn refused_or_same<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: T) -> usize {
        let mut refused = 0;
        for codec in codecs() {
            match bytes_of(&*codec, &value) {
                Ok(bytes) => assert_eq!(decode::<T>(&*codec, &bytes).unwrap(), value, "{codec:?}"),
                Err(error) => {
                    assert!(codec.describes_itself(), "bincode loses nothing");
                    assert_eq!(error.kind(), ErrorKind::Codec);
                    refused += 1;
                }
            }
        }
        refused
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct New(Option<u8>);

    let with_null = codecs().iter().filter(|codec| codec.describes_itself()).count();
    assert_eq!(refused_or_same(Some(None::<u8>)), with_null);
    assert_eq!(refused_or_same(vec![Some(Some(None::<u8>))]), with_null);
    assert_eq!(refused_or_same(Some(())), with_null);
    assert_eq!(refused_or_same(Some(New(None))), with_null);
    assert_eq!(refused_or_same((1u8, [Some(Some(()))])), with_null);
    assert_eq!(refused_or_same(Some(Nothing)), usize::from(cfg!(feature = "json")));
    assert_eq!(refused_or_same(f64::INFINITY), usize::from(cfg!(feature = "json")));
    assert_eq!(refused_or_same(Some(f32::NEG_INFINITY)), usize::from(cfg!(feature = "json")));

    assert_eq!(refused_or_same(None::<Option<u8>>), 0);
    assert_eq!(refused_or_same(Some(Some(Some(3u8)))), 0);
    assert_eq!(refused_or_same(Some([None::<u8>])), 0);
    assert_eq!(refused_or_same(Some((None::<u8>, ()))), 0);
    assert_eq!(refused_or_same(Some(Ok::<Option<u8>, ()>(None))), 0);
    assert_eq!(refused_or_same(Some(Choice::Unit)), 0);
    assert_eq!(refused_or_same(vec![-0.0f64, f64::MIN_POSITIVE, 5e-324, f64::MAX, 0.1 + 0.2]), 0);
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Sparse {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    a: Option<u8>,
    b: Option<u8>,
}

#[test]
fn skipped_fields_are_never_read_as_others() {
    let skipped = Sparse { a: None, b: Some(2) };
    for codec in codecs() {
        let Ok(bytes) = bytes_of(&*codec, &skipped) else {
            assert!(!codec.describes_itself());
            continue;
        };
        assert_eq!(decode::<Sparse>(&*codec, &bytes).unwrap(), skipped);
    }
    comes_back(Sparse { a: Some(1), b: None });
}

#[test]
fn self_describing_codecs_read_fields_by_name() {
    #[derive(Serialize)]
    struct Before {
        first: String,
        last: String,
    }
    #[derive(Debug, PartialEq, Deserialize)]
    struct After {
        last: String,
        first: String,
        #[serde(default)]
        middle: Option<String>,
    }
    for codec in codecs().iter().filter(|codec| codec.describes_itself()) {
        let bytes = bytes_of(&**codec, &Before { first: "Ada".into(), last: "Lovelace".into() }).unwrap();
        let read = decode::<After>(&**codec, &bytes).unwrap();
        assert_eq!(read, After { last: "Lovelace".into(), first: "Ada".into(), middle: None });
    }
}

/// What the page of each codec says about attributes: a value, or an error, never garbage.
#[test]
fn attributes_that_need_names_are_read_rightly_or_not_at_all() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Flat {
        id: u8,
        #[serde(flatten)]
        rest: BTreeMap<String, u8>,
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct FlatAddress {
        #[serde(flatten)]
        inner: Address,
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Address {
        address: IpAddr,
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Untagged {
        Number(u8),
        Text(String),
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "kind")]
    enum Tagged {
        A { x: u8 },
    }
    fn read<T: Serialize + DeserializeOwned + PartialEq + Debug>(codec: &dyn Codec, value: T) -> bool {
        match bytes_of(codec, &value).and_then(|bytes| decode::<T>(codec, &bytes)) {
            Ok(back) => {
                assert_eq!(back, value);
                true
            }
            Err(error) => error.kind() != ErrorKind::Codec,
        }
    }
    for codec in codecs() {
        let all = codec.describes_itself();
        assert_eq!(read(&*codec, Flat { id: 1, rest: [("x".to_owned(), 2)].into() }), all);
        assert_eq!(read(&*codec, Untagged::Text("t".into())), all);
        assert_eq!(read(&*codec, Untagged::Number(1)), all);
        assert_eq!(read(&*codec, Tagged::A { x: 1 }), all);
        let address = FlatAddress { inner: Address { address: IpAddr::from([1, 2, 3, 4]) } };
        assert_eq!(read(&*codec, address), codec.name() == "json");
    }
}

#[test]
fn the_default_is_the_first_enabled() {
    assert_eq!(default_codec().unwrap().name(), codecs()[0].name());
}

#[test]
fn white_space_after_json_is_left_over() {
    for codec in codecs().iter().filter(|codec| codec.name() == "json") {
        assert!(decode::<u8>(&**codec, b"1").is_ok());
        for more in [&b"1 "[..], b"1\n", b"1\t", b"1\r", b"1 2"] {
            assert!(decode::<u8>(&**codec, more).is_err());
        }
    }
}

//! Encodes and decodes stored values, with their type erased.

use std::any::{Any, TypeId, type_name};
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::byte_string::{decode_bytes, encode_bytes, look_at_bytes};
use crate::codec::shape::Look;
use crate::codec::{self, Codec};
use crate::entry::{CachedEntry, EntryOf, Meta};
use crate::error::{Error, ErrorKind};

type Encode = fn(&(dyn Any + Send + Sync), &dyn Codec, &mut Vec<u8>) -> Result<(), Error>;
type IntoEntry = fn(Box<dyn Any + Send + Sync>, Meta) -> Option<Arc<CachedEntry>>;
type Same = fn(&(dyn Any + Send + Sync), &(dyn Any + Send + Sync)) -> bool;
type Decode = fn(&[u8], &dyn Codec) -> Result<Box<dyn Any + Send + Sync>, Error>;

/// How values of one type become bytes and come back, as plain functions: the engine is not generic over the type.
#[derive(Clone, Copy, Debug)]
pub struct ValueCodec {
    /// The type's name.
    pub type_name: fn() -> &'static str,
    /// What the type looks like to serde; see [`codec::shape::of`], which says what it costs.
    pub(crate) shape: fn() -> Look,
    /// Appends the value. Fails with [`ErrorKind::Codec`], also for a value of another type.
    pub encode: Encode,
    /// Reads a value back. Fails with [`ErrorKind::Codec`].
    pub decode: Decode,
    /// An entry with the value; `None` for a value of another type.
    pub(crate) entry: IntoEntry,
    /// Whether two values are equal, if the type can say so.
    pub(crate) same: Option<Same>,
}

impl ValueCodec {
    /// The codec of `T`.
    pub const fn of<T: Serialize + DeserializeOwned + Send + Sync + 'static>() -> Self {
        Self {
            type_name: type_name::<T>,
            shape: look_at::<T>,
            encode: encode::<T>,
            decode: decode::<T>,
            entry: entry::<T>,
            same: None,
        }
    }

    /// The same of a type whose values can be compared.
    pub const fn comparing<T: Serialize + DeserializeOwned + PartialEq + Send + Sync + 'static>() -> Self {
        Self { same: Some(same::<T>), ..Self::of::<T>() }
    }
}

fn encode<T: Serialize + 'static>(
    value: &(dyn Any + Send + Sync),
    codec: &dyn Codec,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let Some(value) = value.downcast_ref::<T>() else {
        let message = format!("a value that is not a `{}` reached its codec", type_name::<T>());
        return Err(Error::new(ErrorKind::Codec, message));
    };
    encode_bytes(value, codec, out).unwrap_or_else(|| codec.encode(value, out))
}

fn decode<T: DeserializeOwned + Send + Sync + 'static>(
    bytes: &[u8],
    codec: &dyn Codec,
) -> Result<Box<dyn Any + Send + Sync>, Error> {
    match decode_bytes(TypeId::of::<T>(), bytes, codec) {
        Some(decoded) => decoded,
        None => Ok(Box::new(codec::decode::<T>(codec, bytes)?)),
    }
}

fn look_at<T: DeserializeOwned + 'static>() -> Look {
    look_at_bytes(TypeId::of::<T>()).unwrap_or_else(codec::shape::see::<T>)
}

fn same<T: PartialEq + 'static>(one: &(dyn Any + Send + Sync), other: &(dyn Any + Send + Sync)) -> bool {
    match (one.downcast_ref::<T>(), other.downcast_ref::<T>()) {
        (Some(one), Some(other)) => one == other,
        // Can't be; and if it were, nothing could be said.
        _ => true,
    }
}

fn entry<T: Send + Sync + 'static>(value: Box<dyn Any + Send + Sync>, meta: Meta) -> Option<Arc<CachedEntry>> {
    value.downcast::<T>().ok().map(|value| EntryOf::erased(meta, *value))
}

#[cfg(all(test, any(feature = "msgpack", feature = "bincode", feature = "json")))]
mod tests {
    use std::fmt::Debug;

    use super::*;

    fn codecs() -> Vec<Box<dyn Codec>> {
        vec![
            #[cfg(feature = "msgpack")]
            Box::new(codec::MessagePack),
            #[cfg(feature = "bincode")]
            Box::new(codec::Bincode),
            #[cfg(feature = "json")]
            Box::new(codec::Json),
        ]
    }

    fn encoded<T: Serialize + DeserializeOwned + Send + Sync + 'static>(codec: &dyn Codec, value: &T) -> Vec<u8> {
        let mut out = Vec::new();
        let done = (ValueCodec::of::<T>().encode)(value, codec, &mut out);
        assert!(done.is_ok(), "{codec:?}");
        out
    }

    fn decoded<T: Serialize + DeserializeOwned + Send + Sync + 'static>(codec: &dyn Codec, bytes: &[u8]) -> Option<T> {
        let value = (ValueCodec::of::<T>().decode)(bytes, codec).ok()?;
        value.downcast::<T>().ok().map(|value| *value)
    }

    /// How long it is in each codec.
    fn comes_back<T>(value: &T) -> Vec<usize>
    where
        T: Serialize + DeserializeOwned + PartialEq + Debug + Send + Sync + 'static,
    {
        let length = |codec: &dyn Codec| {
            let bytes = encoded(codec, value);
            assert_eq!(decoded(codec, &bytes).as_ref(), Some(value), "{codec:?}");
            assert_eq!(decoded::<T>(codec, &bytes[..bytes.len() - 1]), None, "{codec:?}: cut short");
            bytes.len()
        };
        codecs().iter().map(|codec| length(&**codec)).collect()
    }

    #[test]
    fn bytes_are_one_byte_string() {
        for length in [0, 1, 255, 256, 1_000, 100_000] {
            // Of which numbers take two bytes each in MessagePack.
            let bytes: Vec<u8> = (0..length).map(|byte| 128 | byte as u8).collect();
            for lengths in [
                comes_back(&bytes),
                comes_back(&Some(bytes.clone())),
                comes_back(&bytes.clone().into_boxed_slice()),
                comes_back(&Some(bytes.clone().into_boxed_slice())),
                comes_back(&Arc::<[u8]>::from(bytes.clone())),
                comes_back(&Some(Arc::<[u8]>::from(bytes.clone()))),
                comes_back(&bytes::Bytes::from(bytes.clone())),
                comes_back(&Some(bytes::Bytes::from(bytes.clone()))),
            ] {
                for (codec, encoded) in codecs().iter().zip(lengths) {
                    let most = if codec.name() == "json" { 4 * length + 2 } else { length + 6 };
                    assert!(encoded <= most, "{codec:?}: {encoded} bytes for {length}");
                }
            }
        }
        assert_eq!(comes_back(&None::<Vec<u8>>), comes_back(&None::<Arc<[u8]>>));
    }

    #[test]
    fn their_shape_is_not_that_of_numbers() {
        use codec::shape::see;
        let shape_of = |of: ValueCodec| (of.shape)();
        let before = [see::<Vec<u8>>(), see::<Box<[u8]>>(), see::<Arc<[u8]>>()];
        let now = [ValueCodec::of::<Vec<u8>>(), ValueCodec::of::<Box<[u8]>>(), ValueCodec::of::<Arc<[u8]>>()];
        for (before, now) in before.into_iter().zip(now.map(shape_of)) {
            assert!(now.whole && now.hash != before.hash, "what was stored before would be taken for the new form");
        }
        assert_ne!(shape_of(ValueCodec::of::<Option<Vec<u8>>>()).hash, see::<Option<Vec<u8>>>().hash);
        // All others are as they were.
        assert_eq!(shape_of(ValueCodec::of::<Vec<u16>>()).hash, see::<Vec<u16>>().hash);
        assert_eq!(shape_of(ValueCodec::of::<Vec<Vec<u8>>>()).hash, see::<Vec<Vec<u8>>>().hash);
    }

    /// Bytes of the other form, should they come here, are read as what they say or refused.
    #[test]
    fn the_other_form_is_no_garbage() {
        let bytes: Vec<u8> = (0..=255).collect();
        for codec in codecs() {
            let mut numbers = Vec::new();
            codec::encode(&*codec, &bytes, &mut numbers).unwrap();
            let read = decoded::<Vec<u8>>(&*codec, &numbers);
            assert!(read.is_none_or(|read| read == bytes), "{codec:?}");
            let read = codec::decode::<Vec<u8>>(&*codec, &encoded(&*codec, &bytes));
            assert!(read.is_ok_and(|read| read == bytes), "{codec:?}");
            let mut others = Vec::new();
            codec::encode(&*codec, &vec![1_u16, 300], &mut others).unwrap();
            assert!(codec.name() == "bincode" || decoded::<Vec<u8>>(&*codec, &others).is_none(), "{codec:?}");
        }
    }

    /// Whoever wrote the bytes says how many there are.
    #[cfg(feature = "msgpack")]
    #[test]
    fn a_length_that_is_not_there_is_not_believed() {
        let codec = codec::MessagePack;
        for bytes in [&[0xc6, 0xff, 0xff, 0xff, 0xff, 1][..], &[0xdd, 0xff, 0xff, 0xff, 0xff, 1], &[0xc4, 2, 1]] {
            assert_eq!(decoded::<Vec<u8>>(&codec, bytes), None);
            assert_eq!(decoded::<Option<Box<[u8]>>>(&codec, bytes), None);
        }
    }
}

//! Values that are bytes: they go through the codecs as one byte string.
//!
//! By themselves, `Vec<u8>` and the like are sequences of numbers to serde, and each number goes through the codec on its own.
//! The types are known by their `TypeId`, so nobody has to say so. Their [shape](super::shape) says that they are byte strings:
//! what was written as a sequence is a miss.

use std::any::{Any, TypeId};
use std::fmt;
use std::sync::Arc;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::shape::{self, Look};
use super::{Codec, decode, encode};
use crate::error::Error;

/// A type whose values are bytes.
trait Bytes: Send + Sync + 'static {
    fn view(&self) -> &[u8];
    fn make(bytes: Vec<u8>) -> Self;
}

macro_rules! bytes {
    ($($type:ty),+) => {$(
        impl Bytes for $type {
            fn view(&self) -> &[u8] {
                self
            }
            fn make(bytes: Vec<u8>) -> Self {
                bytes.into()
            }
        }
    )+};
}

bytes!(Vec<u8>, Box<[u8]>, Arc<[u8]>);

/// `$then` with `$type` naming each of the types in turn.
macro_rules! for_each_type {
    ($type:ident => $then:expr) => {
        for_each_type!($type => $then; Vec<u8>, Box<[u8]>, Arc<[u8]>)
    };
    ($type:ident => $then:expr; $($bytes:ty),+) => {$({
        type $type = $bytes;
        $then
    })+};
}

struct ByteString<'b>(&'b [u8]);

impl Serialize for ByteString<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

struct Buffer(Vec<u8>);

impl<'de> Deserialize<'de> for Buffer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_byte_buf(Reader).map(Self)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a byte string")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }

    fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
        Ok(bytes)
    }

    /// Of formats that have no byte strings, such as JSON.
    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<u8>, A::Error> {
        // Whoever wrote the bytes says how many: they are not believed.
        const AT_FIRST: usize = 4096;
        let mut bytes = Vec::with_capacity(elements.size_hint().unwrap_or(0).min(AT_FIRST));
        while let Some(byte) = elements.next_element()? {
            bytes.push(byte);
        }
        Ok(bytes)
    }
}

/// Appends a value that is bytes, or an `Option` of such. `None` for any other.
pub(crate) fn encode_bytes(value: &dyn Any, codec: &dyn Codec, out: &mut Vec<u8>) -> Option<Result<(), Error>> {
    for_each_type!(Type => {
        if let Some(bytes) = value.downcast_ref::<Type>() {
            return Some(encode(codec, &ByteString(bytes.view()), out));
        }
        if let Some(bytes) = value.downcast_ref::<Option<Type>>() {
            return Some(encode(codec, &bytes.as_ref().map(|bytes| ByteString(bytes.view())), out));
        }
    });
    None
}

/// Reads a value of such a type. `None` for any other type.
pub(crate) fn decode_bytes(
    of: TypeId,
    bytes: &[u8],
    codec: &dyn Codec,
) -> Option<Result<Box<dyn Any + Send + Sync>, Error>> {
    fn boxed<T: Any + Send + Sync>(value: T) -> Box<dyn Any + Send + Sync> {
        Box::new(value)
    }
    for_each_type!(Type => {
        if of == TypeId::of::<Type>() {
            return Some(decode::<Buffer>(codec, bytes).map(|buffer| boxed(Type::make(buffer.0))));
        }
        if of == TypeId::of::<Option<Type>>() {
            let decoded = decode::<Option<Buffer>>(codec, bytes);
            return Some(decoded.map(|buffer| boxed(buffer.map(|buffer| Type::make(buffer.0)))));
        }
    });
    None
}

/// What such a type looks like. `None` for any other type.
pub(crate) fn look_at_bytes(of: TypeId) -> Option<Look> {
    for_each_type!(Type => {
        if of == TypeId::of::<Type>() {
            return Some(shape::see::<Buffer>());
        }
        if of == TypeId::of::<Option<Type>>() {
            return Some(shape::see::<Option<Buffer>>());
        }
    });
    None
}

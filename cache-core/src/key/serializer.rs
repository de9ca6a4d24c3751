//! A serde format made for keys: canonical, injective, never read back.
//!
//! Every value begins with a [`tag`] that names its kind *and* width, so that the variants of an untagged enum stay
//! apart; structs, enums and newtypes carry their names for the same reason. Fields carry theirs, so that a skipped
//! field can't be taken for its neighbour. What has many parts ends with [`tag::END`], which begins no value, so lengths
//! need not be known beforehand. Maps are sorted by their encoded keys.
//!
//! What serde can't tell, this format can't either: a `HashSet` inside a `Serialize` type arrives as a sequence in
//! arbitrary order, and equal sets then have different keys (a miss, never a mix-up).

use std::fmt::{self, Display, Write as _};

use serde::Serialize;
use serde::ser::{self, Serializer};

use super::bytes::Bytes;
use super::compound::MapEncoder;
use super::identity::{canonical_f32, canonical_f64};

/// Deeper values are refused rather than risking the stack.
const MAX_DEPTH: u8 = 128;

/// What each value begins with. Changing a number abandons every key in every backend.
mod tag {
    macro_rules! tags {
        ($($name:ident = $number:literal)*) => { $(pub(super) const $name: u8 = $number;)* };
    }

    tags! {
        END = 0
        FALSE = 1 TRUE = 2
        I8 = 3 I16 = 4 I32 = 5 I64 = 6 I128 = 7
        U8 = 8 U16 = 9 U32 = 10 U64 = 11 U128 = 12
        F32 = 13 F64 = 14
        CHAR = 15 STR = 16 BYTES = 17
        NONE = 18 SOME = 19
        UNIT = 20 UNIT_STRUCT = 21 UNIT_VARIANT = 22
        NEWTYPE_STRUCT = 23 NEWTYPE_VARIANT = 24
        SEQ = 25 TUPLE = 26 TUPLE_STRUCT = 27 TUPLE_VARIANT = 28
        MAP = 29 STRUCT = 30 STRUCT_VARIANT = 31 FIELD = 32
    }
}

/// Appends the value. After an error, what was appended means nothing.
pub(super) fn encode<T: Serialize + ?Sized>(value: &T, out: &mut Bytes) -> Result<(), EncodeError> {
    value.serialize(Encoder { out, depth: 0, failed: false })
}

/// Why a value could not be encoded.
#[derive(Debug)]
pub(super) enum EncodeError {
    TooDeep,
    /// A `SerializeMap` was given a key without a value, or a value without a key.
    TornMap,
    /// An error was ignored, so what is written may be half a value.
    Ignored,
    Display,
    Custom(Box<str>),
}

impl Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooDeep => write!(f, "it is nested more than {MAX_DEPTH} levels deep"),
            Self::TornMap => f.write_str("its `Serialize` wrote a map whose keys and values don't pair up"),
            Self::Ignored => f.write_str("its `Serialize` went on after an error"),
            Self::Display => f.write_str("its `Display` failed"),
            Self::Custom(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for EncodeError {}

impl ser::Error for EncodeError {
    fn custom<T: Display>(message: T) -> Self {
        Self::Custom(message.to_string().into_boxed_str())
    }
}

pub(super) type Encoded = Result<(), EncodeError>;

pub(super) struct Encoder<'w> {
    pub(super) out: &'w mut Bytes,
    depth: u8,
    /// Whether a part of this value has failed. The value has then failed too, whatever its `Serialize` makes of it.
    pub(super) failed: bool,
}

impl<'w> Encoder<'w> {
    fn put(self, tag: u8, bytes: &[u8]) -> Encoded {
        self.out.push(&[tag]);
        self.out.push(bytes);
        Ok(())
    }

    fn put_delimited(self, tag: u8, bytes: &[u8]) -> Encoded {
        self.out.push(&[tag]);
        self.out.push_delimited(bytes);
        Ok(())
    }

    pub(super) fn inner<T: Serialize + ?Sized>(&mut self, value: &T) -> Encoded {
        let encoded = if self.depth < MAX_DEPTH {
            value.serialize(Encoder { out: &mut *self.out, depth: self.depth + 1, failed: false })
        } else {
            Err(EncodeError::TooDeep)
        };
        self.failed |= encoded.is_err();
        encoded
    }

    /// Begins a value of several parts, with the names that tell it from others of its kind.
    fn open(self, tag: u8, names: &[&str]) -> Result<Self, EncodeError> {
        self.out.push(&[tag]);
        for name in names {
            self.out.push_delimited(name.as_bytes());
        }
        Ok(self)
    }

    pub(super) fn field<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Encoded {
        self.out.push(&[tag::FIELD]);
        self.out.push_delimited(name.as_bytes());
        self.inner(value)
    }

    pub(super) fn close(self) -> Encoded {
        if self.failed {
            return Err(EncodeError::Ignored);
        }
        self.out.push(&[tag::END]);
        Ok(())
    }
}

/// `fn serialize_u8(self, v: u8)` and the like: tag, then little-endian bytes.
macro_rules! numbers {
    ($($method:ident $type:ty => $tag:ident, $bits:expr;)*) => {$(
        fn $method(self, value: $type) -> Encoded {
            let bits: fn($type) -> _ = $bits;
            self.put(tag::$tag, &bits(value).to_le_bytes())
        }
    )*};
}

impl<'w> Serializer for Encoder<'w> {
    type Ok = ();
    type Error = EncodeError;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = MapEncoder<'w>;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    numbers! {
        serialize_i8 i8 => I8, |v| v;
        serialize_i16 i16 => I16, |v| v;
        serialize_i32 i32 => I32, |v| v;
        serialize_i64 i64 => I64, |v| v;
        serialize_i128 i128 => I128, |v| v;
        serialize_u8 u8 => U8, |v| v;
        serialize_u16 u16 => U16, |v| v;
        serialize_u32 u32 => U32, |v| v;
        serialize_u64 u64 => U64, |v| v;
        serialize_u128 u128 => U128, |v| v;
        serialize_f32 f32 => F32, canonical_f32;
        serialize_f64 f64 => F64, canonical_f64;
        serialize_char char => CHAR, u32::from;
    }

    fn serialize_bool(self, value: bool) -> Encoded {
        self.put(if value { tag::TRUE } else { tag::FALSE }, &[])
    }

    fn serialize_str(self, value: &str) -> Encoded {
        self.put_delimited(tag::STR, value.as_bytes())
    }

    fn serialize_bytes(self, value: &[u8]) -> Encoded {
        self.put_delimited(tag::BYTES, value)
    }

    fn serialize_none(self) -> Encoded {
        self.put(tag::NONE, &[])
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Encoded {
        self.open(tag::SOME, &[])?.inner(value)
    }

    fn serialize_unit(self) -> Encoded {
        self.put(tag::UNIT, &[])
    }

    fn serialize_unit_struct(self, name: &'static str) -> Encoded {
        self.put_delimited(tag::UNIT_STRUCT, name.as_bytes())
    }

    // Variants go by name, not by index: the name stays when variants are reordered.
    fn serialize_unit_variant(self, name: &'static str, _: u32, variant: &'static str) -> Encoded {
        self.open(tag::UNIT_VARIANT, &[name, variant]).map(drop)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Encoded {
        self.open(tag::NEWTYPE_STRUCT, &[name])?.inner(value)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Encoded {
        self.open(tag::NEWTYPE_VARIANT, &[name, variant])?.inner(value)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self, EncodeError> {
        self.open(tag::SEQ, &[])
    }

    fn serialize_tuple(self, _: usize) -> Result<Self, EncodeError> {
        self.open(tag::TUPLE, &[])
    }

    fn serialize_tuple_struct(self, name: &'static str, _: usize) -> Result<Self, EncodeError> {
        self.open(tag::TUPLE_STRUCT, &[name])
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Self, EncodeError> {
        self.open(tag::TUPLE_VARIANT, &[name, variant])
    }

    fn serialize_map(self, _: Option<usize>) -> Result<MapEncoder<'w>, EncodeError> {
        let encoder = self.open(tag::MAP, &[])?;
        Ok(MapEncoder::new(encoder))
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Self, EncodeError> {
        self.open(tag::STRUCT, &[name])
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Self, EncodeError> {
        self.open(tag::STRUCT_VARIANT, &[name, variant])
    }

    /// The same bytes as `serialize_str`, without a string in between: written first, then its length moved before it.
    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Encoded {
        struct Sink<'w>(&'w mut Bytes);
        impl fmt::Write for Sink<'_> {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                self.0.push(text.as_bytes());
                Ok(())
            }
        }

        self.out.push(&[tag::STR]);
        let start = self.out.len();
        write!(Sink(&mut *self.out), "{value}").map_err(|_| EncodeError::Display)?;
        let end = self.out.len();
        self.out.push_count(end - start);
        let prefix = self.out.len() - end;
        self.out.since_mut(start).rotate_right(prefix);
        Ok(())
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

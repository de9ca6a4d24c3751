//! The deserializer that makes values up.

use serde::de::{DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor};
use serde::de::{IntoDeserializer, value::U32Deserializer};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{Kind, Refused, Trace};

const MAX_DEPTH: usize = 100;

/// What is tried where a type refuses what it was given. The first must be the likeliest.
const INTEGERS: [u8; 3] = [1, 0, 2];
const FLOATS: [f32; 3] = [1.0, 0.0, 0.5];
const CHARS: [char; 2] = ['a', '0'];
const STRINGS: [&str; 12] = [
    "",
    "a",
    "1",
    "1970-01-01T00:00:00Z",
    "1970-01-01T00:00:00",
    "1970-01-01",
    "00:00:00",
    "http://localhost/",
    "00000000-0000-0000-0000-000000000000",
    "127.0.0.1",
    "0.0.0",
    "UTC",
];
const BYTES: [usize; 6] = [0, 16, 4, 8, 12, 32];

/// One place in a value being made up.
pub(in crate::codec::shape) struct Tracer<'t> {
    trace: &'t mut Trace,
    path: u64,
    depth: usize,
}

impl<'t> Tracer<'t> {
    pub(super) fn new(trace: &'t mut Trace) -> Self {
        Self { trace, path: 0, depth: 0 }
    }

    /// The place inside this one with that number.
    fn child(&mut self, number: usize) -> Result<Tracer<'_>, Refused> {
        if self.depth >= MAX_DEPTH {
            return Err(Refused);
        }
        let path = xxh3_64_with_seed(&(number as u64).to_le_bytes(), self.path);
        Ok(Tracer { trace: &mut *self.trace, path, depth: self.depth + 1 })
    }

    /// The value to give here.
    fn leaf<T: Copy>(&mut self, kind: Kind, choices: &[T]) -> Result<T, Refused> {
        self.trace.note(kind, 0)?;
        self.trace.last_leaf = Some((self.path, choices.len()));
        let hint = self.trace.hints.get(&self.path).copied().unwrap_or_default();
        choices.get(hint).or(choices.first()).copied().ok_or(Refused)
    }
}

macro_rules! leaves {
    ($($method:ident, $visit:ident, $kind:ident, $choices:expr, $convert:expr;)*) => {
        $(fn $method<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refused> {
            let value = self.leaf(Kind::$kind, $choices)?;
            visitor.$visit($convert(value))
        })*
    };
}

/// `Value` and the like: bytes without names can't answer these.
macro_rules! unanswerable {
    ($($method:ident),*) => {
        $(fn $method<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Refused> {
            self.trace.last_leaf = None;
            Err(Refused)
        })*
    };
}

impl<'de> Deserializer<'de> for Tracer<'_> {
    type Error = Refused;

    leaves! {
        deserialize_bool, visit_bool, Bool, &[false, true], bool::from;
        deserialize_i8, visit_i8, I8, &[1, 0, 2], i8::from;
        deserialize_i16, visit_i16, I16, &INTEGERS, i16::from;
        deserialize_i32, visit_i32, I32, &INTEGERS, i32::from;
        deserialize_i64, visit_i64, I64, &INTEGERS, i64::from;
        deserialize_i128, visit_i128, I128, &INTEGERS, i128::from;
        deserialize_u8, visit_u8, U8, &INTEGERS, u8::from;
        deserialize_u16, visit_u16, U16, &INTEGERS, u16::from;
        deserialize_u32, visit_u32, U32, &INTEGERS, u32::from;
        deserialize_u64, visit_u64, U64, &INTEGERS, u64::from;
        deserialize_u128, visit_u128, U128, &INTEGERS, u128::from;
        deserialize_f32, visit_f32, F32, &FLOATS, f32::from;
        deserialize_f64, visit_f64, F64, &FLOATS, f64::from;
        deserialize_char, visit_char, Char, &CHARS, char::from;
        deserialize_str, visit_string, Str, &STRINGS, str::to_owned;
        deserialize_string, visit_string, Str, &STRINGS, str::to_owned;
        deserialize_bytes, visit_byte_buf, Bytes, &BYTES, |len| vec![0; len];
        deserialize_byte_buf, visit_byte_buf, Bytes, &BYTES, |len| vec![0; len];
    }

    unanswerable! { deserialize_any, deserialize_identifier, deserialize_ignored_any }

    fn deserialize_option<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refused> {
        if self.trace.first::<V>(Kind::Option)? { visitor.visit_some(self.child(0)?) } else { visitor.visit_none() }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.trace.note(Kind::Unit, 0)?;
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Refused> {
        self.trace.note(Kind::UnitStruct, 0)?;
        self.trace.note_names(&[name]);
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        mut self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.trace.note(Kind::Newtype, 0)?;
        self.trace.note_names(&[name]);
        visitor.visit_newtype_struct(self.child(0)?)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        let len = usize::from(self.trace.first::<V>(Kind::Seq)?);
        visitor.visit_seq(Elements { of: self, next: 0, len })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        let len = usize::from(self.trace.first::<V>(Kind::Map)?);
        visitor.visit_map(Elements { of: self, next: 0, len: 2 * len })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Refused> {
        self.trace.note(Kind::Tuple, len as u64)?;
        visitor.visit_seq(Elements { of: self, next: 0, len })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.trace.note(Kind::TupleStruct, len as u64)?;
        self.trace.note_names(&[name]);
        visitor.visit_seq(Elements { of: self, next: 0, len })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.trace.note(Kind::Struct, 0)?;
        self.trace.note_names(&[name]);
        self.trace.note_names(fields);
        visitor.visit_seq(Elements { of: self, next: 0, len: fields.len() })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        mut self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.trace.note(Kind::Enum, 0)?;
        self.trace.note_names(&[name]);
        self.trace.note_names(variants);
        let key = typeid::of::<V>();
        let found = self.trace.enums.entry(key).or_default();
        found.explored.resize(variants.len(), false);
        let index = found.choose().ok_or(Refused)?;
        found.open.push(index);
        self.trace.note(Kind::Variant, index as u64)?;
        let incomplete = self.trace.incomplete;
        let result = self.child(index).and_then(|inside| {
            let index = u32::try_from(index).map_err(|_| Refused)?;
            visitor.visit_enum(Choice { index, inside })
        });
        self.trace.left(key, index, result.is_ok(), incomplete);
        result
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

struct Elements<'t> {
    of: Tracer<'t>,
    next: usize,
    len: usize,
}

impl Elements<'_> {
    fn element<'de, T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Refused> {
        if self.next >= self.len {
            return Ok(None);
        }
        let place = self.of.child(self.next)?;
        self.next += 1;
        seed.deserialize(place).map(Some)
    }
}

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = Refused;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Refused> {
        self.element(seed)
    }
}

impl<'de> MapAccess<'de> for Elements<'_> {
    type Error = Refused;

    fn next_key_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Refused> {
        self.element(seed)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Refused> {
        self.element(seed)?.ok_or(Refused)
    }
}

struct Choice<'t> {
    index: u32,
    inside: Tracer<'t>,
}

impl<'de, 't> EnumAccess<'de> for Choice<'t> {
    type Error = Refused;
    type Variant = Tracer<'t>;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Tracer<'t>), Refused> {
        let index: U32Deserializer<Refused> = self.index.into_deserializer();
        Ok((seed.deserialize(index)?, self.inside))
    }
}

impl<'de> VariantAccess<'de> for Tracer<'_> {
    type Error = Refused;

    fn unit_variant(self) -> Result<(), Refused> {
        self.trace.note(Kind::UnitVariant, 0)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(mut self, seed: T) -> Result<T::Value, Refused> {
        self.trace.note(Kind::NewtypeVariant, 0)?;
        seed.deserialize(self.child(0)?)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Refused> {
        self.trace.note(Kind::TupleVariant, len as u64)?;
        visitor.visit_seq(Elements { of: self, next: 0, len })
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Refused> {
        self.trace.note(Kind::StructVariant, 0)?;
        self.trace.note_names(fields);
        visitor.visit_seq(Elements { of: self, next: 0, len: fields.len() })
    }
}

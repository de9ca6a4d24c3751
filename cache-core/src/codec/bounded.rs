//! The guard around every deserializer: corrupt bytes can't nest without end, announce lengths that are not there, or
//! repeat elements that take no bytes.
//!
//! It also carries errors out. On its way through `erased_serde` an error is turned into text and back at every level of
//! nesting, and formats that quote the text (bincode does) double its backslashes each time: thirty levels make
//! gigabytes. So the first error is set aside where it occurs, and a short one travels in its place.

use std::cell::{Cell, OnceCell};
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor};

use super::MAX_DEPTH;

/// What [`Codec::decode`](super::Codec::decode) calls with a deserializer.
pub(super) type Reader<'r> =
    &'r mut dyn FnMut(&mut dyn erased_serde::Deserializer<'_>) -> Result<(), erased_serde::Error>;

/// How many elements the sequences and maps of a value may have beyond its number of bytes: elements like `()` take
/// none.
const FREE_ELEMENTS: usize = 1 << 16;

/// Calls `read` with this deserializer of `bytes` bytes, guarded.
pub(super) fn read<'de, D: Deserializer<'de>>(deserializer: D, bytes: usize, read: Reader<'_>) -> Result<(), D::Error> {
    let elements = Cell::new(bytes.saturating_add(FREE_ELEMENTS));
    let cause = OnceCell::new();
    let limits = Limits { elements: &elements, cause: &cause, bytes, depth: 0, counted: false };
    let mut erased = <dyn erased_serde::Deserializer<'_>>::erase(limits.around(deserializer));
    read(&mut erased).map_err(|error| match cause.get() {
        Some(cause) => D::Error::custom(cause),
        None => D::Error::custom(error),
    })
}

#[derive(Clone, Copy)]
struct Limits<'l> {
    /// How many more elements may come, in the whole value.
    elements: &'l Cell<usize>,
    /// The first error.
    cause: &'l OnceCell<String>,
    /// How many bytes there are, so that no honest length is greater.
    bytes: usize,
    depth: usize,
    /// Whether this is a sequence or map whose length stands in the bytes; that of a struct or tuple doesn't.
    counted: bool,
}

impl<'l> Limits<'l> {
    fn around<T>(self, inner: T) -> Bounded<'l, T> {
        Bounded { inner, limits: self }
    }

    fn deeper<E: Error>(self) -> Result<Self, E> {
        if self.depth >= MAX_DEPTH {
            return Err(E::custom(format_args!("nested more than {MAX_DEPTH} levels deep")));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }

    /// Sets the error aside, if it is the first, and returns a short one.
    fn fail<E: Error>(self, error: &E) -> E {
        self.cause.get_or_init(|| error.to_string());
        E::custom("see above")
    }

    /// Takes note of what a sequence or map gave.
    fn count<T, E: Error>(self, element: Option<T>) -> Result<Option<T>, E> {
        if !self.counted || element.is_none() {
            return Ok(element);
        }
        let left = self.elements.get().checked_sub(1).ok_or_else(|| E::custom("more elements than bytes"))?;
        self.elements.set(left);
        Ok(element)
    }
}

/// A deserializer, visitor, seed or access with the guard around it.
struct Bounded<'l, T> {
    inner: T,
    limits: Limits<'l>,
}

macro_rules! forward {
    (counted: $counted:literal; $($method:ident($($arg:ident: $type:ty),*);)*) => {
        $(fn $method<V: Visitor<'de>>(self, $($arg: $type,)* visitor: V) -> Result<V::Value, D::Error> {
            let limits = Limits { counted: $counted, ..self.limits };
            self.inner.$method($($arg,)* limits.around(visitor))
        })*
    };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Bounded<'_, D> {
    type Error = D::Error;

    forward! { counted: true; deserialize_seq(); deserialize_map(); }

    forward! {
        counted: false;
        deserialize_any(); deserialize_bool(); deserialize_i8(); deserialize_i16(); deserialize_i32();
        deserialize_i64(); deserialize_i128(); deserialize_u8(); deserialize_u16(); deserialize_u32();
        deserialize_u64(); deserialize_u128(); deserialize_f32(); deserialize_f64(); deserialize_char();
        deserialize_str(); deserialize_string(); deserialize_bytes(); deserialize_byte_buf(); deserialize_option();
        deserialize_unit(); deserialize_identifier(); deserialize_ignored_any();
        deserialize_unit_struct(name: &'static str);
        deserialize_newtype_struct(name: &'static str);
        deserialize_tuple(len: usize);
        deserialize_tuple_struct(name: &'static str, len: usize);
        deserialize_struct(name: &'static str, fields: &'static [&'static str]);
        deserialize_enum(name: &'static str, variants: &'static [&'static str]);
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

macro_rules! visit {
    ($($method:ident($type:ty)),* $(,)?) => {
        $(fn $method<E: Error>(self, value: $type) -> Result<V::Value, E> {
            self.inner.$method(value)
        })*
    };
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Bounded<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    visit! {
        visit_bool(bool), visit_i8(i8), visit_i16(i16), visit_i32(i32), visit_i64(i64), visit_i128(i128), visit_u8(u8),
        visit_u16(u16), visit_u32(u32), visit_u64(u64), visit_u128(u128), visit_f32(f32), visit_f64(f64),
        visit_char(char), visit_str(&str), visit_borrowed_str(&'de str), visit_string(String), visit_bytes(&[u8]),
        visit_borrowed_bytes(&'de [u8]), visit_byte_buf(Vec<u8>),
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, inside: D) -> Result<V::Value, D::Error> {
        let inside = self.limits.deeper()?.around(inside);
        self.inner.visit_some(inside).map_err(|error| self.limits.fail(&error))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inside: D) -> Result<V::Value, D::Error> {
        let inside = self.limits.deeper()?.around(inside);
        self.inner.visit_newtype_struct(inside).map_err(|error| self.limits.fail(&error))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let access = self.limits.deeper()?.around(access);
        self.inner.visit_seq(access).map_err(|error| self.limits.fail(&error))
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let access = self.limits.deeper()?.around(access);
        self.inner.visit_map(access).map_err(|error| self.limits.fail(&error))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let access = self.limits.deeper()?.around(access);
        self.inner.visit_enum(access).map_err(|error| self.limits.fail(&error))
    }
}

impl<'de, T: DeserializeSeed<'de>> DeserializeSeed<'de> for Bounded<'_, T> {
    type Value = T::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T::Value, D::Error> {
        self.inner.deserialize(self.limits.around(deserializer)).map_err(|error| self.limits.fail(&error))
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Bounded<'_, A> {
    type Error = A::Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, A::Error> {
        let element = self.inner.next_element_seed(self.limits.around(seed))?;
        self.limits.count(element)
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint().map(|hint| hint.min(self.limits.bytes))
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Bounded<'_, A> {
    type Error = A::Error;

    fn next_key_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, A::Error> {
        let key = self.inner.next_key_seed(self.limits.around(seed))?;
        self.limits.count(key)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, A::Error> {
        self.inner.next_value_seed(self.limits.around(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint().map(|hint| hint.min(self.limits.bytes))
    }
}

impl<'de, 'l, A: EnumAccess<'de>> EnumAccess<'de> for Bounded<'l, A> {
    type Error = A::Error;
    type Variant = Bounded<'l, A::Variant>;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self::Variant), A::Error> {
        let (value, variant) = self.inner.variant_seed(self.limits.around(seed))?;
        Ok((value, self.limits.around(variant)))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Bounded<'_, A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.inner.unit_variant()
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, A::Error> {
        self.inner.newtype_variant_seed(self.limits.around(seed))
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        self.inner.tuple_variant(len, self.limits.around(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.inner.struct_variant(fields, self.limits.around(visitor))
    }
}

//! The guard around every serializer: refuses what would not come back the same, and what is nested too deeply.
//!
//! ```text
//! Some(None)  --MessagePack-->  nil  -->  None          refused
//! Some(3)     --MessagePack-->  3    -->  Some(3)       passes
//! ```

use serde::ser::{
    Error as _, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant,
};
use serde::{Serialize, Serializer};

use super::MAX_DEPTH;

/// What a format can't tell apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// `None` and `()` have the same bytes, and `Some(x)` has those of `x`.
    pub(super) none_is_null: bool,
    /// A unit struct has those bytes too.
    pub(super) unit_struct_is_null: bool,
    /// Infinities and NaN have those bytes too.
    pub(super) finite_floats_only: bool,
    /// A field that isn't written shifts all that follow.
    pub(super) all_fields: bool,
}

/// A serializer, a value inside one, or one of its compounds, with the guard around it.
#[derive(Clone, Copy)]
pub(super) struct Faithful<S> {
    inner: S,
    rules: Rules,
    depth: usize,
    /// Directly inside a `Some`, where a null would come back as `None`.
    in_some: bool,
}

impl<S: Serializer> Faithful<S> {
    pub(super) fn new(inner: S, rules: Rules) -> Self {
        Self { inner, rules, depth: 0, in_some: false }
    }

    fn null(self, same: bool) -> Result<S, S::Error> {
        if self.in_some && same {
            return Err(S::Error::custom(
                "`Some` of an empty value (`Some(None)`, `Some(())`) would come back as `None`; \
                 return an enum of your own, or use the `bincode` codec",
            ));
        }
        Ok(self.inner)
    }

    /// Splits off the serializer from what its contents are wrapped in.
    fn deeper(self, levels: usize) -> Result<(S, Faithful<()>), S::Error> {
        let depth = self.depth + levels;
        if depth > MAX_DEPTH {
            return Err(S::Error::custom(format_args!("the value is nested more than {MAX_DEPTH} levels deep")));
        }
        Ok((self.inner, Faithful { inner: (), rules: self.rules, depth, in_some: false }))
    }
}

impl<C> Faithful<C> {
    fn around<D>(&self, inner: D) -> Faithful<D> {
        Faithful { inner, rules: self.rules, depth: self.depth, in_some: self.in_some }
    }

    fn some(self, in_some: bool) -> Self {
        Self { in_some, ..self }
    }
}

/// A value to be serialized under the guard.
impl<T: Serialize + ?Sized> Serialize for Faithful<&T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.inner.serialize(self.around(serializer))
    }
}

macro_rules! plain {
    ($($method:ident($type:ty)),* $(,)?) => {
        $(fn $method(self, value: $type) -> Result<S::Ok, S::Error> {
            self.inner.$method(value)
        })*
    };
}

macro_rules! compound {
    ($($method:ident($($arg:ident: $type:ty),*) -> $compound:ident, $levels:literal;)*) => {
        $(fn $method(self, $($arg: $type),*) -> Result<Self::$compound, S::Error> {
            let (inner, context) = self.deeper($levels)?;
            Ok(context.around(inner.$method($($arg),*)?))
        })*
    };
}

macro_rules! float {
    ($($method:ident($type:ty)),*) => {
        $(fn $method(self, value: $type) -> Result<S::Ok, S::Error> {
            if self.rules.finite_floats_only && !value.is_finite() {
                return Err(S::Error::custom("this format has no infinities and no NaN; use another codec"));
            }
            self.inner.$method(value)
        })*
    };
}

impl<S: Serializer> Serializer for Faithful<S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Faithful<S::SerializeSeq>;
    type SerializeTuple = Faithful<S::SerializeTuple>;
    type SerializeTupleStruct = Faithful<S::SerializeTupleStruct>;
    type SerializeTupleVariant = Faithful<S::SerializeTupleVariant>;
    type SerializeMap = Faithful<S::SerializeMap>;
    type SerializeStruct = Faithful<S::SerializeStruct>;
    type SerializeStructVariant = Faithful<S::SerializeStructVariant>;

    plain! {
        serialize_bool(bool), serialize_i8(i8), serialize_i16(i16), serialize_i32(i32), serialize_i64(i64),
        serialize_i128(i128), serialize_u8(u8), serialize_u16(u16), serialize_u32(u32), serialize_u64(u64),
        serialize_u128(u128), serialize_char(char), serialize_str(&str),
    }

    float! { serialize_f32(f32), serialize_f64(f64) }

    // The second number: how many levels deeper the contents are in the most deeply nesting format, JSON.
    compound! {
        serialize_seq(len: Option<usize>) -> SerializeSeq, 1;
        serialize_tuple(len: usize) -> SerializeTuple, 1;
        serialize_tuple_struct(name: &'static str, len: usize) -> SerializeTupleStruct, 1;
        serialize_tuple_variant(name: &'static str, index: u32, variant: &'static str, len: usize)
            -> SerializeTupleVariant, 2;
        serialize_map(len: Option<usize>) -> SerializeMap, 1;
        serialize_struct(name: &'static str, len: usize) -> SerializeStruct, 1;
        serialize_struct_variant(name: &'static str, index: u32, variant: &'static str, len: usize)
            -> SerializeStructVariant, 2;
    }

    fn serialize_none(self) -> Result<S::Ok, S::Error> {
        let same = self.rules.none_is_null;
        self.null(same)?.serialize_none()
    }

    fn serialize_unit(self) -> Result<S::Ok, S::Error> {
        let same = self.rules.none_is_null;
        self.null(same)?.serialize_unit()
    }

    fn serialize_unit_struct(self, name: &'static str) -> Result<S::Ok, S::Error> {
        let same = self.rules.unit_struct_is_null;
        self.null(same)?.serialize_unit_struct(name)
    }

    // Bytes are an array in JSON, a unit variant is an enum when it is decoded: both count as a level there.
    fn serialize_bytes(self, value: &[u8]) -> Result<S::Ok, S::Error> {
        self.deeper(1)?.0.serialize_bytes(value)
    }

    fn serialize_unit_variant(self, name: &'static str, index: u32, variant: &'static str) -> Result<S::Ok, S::Error> {
        self.deeper(1)?.0.serialize_unit_variant(name, index, variant)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        // `Some(Some(x))` is `x`: fine, as long as `x` is no null. So `in_some` only ever needs setting.
        let (inner, context) = self.deeper(1)?;
        inner.serialize_some(&context.some(true).around(value))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Result<S::Ok, S::Error> {
        let in_some = self.in_some; // a newtype has the bytes of its contents
        let (inner, context) = self.deeper(1)?;
        inner.serialize_newtype_struct(name, &context.some(in_some).around(value))
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let (inner, context) = self.deeper(1)?;
        inner.serialize_newtype_variant(name, index, variant, &context.around(value))
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

macro_rules! elements {
    ($($trait:ident::$method:ident),*) => {
        $(impl<C: $trait> $trait for Faithful<C> {
            type Ok = C::Ok;
            type Error = C::Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), C::Error> {
                let value = self.around(value);
                self.inner.$method(&value)
            }

            fn end(self) -> Result<C::Ok, C::Error> {
                self.inner.end()
            }
        })*
    };
}

elements! {
    SerializeSeq::serialize_element, SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field, SerializeTupleVariant::serialize_field
}

impl<C: SerializeMap> SerializeMap for Faithful<C> {
    type Ok = C::Ok;
    type Error = C::Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), C::Error> {
        let key = self.around(key);
        self.inner.serialize_key(&key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), C::Error> {
        let value = self.around(value);
        self.inner.serialize_value(&value)
    }

    fn end(self) -> Result<C::Ok, C::Error> {
        self.inner.end()
    }
}

macro_rules! fields {
    ($($trait:ident),*) => {
        $(impl<C: $trait> $trait for Faithful<C> {
            type Ok = C::Ok;
            type Error = C::Error;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), C::Error> {
                let value = self.around(value);
                self.inner.serialize_field(name, &value)
            }

            fn skip_field(&mut self, name: &'static str) -> Result<(), C::Error> {
                if self.rules.all_fields {
                    return Err(C::Error::custom(format_args!(
                        "field `{name}` is skipped, which this format can't say; remove `skip_serializing_if` \
                         or use the `msgpack` codec"
                    )));
                }
                self.inner.skip_field(name)
            }

            fn end(self) -> Result<C::Ok, C::Error> {
                self.inner.end()
            }
        })*
    };
}

fields! { SerializeStruct, SerializeStructVariant }

//! The parts of the serde format that write values of several parts: sequences, tuples, structs, maps.

use serde::Serialize;
use serde::ser;

use super::bytes::EntrySpan;
use super::serializer::{EncodeError, Encoded, Encoder};

/// The traits of values with several parts, all of which append parts and then the end tag.
macro_rules! compounds {
    ($($trait:ident :: $method:ident ( $($name:ident : $type:ty)? );)*) => {$(
        impl ser::$trait for Encoder<'_> {
            type Ok = ();
            type Error = EncodeError;

            fn $method<T: Serialize + ?Sized>(&mut self, $($name: $type,)? value: &T) -> Encoded {
                compounds!(@add self, $($name,)? value)
            }

            fn end(self) -> Encoded {
                self.close()
            }
        }
    )*};
    (@add $encoder:ident, $value:ident) => { $encoder.inner($value) };
    (@add $encoder:ident, $name:ident, $value:ident) => { $encoder.field($name, $value) };
}

compounds! {
    SerializeSeq::serialize_element();
    SerializeTuple::serialize_element();
    SerializeTupleStruct::serialize_field();
    SerializeTupleVariant::serialize_field();
    SerializeStruct::serialize_field(name: &'static str);
    SerializeStructVariant::serialize_field(name: &'static str);
}

/// A map: its entries are written as they come and sorted at the end.
pub(super) struct MapEncoder<'w> {
    encoder: Encoder<'w>,
    start: usize,
    /// Start and end of a key whose value has not come yet.
    pending: Option<(usize, usize)>,
    entries: Vec<EntrySpan>,
}

impl<'w> MapEncoder<'w> {
    pub(super) fn new(encoder: Encoder<'w>) -> Self {
        Self { start: encoder.out.len(), pending: None, entries: Vec::new(), encoder }
    }

    fn torn(&mut self) -> Encoded {
        self.encoder.failed = true;
        Err(EncodeError::TornMap)
    }
}

impl ser::SerializeMap for MapEncoder<'_> {
    type Ok = ();
    type Error = EncodeError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Encoded {
        if self.pending.is_some() {
            return self.torn();
        }
        let start = self.encoder.out.len();
        self.encoder.inner(key)?;
        self.pending = Some((start, self.encoder.out.len()));
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Encoded {
        let Some((start, key_end)) = self.pending.take() else {
            return self.torn();
        };
        self.encoder.inner(value)?;
        self.entries.push(EntrySpan { start, key_end, end: self.encoder.out.len() });
        Ok(())
    }

    fn end(mut self) -> Encoded {
        if self.pending.is_some() {
            return self.torn();
        }
        if !self.encoder.failed {
            self.encoder.out.sort_entries(self.start, &mut self.entries);
        }
        self.encoder.close()
    }
}

//! Encodes and decodes stored values, with their type erased.

use std::any::{Any, type_name};
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

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
            shape: codec::shape::see::<T>,
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
    codec.encode(value, out)
}

fn decode<T: DeserializeOwned + Send + Sync + 'static>(
    bytes: &[u8],
    codec: &dyn Codec,
) -> Result<Box<dyn Any + Send + Sync>, Error> {
    Ok(Box::new(codec::decode::<T>(codec, bytes)?))
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

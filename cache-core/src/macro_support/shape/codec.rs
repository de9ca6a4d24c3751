//! Which stored values have a byte form.

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use crate::entry::value_codec::ValueCodec;

/// Whether stored values of `T` have a byte form.
pub trait Encoding<T>: 'static {
    /// The byte form; `None` keeps values in this process.
    fn codec() -> Option<ValueCodec>;
}

/// Values have a byte form, by serde.
#[derive(Clone, Copy, Debug)]
pub struct Serde;

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Encoding<T> for Serde {
    fn codec() -> Option<ValueCodec> {
        Some(ValueCodec::of::<T>())
    }
}

/// The same, and they can be compared with what comes back.
#[derive(Clone, Copy, Debug)]
pub struct SerdeEq;

impl<T: Serialize + DeserializeOwned + PartialEq + Send + Sync + 'static> Encoding<T> for SerdeEq {
    fn codec() -> Option<ValueCodec> {
        Some(ValueCodec::comparing::<T>())
    }
}

/// Values stay in this process: `local` functions.
#[derive(Clone, Copy, Debug)]
pub struct LocalOnly;

impl<T> Encoding<T> for LocalOnly {
    fn codec() -> Option<ValueCodec> {
        None
    }
}

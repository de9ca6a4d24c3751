//! How values become bytes for a [`Backend`](crate::backend::Backend): the [`Codec`] trait and the codecs that come
//! with larder.
//!
//! | codec | feature | suits |
//! |---|---|---|
//! | [`MessagePack`] | `msgpack` | everything serde can describe; the default |
//! | [`Bincode`] | `bincode` | plain derived types, where size and speed count; see its page |
//! | [`Json`] | `json` | values that people or other programs read in the backend |
//!
//! Results of type `Vec<u8>`, `Box<[u8]>` or `Arc<[u8]>`, and `Option`s of these, are byte strings to the codecs, and not
//! sequences of numbers as serde has it.
//!
//! All of them give back exactly what they were given or refuse to encode it, and all of them survive corrupt bytes:
//! no panic, no allocation out of proportion to the bytes, no stack overflow. The two guards that see to it,
//! `faithful` when encoding and `bounded` when decoding, are shared.

#[cfg(feature = "bincode")]
mod bincode;
#[cfg(any(feature = "msgpack", feature = "bincode", feature = "json"))]
mod bounded;
pub(crate) mod byte_string;
#[cfg(any(feature = "msgpack", feature = "bincode", feature = "json"))]
mod faithful;
#[cfg(feature = "json")]
mod json;
#[cfg(feature = "msgpack")]
mod msgpack;
pub mod shape;

use std::fmt::Debug;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, ErrorKind};

#[cfg(feature = "bincode")]
pub use self::bincode::Bincode;
#[cfg(feature = "json")]
pub use self::json::Json;
#[cfg(feature = "msgpack")]
pub use self::msgpack::MessagePack;

/// How deeply values may be nested (options and newtypes count too). What is deeper is refused when encoding, so that
/// no recursive type can overflow the stack, neither then nor when it is decoded from corrupt bytes.
pub const MAX_DEPTH: usize = 120;

/// The longest encoded value, in bytes (256 MiB). What is longer is refused when encoding.
pub const MAX_BYTES: usize = 256 << 20;

/// Turns values into bytes and back.
///
/// # Contract
///
/// 1. What `encode` accepts, `decode` gives back unchanged; a value that can't be given back is refused with an error.
///    A refused value is returned to the caller all the same, it just isn't stored.
/// 2. `decode` reads all bytes: left-over bytes are an error.
/// 3. Bytes may be corrupt or hostile. `decode` doesn't panic, and allocates in proportion to the bytes it is given.
/// 4. Errors are of kind [`ErrorKind::Codec`]. A panic counts as one.
///
/// # Writing one
///
/// A custom codec wraps a serde format; see [`encode`] and [`decode`] for how it is called.
///
/// ```
/// # #[cfg(feature = "json")] {
/// use cache_core::codec::Codec;
/// use cache_core::{Error, ErrorKind};
///
/// #[derive(Debug)]
/// struct PrettyJson;
///
/// impl Codec for PrettyJson {
///     fn name(&self) -> &str {
///         "pretty-json"
///     }
///     fn encode(&self, value: &dyn erased_serde::Serialize, out: &mut Vec<u8>) -> Result<(), Error> {
///         serde_json::to_writer_pretty(out, value)
///             .map_err(|cause| Error::new(ErrorKind::Codec, "a value could not be encoded").with_source(cause))
///     }
///     fn decode(
///         &self,
///         bytes: &[u8],
///         read: &mut dyn FnMut(&mut dyn erased_serde::Deserializer<'_>) -> Result<(), erased_serde::Error>,
///     ) -> Result<(), Error> {
///         let failed = |cause| Error::new(ErrorKind::Codec, "a value could not be decoded").with_source(cause);
///         let mut json = serde_json::Deserializer::from_slice(bytes);
///         read(&mut <dyn erased_serde::Deserializer<'_>>::erase(&mut json))
///             .map_err(serde::de::Error::custom)
///             .and_then(|()| json.end())
///             .map_err(failed)
///     }
///     fn describes_itself(&self) -> bool {
///         true
///     }
/// }
/// # }
/// ```
pub trait Codec: Debug + Send + Sync + 'static {
    /// A short name. It is part of every stored entry: entries written under another name are misses. Change it
    /// whenever the bytes change.
    fn name(&self) -> &str;

    /// Appends the value's bytes to `out`.
    ///
    /// # Errors
    ///
    /// The value can't be encoded so that it comes back the same; `out` may then hold a part of it.
    fn encode(&self, value: &dyn erased_serde::Serialize, out: &mut Vec<u8>) -> Result<(), Error>;

    /// Calls `read` once with a deserializer of these bytes.
    ///
    /// # Errors
    ///
    /// `read` failed, or left bytes unread.
    fn decode(
        &self,
        bytes: &[u8],
        read: &mut dyn FnMut(&mut dyn erased_serde::Deserializer<'_>) -> Result<(), erased_serde::Error>,
    ) -> Result<(), Error>;

    /// Whether the bytes carry the names of fields and variants. Entries are checked against the [`shape`] of their type
    /// in any case; if the bytes have no names, types whose shape can't be seen whole aren't stored at all.
    fn describes_itself(&self) -> bool;
}

/// The codec a backend uses when none is chosen: the first enabled of MessagePack, bincode and JSON; `None` without
/// any of these features.
#[allow(unreachable_code)]
pub fn default_codec() -> Option<Arc<dyn Codec>> {
    #[cfg(feature = "msgpack")]
    return Some(Arc::new(MessagePack));
    #[cfg(feature = "bincode")]
    return Some(Arc::new(Bincode));
    #[cfg(feature = "json")]
    return Some(Arc::new(Json));
    None
}

/// Appends the bytes of `value` to `out`.
///
/// # Errors
///
/// See [`Codec::encode`].
pub fn encode<T: Serialize + ?Sized>(codec: &dyn Codec, value: &T, out: &mut Vec<u8>) -> Result<(), Error> {
    codec.encode(&value, out)
}

/// The value these bytes stand for.
///
/// ```
/// # #[cfg(feature = "msgpack")] {
/// use cache_core::codec::{self, MessagePack};
///
/// let mut bytes = Vec::new();
/// codec::encode(&MessagePack, &("Ada", 36), &mut bytes)?;
/// assert_eq!(codec::decode::<(String, u8)>(&MessagePack, &bytes)?, ("Ada".to_owned(), 36));
/// # }
/// # Ok::<(), cache_core::Error>(())
/// ```
///
/// # Errors
///
/// See [`Codec::decode`].
pub fn decode<T: DeserializeOwned>(codec: &dyn Codec, bytes: &[u8]) -> Result<T, Error> {
    let mut value = None;
    codec.decode(bytes, &mut |deserializer| {
        value = Some(erased_serde::deserialize(deserializer)?);
        Ok(())
    })?;
    value.ok_or_else(|| {
        Error::new(ErrorKind::Codec, format!("codec `{}` reported success without reading the value", codec.name()))
    })
}

#[cfg(any(feature = "msgpack", feature = "bincode", feature = "json"))]
mod failure {
    use super::{Error, ErrorKind, MAX_BYTES};
    use std::error::Error as StdError;

    /// The error of a value that is refused.
    pub(super) fn encoding(codec: &str, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
        Error::new(ErrorKind::Codec, format!("a value could not be encoded by codec `{codec}`; it is not stored"))
            .with_source(cause)
    }

    /// The error of bytes that don't fit.
    pub(super) fn decoding(codec: &str, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
        Error::new(ErrorKind::Codec, format!("stored bytes could not be decoded by codec `{codec}`; they are a miss"))
            .with_source(cause)
    }

    /// Refuses what [`decode`](super::decode) would refuse later.
    pub(super) fn check_length(codec: &str, bytes: usize) -> Result<(), Error> {
        if bytes > MAX_BYTES {
            return Err(encoding(codec, format!("{bytes} bytes are more than the {MAX_BYTES} allowed")));
        }
        Ok(())
    }
}

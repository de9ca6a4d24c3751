//! What a type looks like to serde, as one number, so that bytes without names are read only by the type that wrote
//! them.
//!
//! [`of`] runs the type's own `Deserialize` against a deserializer that makes values up and writes down what it was asked
//! for: names and order of fields, variants, kinds of numbers. Nothing of it is guessed from source code, so attributes
//! like `rename` or `with` count as they should.
//!
//! ```text
//! struct User { id: u64, name: String }    -->  struct User [id, name], u64, str      -->  hash
//! struct User { name: String, id: u64 }    -->  struct User [name, id], str, u64      -->  another hash
//! ```
//!
//! Enums take one pass for each variant. A type that refuses a made-up value (a URL, a date) gets others from a short list.

mod trace;

use serde::de::DeserializeOwned;

use self::trace::Trace;

/// How many times a type is run at most: at least once for each variant of its enums.
const MAX_PASSES: usize = 512;

/// A hash of the type's shape, the same in every process and build, or `None` if the type accepted no made-up value.
///
/// Costs up to a few milliseconds for a large type: call it once for each type and keep the result. It runs the type's
/// `Deserialize`, whose panics, if it has any, come through.
///
/// Two types with the same names in the same order have the same shape. Parts that can't be reached (behind a value
/// that no made-up one satisfies) are left out of it.
///
/// ```
/// use cache_core::codec::shape;
///
/// assert_eq!(shape::of::<(u8, String)>(), shape::of::<(u8, Box<str>)>());
/// assert_ne!(shape::of::<(u8, String)>(), shape::of::<(String, u8)>());
/// ```
pub fn of<T: DeserializeOwned>() -> Option<u64> {
    let Look { hash, whole } = see::<T>();
    whole.then_some(hash)
}

/// What was seen of a type.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Look {
    /// Of all that was asked for.
    pub(crate) hash: u64,
    /// Else the type accepted no made-up value: where it asks the bytes what they are, nobody can tell what it would do.
    pub(crate) whole: bool,
}

/// [`of`], also if that sees a part only.
pub(crate) fn see<T: DeserializeOwned>() -> Look {
    let mut trace = Trace::default();
    let mut accepted = false;
    for _ in 0..MAX_PASSES {
        let value = T::deserialize(trace.start());
        let again = match value {
            Ok(_) => {
                accepted = true;
                trace.unexplored()
            }
            Err(_) => trace.try_otherwise(),
        };
        if !again {
            break;
        }
    }
    Look { hash: trace.hash(), whole: accepted }
}

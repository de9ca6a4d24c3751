//! JSON, for values that others read too.

use serde::Serialize;

use super::bounded::{self, Reader};
use super::faithful::{Faithful, Rules};
use super::{Codec, failure};
use crate::error::Error;

/// JSON text. Readable in the backend, larger and slower than [`MessagePack`](super::MessagePack).
///
/// Floats come back bit for bit. Refused when encoding, because JSON has one `null` for all of them: `Some(None)`,
/// `Some(())`, floats that aren't finite. Refused by JSON itself: maps whose keys are not strings, numbers,
/// booleans, characters or plain enums.
///
/// Types that ask the bytes what they are (`#[serde(untagged)]`, `serde_json::Value`) get what JSON makes of them: a number
/// as the key of a map comes back as text, and one beyond 64 bits as a float. Choose
/// [`MessagePack`](super::MessagePack) where they have such.
#[derive(Clone, Copy, Debug, Default)]
pub struct Json;

const NAME: &str = "json";

const RULES: Rules =
    Rules { none_is_null: true, unit_struct_is_null: true, finite_floats_only: true, all_fields: false };

impl Codec for Json {
    fn name(&self) -> &str {
        NAME
    }

    fn encode(&self, value: &dyn erased_serde::Serialize, out: &mut Vec<u8>) -> Result<(), Error> {
        let before = out.len();
        let mut serializer = serde_json::Serializer::new(&mut *out);
        value.serialize(Faithful::new(&mut serializer, RULES)).map_err(|cause| failure::encoding(NAME, cause))?;
        failure::check_length(NAME, out.len() - before)
    }

    fn decode(&self, bytes: &[u8], read: Reader<'_>) -> Result<(), Error> {
        // `end` would let white space pass, which `encode` never writes at the end.
        if bytes.last().is_some_and(u8::is_ascii_whitespace) {
            return Err(failure::decoding(NAME, "bytes are left over after the value"));
        }
        let mut deserializer = serde_json::Deserializer::from_slice(bytes);
        bounded::read(&mut deserializer, bytes.len(), read)
            .and_then(|()| deserializer.end())
            .map_err(|cause| failure::decoding(NAME, cause))
    }

    fn describes_itself(&self) -> bool {
        true
    }
}

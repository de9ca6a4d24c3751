//! bincode, for plain types where size and speed count.

use bincode::config::{Config, standard};
use bincode::error::DecodeError;
use bincode::serde::{encode_into_std_write, seed_decode_from_slice};
use serde::de::{DeserializeSeed, Deserializer};
use serde::{Serialize, Serializer};

use super::bounded::{self, Reader};
use super::faithful::{Faithful, Rules};
use super::{Codec, MAX_BYTES, failure};
use crate::error::Error;

/// bincode 2: the smallest and quickest, for types that suit it.
///
/// The bytes hold values only, no names and no types. larder therefore checks the type's [shape](super::shape) before
/// it reads an entry, so that an entry written before a struct changed is a miss.
///
/// # Which types it suits
///
/// Types with plain `#[derive(Serialize, Deserialize)]`, made of such types and of what std offers. Renaming fields and
/// variants is fine.
///
/// # Which it doesn't
///
/// | attribute or type | what happens |
/// |---|---|
/// | `skip_serializing_if` | a value with a skipped field is refused when encoding |
/// | `flatten`, `untagged`, `tag = ..` (internal or adjacent), `serde_json::Value`, anything that asks `deserialize_any` | every entry is a miss |
/// | a sequence of more than 65,536 elements that take no bytes (`Vec<()>`) | every entry is a miss |
/// | `skip_serializing` or `skip_deserializing` alone, and hand-written impls whose two halves disagree | **may be read as wrong values**: use [`MessagePack`](super::MessagePack) |
///
/// bincode is no longer maintained (RUSTSEC-2025-0141, an informational advisory); larder pins its last release, gives it
/// only bytes whose checksum holds, and limits what it may allocate.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bincode;

const NAME: &str = "bincode";

const RULES: Rules =
    Rules { none_is_null: false, unit_struct_is_null: false, finite_floats_only: false, all_fields: true };

impl Codec for Bincode {
    fn name(&self) -> &str {
        NAME
    }

    fn encode(&self, value: &dyn erased_serde::Serialize, out: &mut Vec<u8>) -> Result<(), Error> {
        let written =
            encode_into_std_write(Guarded(value), out, standard()).map_err(|cause| failure::encoding(NAME, cause))?;
        failure::check_length(NAME, written)
    }

    fn decode(&self, bytes: &[u8], read: Reader<'_>) -> Result<(), Error> {
        // bincode believes lengths and allocates before it reads; its limit is a constant that counts the decoded size,
        // at most 16 bytes (a u128) for one. So: one limit for each size of input, at least 16 times as large.
        let done = match bytes.len() {
            0..=0xFFF => decode_with(standard().with_limit::<0x1_0000>(), bytes, read),
            0x1000..=0xFFFF => decode_with(standard().with_limit::<0x10_0000>(), bytes, read),
            0x1_0000..=0xF_FFFF => decode_with(standard().with_limit::<0x100_0000>(), bytes, read),
            0x10_0000..=0xFF_FFFF => decode_with(standard().with_limit::<0x1000_0000>(), bytes, read),
            0x100_0000..=MAX_BYTES => decode_with(standard().with_limit::<{ u32::MAX as usize }>(), bytes, read),
            _ => Err(DecodeError::LimitExceeded),
        };
        match done {
            Ok(end) if end == bytes.len() => Ok(()),
            Ok(_) => Err(failure::decoding(NAME, "bytes are left over after the value")),
            Err(cause) => Err(failure::decoding(NAME, cause)),
        }
    }

    fn describes_itself(&self) -> bool {
        false
    }
}

fn decode_with<C: Config>(config: C, bytes: &[u8], read: Reader<'_>) -> Result<usize, DecodeError> {
    seed_decode_from_slice(Seed { bytes: bytes.len(), read }, bytes, config).map(|((), end)| end)
}

/// bincode makes its serializer inside a function: this puts the guard around it.
struct Guarded<'a>(&'a dyn erased_serde::Serialize);

impl Serialize for Guarded<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(Faithful::new(serializer, RULES))
    }
}

/// The same for its deserializer.
struct Seed<'a> {
    bytes: usize,
    read: Reader<'a>,
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        bounded::read(deserializer, self.bytes, self.read)
    }
}

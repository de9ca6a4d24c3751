//! MessagePack, the default codec.

use serde::{Deserialize, Serialize};

use super::bounded::{self, Reader};
use super::faithful::{Faithful, Rules};
use super::{Codec, failure};
use crate::error::Error;

/// MessagePack with the names of fields and variants. The default: compact and quick.
///
/// Types see a format that is not human-readable, so that UUIDs, addresses and the like are stored in their binary
/// form. A type that uses `#[serde(flatten)]`, `#[serde(untagged)]` or `#[serde(tag = ..)]` *around* such a field can't be
/// read back by serde itself: its entries are always misses; choose [`Json`](super::Json) for it.
///
/// Refused when encoding, because MessagePack has one `nil` for both: `Some(None)`, `Some(())` and whatever else would
/// come back as `None`.
#[derive(Clone, Copy, Debug, Default)]
pub struct MessagePack;

const NAME: &str = "msgpack";

const RULES: Rules =
    Rules { none_is_null: true, unit_struct_is_null: false, finite_floats_only: false, all_fields: false };

impl Codec for MessagePack {
    fn name(&self) -> &str {
        NAME
    }

    fn encode(&self, value: &dyn erased_serde::Serialize, out: &mut Vec<u8>) -> Result<(), Error> {
        let before = out.len();
        let mut serializer = rmp_serde::Serializer::new(&mut *out).with_struct_map();
        value.serialize(Faithful::new(&mut serializer, RULES)).map_err(|cause| failure::encoding(NAME, cause))?;
        failure::check_length(NAME, out.len() - before)
    }

    fn decode(&self, bytes: &[u8], read: Reader<'_>) -> Result<(), Error> {
        let mut deserializer = rmp_serde::Deserializer::from_read_ref(bytes);
        bounded::read(&mut deserializer, bytes.len(), read).map_err(|cause| failure::decoding(NAME, cause))?;
        // The reader doesn't say where it stands; but at the end, and only there, it can't read one more marker.
        match bool::deserialize(&mut deserializer) {
            Err(rmp_serde::decode::Error::InvalidMarkerRead(_)) => Ok(()),
            _ => Err(failure::decoding(NAME, "bytes are left over after the value")),
        }
    }

    fn describes_itself(&self) -> bool {
        true
    }
}

//! Names of keys and channels. Each begins with the escaped prefix and a colon. No escaped prefix contains a colon, so two
//! prefixes never share a name.
//!
//! ```text
//! app:{<hash of the key>}:e     entry
//! app:{<hash of the key>}:l     lease: same slot as its entry
//! app:{t:app}:clock             sequence
//! app:{t:app}:holds, :held      holds: their ends, and their tags; the scripts make these names from the sequence's
//! app:{t:app}:00 … ff           tag buckets: same slot as the sequence
//! app:bus:0, app:wake:0         channels; these know no database, so it is part of the name
//! ```

use std::fmt::Write as _;

use bytes::Bytes;
use cache_core::backend::{EntryKey, TagId};
use xxhash_rust::xxh3::xxh3_128;

/// How many tag buckets there are.
pub(crate) const BUCKETS: usize = 256;

/// A bucket with more tags is trimmed. This many still fit into the compact form of a Redis hash.
pub(crate) const TAGS_PER_BUCKET: usize = 500;

/// The field that counts for all tags without a field of their own. No tag's field has five bytes.
pub(crate) const FLOOR: &[u8] = b"floor";

/// The tag of placing and renewing a hold. Nobody carries it: it makes these numbered invalidations, so that whoever has heard of
/// one notices a failover that lost it.
pub(crate) const HOLDS: TagId = TagId(0x7364_6c6f_6800);

/// The hash that names a key in Redis. An entry also holds the whole key, so two keys with the same hash only cause misses.
pub(crate) type KeyHash = u128;

pub(crate) fn hash(key: &EntryKey) -> KeyHash {
    xxh3_128(key.as_bytes())
}

/// The text of a hash in names and wake messages: 32 digits. Every hit writes one, so it is done by hand.
pub(crate) fn hash_text(hash: KeyHash) -> [u8; 32] {
    let mut text = [0; 32];
    let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
    for (to, byte) in text.chunks_exact_mut(2).zip(hash.to_be_bytes()) {
        if let [high, low] = to {
            (*high, *low) = (digit(byte >> 4), digit(byte & 0xf));
        }
    }
    text
}

pub(crate) fn parse_hash(text: &[u8]) -> Option<KeyHash> {
    let text = std::str::from_utf8(text).ok()?;
    (text.len() == 32).then(|| KeyHash::from_str_radix(text, 16).ok()).flatten()
}

/// The name of a tag's field in its bucket.
pub(crate) fn field(tag: TagId) -> Bytes {
    Bytes::copy_from_slice(&tag.0.to_le_bytes())
}

pub(crate) fn bucket_index(tag: TagId) -> usize {
    (tag.0 % BUCKETS as u64) as usize
}

/// The names under one prefix.
#[derive(Debug)]
pub(crate) struct Names {
    prefix: String,
    /// Which of all caches in Redis this is.
    pub(crate) identity: String,
    pub(crate) sequence: Bytes,
    /// When each hold ends.
    pub(crate) holds: Bytes,
    buckets: Vec<Bytes>,
    pub(crate) bus: String,
    pub(crate) wake: String,
    /// Matches the keyspace channels of all leases.
    pub(crate) lease_events: String,
}

impl Names {
    pub(crate) fn new(prefix: &str, database: u8) -> Self {
        let prefix = escape(prefix);
        let identity = if database == 0 { prefix.clone() } else { format!("{prefix}@{database}") };
        let buckets = (0..BUCKETS).map(|index| format!("{prefix}:{{t:{prefix}}}:{index:02x}").into()).collect();
        Self {
            sequence: format!("{prefix}:{{t:{prefix}}}:clock").into(),
            holds: format!("{prefix}:{{t:{prefix}}}:holds").into(),
            buckets,
            bus: format!("{prefix}:bus:{database}"),
            wake: format!("{prefix}:wake:{database}"),
            lease_events: format!("__keyspace@{database}__:{prefix}:{{*}}:l"),
            identity,
            prefix,
        }
    }

    /// The ACL rules that a user needs to subscribe.
    pub(crate) fn permission_to_listen(&self) -> String {
        format!("+@pubsub &{}:*", self.prefix)
    }

    pub(crate) fn entry(&self, hash: KeyHash) -> Bytes {
        self.of_key(hash, b'e')
    }

    pub(crate) fn lease(&self, hash: KeyHash) -> Bytes {
        self.of_key(hash, b'l')
    }

    fn of_key(&self, hash: KeyHash, what: u8) -> Bytes {
        [self.prefix.as_bytes(), b":{", &hash_text(hash), b"}:", &[what]].concat().into()
    }

    /// Whose lease this key is, if it is one.
    pub(crate) fn hash_of_lease(&self, key: &[u8]) -> Option<KeyHash> {
        let rest = key.strip_prefix(self.prefix.as_bytes())?.strip_prefix(b":{")?;
        parse_hash(rest.strip_suffix(b"}:l")?)
    }

    pub(crate) fn bucket(&self, tag: TagId) -> Bytes {
        self.bucket_at(bucket_index(tag))
    }

    pub(crate) fn bucket_at(&self, index: usize) -> Bytes {
        self.buckets.get(index).cloned().unwrap_or_default()
    }

    pub(crate) fn all_buckets(&self) -> impl Iterator<Item = Bytes> {
        self.buckets.iter().cloned()
    }
}

/// Letters, digits and `._-/` stand for themselves; every other byte is `%` and two digits. So the result contains
/// nothing that means something in names (`:`), hash tags (`{}`) or patterns (`*?[]\`), and different texts stay
/// different.
fn escape(prefix: &str) -> String {
    let mut out = String::with_capacity(prefix.len());
    for byte in prefix.bytes() {
        if byte.is_ascii_alphanumeric() || b"._-/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string doesn't fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_never_overlap() {
        let prefixes = ["", "app", "app2", "app:", "app:{", "a*", "a\0", "{}", "%", "%25", "ä", "app:bus", "t:app"];
        for (i, one) in prefixes.iter().enumerate() {
            for other in prefixes.iter().skip(i + 1) {
                let (one, other) = (Names::new(one, 0), Names::new(other, 0));
                assert_ne!(one.entry(1), other.entry(1));
                assert_eq!(one.hash_of_lease(&other.lease(1)), None);
                assert_ne!(one.sequence, other.sequence);
                assert_ne!(one.bus, other.bus);
                assert!(!other.entry(1).starts_with(format!("{}:", one.prefix).as_bytes()));
            }
        }
    }

    #[test]
    fn hashes_are_written_and_read() {
        for hash in [0, 7, 0x0123_4567_89ab_cdef_fedc_ba98_7654_3210, u128::MAX] {
            let text = hash_text(hash);
            assert_eq!(text, format!("{hash:032x}").as_bytes());
            assert_eq!(parse_hash(&text), Some(hash));
        }
    }

    #[test]
    fn lease_names_are_recognised() {
        let names = Names::new("my app", 3);
        assert_eq!(names.entry(7), format!("my%20app:{{{:032x}}}:e", 7));
        assert_eq!(names.hash_of_lease(&names.lease(7)), Some(7));
        assert_eq!(names.hash_of_lease(&names.entry(7)), None);
        assert_eq!(names.lease_events, "__keyspace@3__:my%20app:{*}:l");
    }
}

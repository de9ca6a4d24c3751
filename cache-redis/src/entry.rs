//! The bytes of an entry in Redis.
//!
//! ```text
//! id u64 (never 0) | format u8 | length of the key u32 | key | [decompressed size u64] | Entry::to_bytes()
//! ```
//!
//! The id changes with every store: it is what [`Seen`] tells apart, and what the lease script compares. The key stands
//! here in full because its name in Redis is only a hash. Numbers are little-endian.

use bytes::{BufMut, Bytes, BytesMut};
use cache_core::backend::{Entry, EntryKey, Seen};

const PLAIN: u8 = 1;
#[cfg(feature = "compression")]
const LZ4: u8 = 2;
const HEADER: usize = 8 + 1 + 4;

/// The bytes to store.
pub(crate) fn encode(id: u64, key: &EntryKey, entry: Entry, compress_above: Option<usize>) -> Bytes {
    let (format, entry) = compress(entry, compress_above);
    let body = entry.to_bytes();
    let mut out = BytesMut::with_capacity(HEADER + key.as_bytes().len() + 8 + body.len());
    out.put_u64_le(id.max(1));
    out.put_u8(format.0);
    // Keys of 4 GiB don't fit into Redis; a wrong length here is a miss.
    out.put_u32_le(u32::try_from(key.as_bytes().len()).unwrap_or(u32::MAX));
    out.put_slice(key.as_bytes());
    if let Some(size) = format.1 {
        out.put_u64_le(size);
    }
    out.put_slice(&body);
    out.freeze()
}

/// What the lease script will find in front of these bytes.
pub(crate) fn seen(blob: &[u8]) -> Seen {
    let mut id = [0; 8];
    for (to, from) in id.iter_mut().zip(blob) {
        *to = *from;
    }
    Seen(u64::from_le_bytes(id))
}

/// The entry, if the bytes are undamaged and of this key.
pub(crate) fn decode(blob: &[u8], key: &EntryKey) -> Option<Entry> {
    let rest = blob.get(8..)?;
    let (format, rest) = rest.split_first()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (stored_key, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    if stored_key != key.as_bytes() {
        return None;
    }
    match *format {
        PLAIN => Entry::from_bytes(rest).ok(),
        #[cfg(feature = "compression")]
        LZ4 => {
            let (size, rest) = rest.split_first_chunk::<8>()?;
            let mut entry = Entry::from_bytes(rest).ok()?;
            entry.payload = decompress(&entry.payload, u64::from_le_bytes(*size))?;
            Some(entry)
        }
        _ => None,
    }
}

/// The format, and the size before compression.
struct Format(u8, Option<u64>);

#[cfg(not(feature = "compression"))]
fn compress(entry: Entry, _: Option<usize>) -> (Format, Entry) {
    (Format(PLAIN, None), entry)
}

#[cfg(feature = "compression")]
fn compress(mut entry: Entry, above: Option<usize>) -> (Format, Entry) {
    if above.is_some_and(|above| entry.payload.len() > above) {
        let compressed = lz4_flex::block::compress(&entry.payload);
        if compressed.len() < entry.payload.len() {
            let size = entry.payload.len() as u64;
            entry.payload = compressed;
            return (Format(LZ4, Some(size)), entry);
        }
    }
    (Format(PLAIN, None), entry)
}

/// Bounded: LZ4 can't expand by more than 255, so a size beyond that is damage, not a reason to allocate.
#[cfg(feature = "compression")]
fn decompress(bytes: &[u8], size: u64) -> Option<Vec<u8>> {
    let size = usize::try_from(size).ok().filter(|size| *size / 255 <= bytes.len())?;
    lz4_flex::block::decompress(bytes, size).ok().filter(|out| out.len() == size)
}

#[cfg(test)]
mod tests {
    use cache_core::backend::{HeldTag, Lifetimes, Stamp, TagId};

    use super::*;

    fn entry(payload: Vec<u8>) -> Entry {
        let tags = vec![HeldTag { tag: TagId(1), stamp: Stamp(2) }];
        Entry { payload, tags, lifetimes: Lifetimes::default() }
    }

    #[test]
    fn roundtrip() {
        let key = EntryKey::new(*b"key");
        let blob = encode(7, &key, entry(b"value".to_vec()), None);
        assert_eq!(seen(&blob), Seen(7));
        assert_eq!(decode(&blob, &key), Some(entry(b"value".to_vec())));
        assert_eq!(decode(&blob, &EntryKey::new(*b"kez")), None);
    }

    #[test]
    fn damage_is_a_miss() {
        let key = EntryKey::new(*b"key");
        for above in [None, Some(10)] {
            let blob = encode(7, &key, entry(vec![b'x'; 1000]), above);
            for length in 0..blob.len() {
                assert_eq!(decode(blob.get(..length).unwrap(), &key), None);
            }
            for index in 8..blob.len() {
                let mut damaged = blob.to_vec();
                damaged[index] ^= 0x41;
                assert_eq!(decode(&damaged, &key), None, "byte {index}");
            }
        }
    }

    #[test]
    #[cfg(feature = "compression")]
    fn large_payloads_are_compressed() {
        let key = EntryKey::new(*b"key");
        let blob = encode(7, &key, entry(vec![b'x'; 100_000]), Some(1000));
        assert!(blob.len() < 1000);
        assert_eq!(decode(&blob, &key), Some(entry(vec![b'x'; 100_000])));
        assert_eq!(
            encode(7, &key, entry(vec![b'x'; 900]), Some(1000)).len(),
            encode(7, &key, entry(vec![b'x'; 900]), None).len()
        );
        assert_eq!(decompress(b"tiny", u64::MAX), None);
    }
}

//! The bytes of an entry in Redis.
//!
//! ```text
//! id u64 (never 0) | format u8 | length of the key u32 | key | [decompressed size u64] | Entry::to_bytes() | tail tail
//! ```
//!
//! The id changes with every store. It is what [`Seen`] compares, and what the lease script compares. The key stands here in
//! full because its name in Redis is only a hash. Numbers are little-endian.
//!
//! The store script adds the tail: the server's time in microseconds in 16 digits, and the lifetime in milliseconds in 13, zeros
//! for an entry without an end. With the server's time at the read, that gives the entry's age without any client's clock.
//!
//! If the server's clock is set, or a server with another time takes over, ages are off by the difference, and so are the ends
//! of entries in Redis, which it keeps as points in time. An entry with an end that seems to come from the future is a miss,
//! because its age is unknown. So no entry is served for longer than its lifetime after the clock was set.

#[cfg(test)]
mod hostile;

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use cache_core::backend::{Entry, EntryKey, LiveEntry, Seen};

// 1 and 2 had no tail.
const PLAIN: u8 = 3;
#[cfg(feature = "compression")]
const LZ4: u8 = 4;
const HEADER: usize = 8 + 1 + 4;
const TIME: usize = 16;
const TAIL: usize = TIME + 13;

/// The bytes to store, without the tail.
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

/// The entry and what is left of its lifetime, if the bytes are undamaged and of this key and it isn't over. `now` is the
/// server's time in microseconds.
pub(crate) fn decode(blob: &[u8], key: &EntryKey, now: u64) -> Option<LiveEntry> {
    let (blob, tail) = blob.split_last_chunk::<TAIL>()?;
    let blob = blob.strip_suffix(tail)?;
    let left = left(tail, now)?;
    let age = age(tail, now)?;
    let entry = decode_body(blob, key)?;
    if left.is_none() && entry.lifetimes.keep.is_some() {
        return None;
    }
    let remaining = [left, entry.lifetimes.keep].into_iter().flatten().min();
    (remaining != Some(Duration::ZERO)).then_some(LiveEntry { entry, remaining, age })
}

/// How long ago it was stored.
fn age(tail: &[u8; TAIL], now: u64) -> Option<Duration> {
    let (stored, _) = numbers(tail)?;
    Some(Duration::from_micros(now.saturating_sub(stored)))
}

/// What is left of the lifetime, all of it at most; `Some(None)` for ever.
fn left(tail: &[u8; TAIL], now: u64) -> Option<Option<Duration>> {
    let (stored, lifetime) = numbers(tail)?;
    if lifetime == 0 {
        return Some(None);
    }
    // Stored in what is the future now: nobody knows its age.
    let age = Duration::from_micros(now.checked_sub(stored)?);
    Some(Some(Duration::from_millis(lifetime).saturating_sub(age)))
}

/// When it was stored, in microseconds, and its lifetime in milliseconds.
fn numbers(tail: &[u8; TAIL]) -> Option<(u64, u64)> {
    // Of 16 digits at most, so it doesn't overflow.
    let number = |digits: &[u8]| {
        let add = |number, digit: &u8| digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0'));
        digits.iter().try_fold(0_u64, add)
    };
    let (stored, lifetime) = tail.split_at_checked(TIME)?;
    Some((number(stored)?, number(lifetime)?))
}

fn decode_body(blob: &[u8], key: &EntryKey) -> Option<Entry> {
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

    /// As the store script does it.
    fn stored(id: u64, key: &EntryKey, entry: Entry, above: Option<usize>, time: u64, lifetime: u64) -> Vec<u8> {
        let mut blob = encode(id, key, entry, above).to_vec();
        blob.extend_from_slice(format!("{time:016}{lifetime:013}").repeat(2).as_bytes());
        blob
    }

    fn live(entry: Entry, remaining: Option<Duration>) -> Option<(Entry, Option<Duration>)> {
        Some((entry, remaining))
    }

    fn decoded(blob: &[u8], key: &EntryKey, now: u64) -> Option<(Entry, Option<Duration>)> {
        decode(blob, key, now).map(|live| (live.entry, live.remaining))
    }

    #[test]
    fn roundtrip() {
        let key = EntryKey::new(*b"key");
        let blob = stored(7, &key, entry(b"value".to_vec()), None, 1_000_000, 0);
        assert_eq!(seen(&blob), Seen(7));
        assert_eq!(decoded(&blob, &key, 2_000_000), live(entry(b"value".to_vec()), None));
        assert_eq!(decoded(&blob, &key, 0), live(entry(b"value".to_vec()), None), "it has no end");
        assert_eq!(decoded(&blob, &EntryKey::new(*b"kez"), 2_000_000), None);
    }

    #[test]
    fn lifetimes() {
        let key = EntryKey::new(*b"key");
        let keep = Duration::from_micros(1500);
        let kept = Entry { lifetimes: Lifetimes { keep: Some(keep), ..Lifetimes::default() }, ..entry(b"v".to_vec()) };
        let micros = |micros| Some(Duration::from_micros(micros));
        // Redis was told 2 ms, as it knows no less.
        let blob = stored(7, &key, kept.clone(), None, 1_000_000, 2);
        assert_eq!(decoded(&blob, &key, 1_000_000), live(kept.clone(), Some(keep)));
        assert_eq!(decoded(&blob, &key, 1_001_000), live(kept.clone(), micros(1000)));
        assert_eq!(decoded(&blob, &key, 1_001_999), live(kept.clone(), micros(1)));
        assert_eq!(decoded(&blob, &key, 1_002_000), None, "over");
        assert_eq!(decoded(&blob, &key, 5_000_000), None, "over");
        for before in [0, 999_999] {
            assert_eq!(decoded(&blob, &key, before), None, "stored in the future");
        }
        let blob = stored(7, &key, kept, None, 1_000_000, 0);
        assert_eq!(decoded(&blob, &key, 1_000_000), None, "nobody stores that");
        // The default lifetime of a backend.
        let blob = stored(7, &key, entry(b"v".to_vec()), None, 1_000_000, 10);
        assert_eq!(decoded(&blob, &key, 1_003_000), live(entry(b"v".to_vec()), micros(7000)));
    }

    #[test]
    fn damage_is_a_miss() {
        let key = EntryKey::new(*b"key");
        for above in [None, Some(10)] {
            let blob = stored(7, &key, entry(vec![b'x'; 1000]), above, 1_000_000, 10);
            for length in 0..blob.len() {
                assert_eq!(decoded(blob.get(..length).unwrap(), &key, 1_000_000), None);
            }
            for index in 8..blob.len() {
                let mut damaged = blob.clone();
                damaged[index] ^= 0x41;
                assert_eq!(decoded(&damaged, &key, 1_000_000), None, "byte {index}");
                damaged[index] = blob[index] ^ 1;
                assert_eq!(decoded(&damaged, &key, 1_000_000), None, "byte {index}");
            }
        }
    }

    #[test]
    #[cfg(feature = "compression")]
    fn large_payloads_are_compressed() {
        let key = EntryKey::new(*b"key");
        let blob = stored(7, &key, entry(vec![b'x'; 100_000]), Some(1000), 1_000_000, 0);
        assert!(blob.len() < 1000);
        assert_eq!(decoded(&blob, &key, 1_000_000), live(entry(vec![b'x'; 100_000]), None));
        assert_eq!(
            encode(7, &key, entry(vec![b'x'; 900]), Some(1000)).len(),
            encode(7, &key, entry(vec![b'x'; 900]), None).len()
        );
        assert_eq!(decompress(b"tiny", u64::MAX), None);
    }
}

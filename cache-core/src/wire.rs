//! The byte forms: of a value ([`seal`], [`open`]) and of a whole entry ([`Entry::to_bytes`], [`Entry::from_bytes`]).
//!
//! All numbers are little-endian. Every byte is covered by a checksum (64-bit XXH3), so a flipped bit or a lost end is
//! noticed whatever the codec makes of it. Checksums find accidents; they are no protection against someone who may
//! write to the backend.
//!
//! ```text
//! value   "ldv" 1 | codec u64 | fingerprint u64 | encoded value | checksum u64
//! entry   "lde" 1 | tags u32 | fresh 12 | keep 12 | (tag u64, stamp u64)* | checksum u64 | payload | checksum u64
//! ```
//!
//! The tags come first and have their own checksum, so that a backend can judge an entry by [`Entry::tags_of`] without
//! touching the payload. A lifetime is seconds u64, nanoseconds u32; for ever is nanoseconds `u32::MAX`. An entry with an idle
//! lifetime has version 2, and that lifetime behind `keep`.

use std::fmt;
use std::time::Duration;

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::backend::{Entry, HeldTag, Lifetimes, Stamp, TagId};
use crate::codec::Codec;
use crate::error::{Error, ErrorKind};

const VERSION: u8 = 1;
/// Of an entry with an idle lifetime.
const IDLE_VERSION: u8 = 2;
const VALUE: [u8; 3] = *b"ldv";
const ENTRY: [u8; 3] = *b"lde";
const VALUE_HEADER: usize = 4 + 8 + 8;
const ENTRY_HEADER: usize = 4 + 4 + LIFETIME + LIFETIME;
const LIFETIME: usize = 12;
const TAG: usize = 16;
const CHECKSUM: usize = 8;
const FOR_EVER: u32 = u32::MAX;

/// Why stored bytes can't be used. All of them are a miss; none of them is an error of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Damage {
    /// Too short to be whole.
    Truncated,
    /// Not written by larder.
    NotOurs,
    /// Written by a version of larder with another byte form.
    OtherFormat,
    /// Written with another codec, or for another type, shape or version of the value.
    OtherValueType,
    /// Changed since they were written.
    Checksum,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "the stored bytes are cut short",
            Self::NotOurs => "the stored bytes were not written by larder; give it a prefix of its own",
            Self::OtherFormat => "the stored bytes have the form of another version of larder",
            Self::OtherValueType => "the stored bytes are a value of another type, shape, version or codec",
            Self::Checksum => "the stored bytes were changed after they were written",
        })
    }
}

impl std::error::Error for Damage {}

impl From<Damage> for Error {
    fn from(damage: Damage) -> Self {
        Error::new(ErrorKind::Codec, "a stored entry can't be used; it is a miss").with_source(damage)
    }
}

/// The payload of an entry: what `write` appends (the encoded value), wrapped so that [`open`] accepts it only
/// undamaged, with the same codec and the same `fingerprint`.
///
/// ```
/// use cache_core::codec::Codec;
/// use cache_core::wire::{self, Damage};
///
/// fn roundtrip(codec: &dyn Codec) -> Result<(), Box<dyn std::error::Error>> {
///     let payload = wire::seal(7, codec, |out| codec.encode(&"value", out))?;
///     let bytes = wire::open(&payload, 7, codec)?;
///     assert_eq!(cache_core::codec::decode::<String>(codec, bytes)?, "value");
///     assert_eq!(wire::open(&payload, 8, codec), Err(Damage::OtherValueType));
///     Ok(())
/// }
/// # #[cfg(feature = "msgpack")]
/// # roundtrip(&cache_core::codec::MessagePack)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// Those of `write`.
pub fn seal(
    fingerprint: u64,
    codec: &dyn Codec,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), Error>,
) -> Result<Vec<u8>, Error> {
    let mut out = Vec::with_capacity(128);
    out.extend_from_slice(&VALUE);
    out.push(VERSION);
    out.extend_from_slice(&codec_id(codec).to_le_bytes());
    out.extend_from_slice(&fingerprint.to_le_bytes());
    write(&mut out)?;
    let checksum = xxh3_64(&out);
    out.extend_from_slice(&checksum.to_le_bytes());
    Ok(out)
}

/// The encoded value inside a payload made by [`seal`]. Neither copies nor decodes.
///
/// # Errors
///
/// The payload was damaged, or was sealed with another codec or fingerprint.
pub fn open<'b>(payload: &'b [u8], fingerprint: u64, codec: &dyn Codec) -> Result<&'b [u8], Damage> {
    let (mut reader, _) = Reader::of(payload, VALUE, &[VERSION], VALUE_HEADER + CHECKSUM)?;
    let (covered, checksum) = payload.split_last_chunk::<CHECKSUM>().ok_or(Damage::Truncated)?;
    if xxh3_64(covered) != u64::from_le_bytes(*checksum) {
        return Err(Damage::Checksum);
    }
    if (reader.u64()?, reader.u64()?) != (codec_id(codec), fingerprint) {
        return Err(Damage::OtherValueType);
    }
    covered.get(VALUE_HEADER..).ok_or(Damage::Truncated)
}

fn codec_id(codec: &dyn Codec) -> u64 {
    xxh3_64(codec.name().as_bytes())
}

impl Entry {
    /// The whole entry as one blob, for backends that keep one.
    ///
    /// ```
    /// use cache_core::backend::{Entry, HeldTag, Lifetimes, Stamp, TagId};
    ///
    /// let entry = Entry {
    ///     payload: b"value".to_vec(),
    ///     tags: vec![HeldTag { tag: TagId(1), stamp: Stamp(2) }],
    ///     lifetimes: Lifetimes::default(),
    /// };
    /// assert_eq!(Entry::from_bytes(&entry.to_bytes()), Ok(entry));
    /// ```
    pub fn to_bytes(&self) -> Vec<u8> {
        // 64 GiB of tags don't fit into memory beside everything else, so the count always fits.
        let count = u32::try_from(self.tags.len()).unwrap_or(u32::MAX);
        let size = ENTRY_HEADER + LIFETIME + self.tags.len() * TAG + CHECKSUM + self.payload.len() + CHECKSUM;
        let mut out = Vec::with_capacity(size);
        let idle = self.lifetimes.idle;
        out.extend_from_slice(&ENTRY);
        out.push(if idle.is_some() { IDLE_VERSION } else { VERSION });
        out.extend_from_slice(&count.to_le_bytes());
        put_lifetime(&mut out, self.lifetimes.fresh);
        put_lifetime(&mut out, self.lifetimes.keep);
        if idle.is_some() {
            put_lifetime(&mut out, idle);
        }
        for held in self.tags.iter().take(count as usize) {
            out.extend_from_slice(&held.tag.0.to_le_bytes());
            out.extend_from_slice(&held.stamp.0.to_le_bytes());
        }
        let header = xxh3_64(&out);
        out.extend_from_slice(&header.to_le_bytes());
        out.extend_from_slice(&self.payload);
        // Seeded with the header's, so that the halves of two entries don't pass for one.
        let payload = xxh3_64_with_seed(&self.payload, header);
        out.extend_from_slice(&payload.to_le_bytes());
        out
    }

    /// The entry in a blob made by [`to_bytes`](Self::to_bytes). Never panics, and allocates no more than the blob's
    /// size.
    ///
    /// # Errors
    ///
    /// The blob was damaged or is none.
    pub fn from_bytes(blob: &[u8]) -> Result<Self, Damage> {
        let header = Header::read(blob)?;
        let (payload, checksum) = header.rest.split_last_chunk::<CHECKSUM>().ok_or(Damage::Truncated)?;
        if xxh3_64_with_seed(payload, header.checksum) != u64::from_le_bytes(*checksum) {
            return Err(Damage::Checksum);
        }
        Ok(Self { payload: payload.to_vec(), tags: header.tags, lifetimes: header.lifetimes })
    }

    /// Only the tags of the entry in this blob, or in a beginning of it that is long enough: the payload is neither
    /// checked nor needed.
    ///
    /// # Errors
    ///
    /// The header was damaged or is none.
    pub fn tags_of(blob: &[u8]) -> Result<Vec<HeldTag>, Damage> {
        Header::read(blob).map(|header| header.tags)
    }
}

/// The part of an entry's blob before the payload.
struct Header<'b> {
    tags: Vec<HeldTag>,
    lifetimes: Lifetimes,
    checksum: u64,
    rest: &'b [u8],
}

impl<'b> Header<'b> {
    fn read(blob: &'b [u8]) -> Result<Self, Damage> {
        let (mut reader, version) = Reader::of(blob, ENTRY, &[VERSION, IDLE_VERSION], ENTRY_HEADER + CHECKSUM)?;
        let is_idle = version == IDLE_VERSION;
        let count = usize::try_from(reader.u32()?).map_err(|_| Damage::Truncated)?;
        let header = if is_idle { ENTRY_HEADER + LIFETIME } else { ENTRY_HEADER };
        let length = count.checked_mul(TAG).and_then(|tags| tags.checked_add(header)).ok_or(Damage::Truncated)?;
        let (covered, rest) = blob.split_at_checked(length).ok_or(Damage::Truncated)?;
        let (checksum, rest) = rest.split_first_chunk::<CHECKSUM>().ok_or(Damage::Truncated)?;
        let checksum = u64::from_le_bytes(*checksum);
        if xxh3_64(covered) != checksum {
            return Err(Damage::Checksum);
        }
        let mut lifetimes = Lifetimes { fresh: reader.lifetime()?, keep: reader.lifetime()?, idle: None };
        if is_idle {
            lifetimes.idle = Some(reader.lifetime()?.ok_or(Damage::OtherFormat)?);
        }
        let mut tags = Vec::with_capacity(count);
        for _ in 0..count {
            tags.push(HeldTag { tag: TagId(reader.u64()?), stamp: Stamp(reader.u64()?) });
        }
        Ok(Self { tags, lifetimes, checksum, rest })
    }
}

fn put_lifetime(out: &mut Vec<u8>, lifetime: Option<Duration>) {
    let (seconds, nanos) = lifetime.map_or((0, FOR_EVER), |time| (time.as_secs(), time.subsec_nanos()));
    out.extend_from_slice(&seconds.to_le_bytes());
    out.extend_from_slice(&nanos.to_le_bytes());
}

/// Takes numbers from the front.
struct Reader<'b> {
    rest: &'b [u8],
}

impl<'b> Reader<'b> {
    /// Past magic and version, after checking them and the least length. Also the version.
    fn of(bytes: &'b [u8], magic: [u8; 3], versions: &[u8], least: usize) -> Result<(Self, u8), Damage> {
        let known = bytes.len().min(magic.len());
        if bytes.get(..known) != magic.get(..known) {
            return Err(Damage::NotOurs);
        }
        match bytes.get(magic.len()) {
            Some(version) if !versions.contains(version) => Err(Damage::OtherFormat),
            Some(version) if bytes.len() >= least => {
                Ok((Self { rest: bytes.get(magic.len() + 1..).unwrap_or_default() }, *version))
            }
            _ => Err(Damage::Truncated),
        }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Damage> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(Damage::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn u32(&mut self) -> Result<u32, Damage> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, Damage> {
        self.take().map(u64::from_le_bytes)
    }

    fn lifetime(&mut self) -> Result<Option<Duration>, Damage> {
        match (self.u64()?, self.u32()?) {
            (0, FOR_EVER) => Ok(None),
            (seconds, nanos @ 0..1_000_000_000) => Ok(Some(Duration::new(seconds, nanos))),
            _ => Err(Damage::OtherFormat),
        }
    }
}

//! The byte string a key is written to.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;

use super::same_bytes;

/// Keys up to this many bytes are two words: built, hashed and compared without touching memory.
const SHORT: usize = 16;
/// Keys up to this many bytes are built without allocating.
const INLINE: usize = 64;
const WORD: usize = 8;

/// A byte string of up to 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ShortArgs {
    /// The bytes, and zeros after them.
    pub(crate) words: [u64; 2],
    pub(crate) len: u8,
}

impl ShortArgs {
    /// How many bytes there can be.
    pub(crate) const MOST: usize = SHORT;

    /// Calls the closure with the byte string.
    pub(crate) fn with_bytes<R>(self, with: impl FnOnce(&[u8]) -> R) -> R {
        with(self.to_le_bytes().get(..usize::from(self.len)).unwrap_or_default())
    }

    #[inline]
    fn to_le_bytes(self) -> [u8; SHORT] {
        let [first, second] = self.words;
        (u128::from(first) | u128::from(second) << 64).to_le_bytes()
    }

    /// Few instructions, and all bits of the words count for all of the hash.
    #[inline]
    pub(crate) fn hash(self, seed: u64) -> u64 {
        let [first, second] = self.words;
        let second = second ^ u64::from(self.len) << 56;
        scattered(folded(first ^ seed, second ^ seed.rotate_left(32)))
    }
}

/// A byte string that allocates only when it is long.
///
/// All bytes are in `head` while there are at most [`SHORT`] of them, and all in `long` from then on; what isn't written
/// of `head` is zero.
pub(super) struct Bytes {
    head: [[u8; WORD]; SHORT / WORD],
    len: usize,
    long: Long,
}

enum Long {
    Not,
    Inline(Inline),
    Spilled(Vec<u8>),
}

/// Up to 64 bytes, and zeros after them. Written and read a word at a time: a CPU that reads what it has just written waits
/// unless it reads it the same way.
#[repr(align(8))]
struct Inline([[u8; WORD]; INLINE / WORD]);

impl Inline {
    /// Writes where nothing was written yet. There is room.
    fn put(&mut self, start: usize, bytes: &[u8]) {
        let shift = 8 * (start % WORD) as u32;
        let rest_of = |value: u64| (value >> 1) >> (63 - shift);
        let mut words = self.0.iter_mut().skip(start / WORD);
        let (chunks, last) = bytes.as_chunks::<WORD>();
        let Some(mut word) = words.next() else { return };
        let mut carried = u64::from_le_bytes(*word);
        for chunk in chunks {
            let value = u64::from_le_bytes(*chunk);
            *word = (carried | value << shift).to_le_bytes();
            carried = rest_of(value);
            let Some(next) = words.next() else { return };
            word = next;
        }
        let value = number(last) as u64;
        *word = (carried | value << shift).to_le_bytes();
        if let Some(next) = words.next() {
            *next = rest_of(value).to_le_bytes();
        }
    }

    fn is(&self, bytes: &[u8]) -> bool {
        let (chunks, last) = bytes.as_chunks::<WORD>();
        let mut words = self.0.iter();
        chunks.iter().all(|chunk| words.next() == Some(chunk))
            && (last.is_empty() || words.next().is_some_and(|word| u64::from_le_bytes(*word) == number(last) as u64))
    }

    /// Of that many bytes.
    fn hash(&self, len: usize, seed: u64) -> u64 {
        let other_seed = seed.rotate_left(32) ^ (len as u64) << 56;
        let (pairs, _) = self.0.as_chunks::<2>();
        let hash = pairs.iter().take(len.div_ceil(2 * WORD)).fold(seed, |hash, [first, second]| {
            folded(u64::from_le_bytes(*first) ^ hash, u64::from_le_bytes(*second) ^ other_seed)
        });
        scattered(hash)
    }
}

/// Both halves of the product, so that all bits of both count.
#[inline]
fn folded(left: u64, right: u64) -> u64 {
    let product = u128::from(left) * u128::from(right);
    product as u64 ^ (product >> 64) as u64
}

/// The lowest bits may depend on few: the highest of a product don't.
#[inline]
fn scattered(hash: u64) -> u64 {
    hash.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32)
}

/// Up to 16 bytes as a number, little end first; zero for more. Where the length is known, so are the branches.
#[inline(always)]
fn number(bytes: &[u8]) -> u128 {
    // Of two reads that overlap, each has what the other hasn't.
    let last_at = |width: usize| 8 * (bytes.len() - width) as u32;
    if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        let last = u128::from(u64::from_le_bytes(*last)).wrapping_shl(last_at(8));
        u128::from(u64::from_le_bytes(*first)) | last
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        let last = u64::from(u32::from_le_bytes(*last)) << last_at(4);
        u128::from(u64::from(u32::from_le_bytes(*first)) | last)
    } else if let (Some(first), Some(middle), Some(last)) = (bytes.first(), bytes.get(bytes.len() / 2), bytes.last()) {
        let middle = u32::from(*middle) << (8 * (bytes.len() / 2));
        u128::from(u32::from(*first) | middle | u32::from(*last) << last_at(1))
    } else {
        0
    }
}

impl Bytes {
    #[inline]
    pub(super) const fn new() -> Self {
        Self { head: [[0; WORD]; SHORT / WORD], len: 0, long: Long::Not }
    }

    pub(super) fn of_short(short: ShortArgs) -> Self {
        Self { head: short.words.map(u64::to_le_bytes), len: usize::from(short.len), long: Long::Not }
    }

    #[inline]
    pub(super) fn as_slice(&self) -> &[u8] {
        let bytes = match &self.long {
            Long::Not => self.head.as_flattened().get(..self.len),
            Long::Inline(inline) => inline.0.as_flattened().get(..self.len),
            Long::Spilled(spill) => Some(spill.as_slice()),
        };
        bytes.unwrap_or_default()
    }

    /// All of it, if it is short.
    #[inline]
    pub(super) fn short(&self) -> Option<ShortArgs> {
        let len = u8::try_from(self.len).ok().filter(|len| usize::from(*len) <= SHORT)?;
        Some(ShortArgs { words: self.head.map(u64::from_le_bytes), len })
    }

    /// Whether these are its bytes.
    #[inline]
    pub(super) fn is(&self, bytes: &[u8]) -> bool {
        bytes.len() == self.len
            && match &self.long {
                Long::Inline(inline) => inline.is(bytes),
                // Nothing is compared where there is nothing: see `same_bytes`.
                Long::Not | Long::Spilled(_) => same_bytes(self.as_slice(), bytes),
            }
    }

    /// The same for the same bytes, however they were pushed.
    #[inline]
    pub(super) fn hash(&self, seed: u64) -> u64 {
        match &self.long {
            Long::Not => self.short().map_or(0, |short| short.hash(seed)),
            Long::Inline(inline) => inline.hash(self.len, seed),
            Long::Spilled(spill) => {
                let mut hasher = FixedState::with_seed(seed).build_hasher();
                hasher.write(spill);
                hasher.finish()
            }
        }
    }

    /// What was written since the length was `start`.
    pub(super) fn since_mut(&mut self, start: usize) -> &mut [u8] {
        let bytes = match &mut self.long {
            Long::Not => self.head.as_flattened_mut().get_mut(start..self.len),
            Long::Inline(inline) => inline.0.as_flattened_mut().get_mut(start..self.len),
            Long::Spilled(spill) => spill.get_mut(start..),
        };
        bytes.unwrap_or_default()
    }

    /// The length so far.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        if end <= SHORT { self.push_number(number(bytes), end) } else { self.push_long(bytes) }
    }

    /// Appends bytes that are no more than there is room for in `head`, as a number.
    #[inline(always)]
    fn push_number(&mut self, number: u128, end: usize) {
        // At the end only nothing can be added, wherever to.
        let more = number.wrapping_shl(8 * self.len as u32);
        let [first, second] = self.head.map(u64::from_le_bytes);
        self.head = [first | more as u64, second | (more >> 64) as u64].map(u64::to_le_bytes);
        self.len = end;
    }

    #[inline(never)]
    fn push_long(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        if matches!(self.long, Long::Not) && end <= INLINE {
            self.long = Long::Inline(Inline([[0; WORD]; INLINE / WORD]));
            if let Long::Inline(inline) = &mut self.long {
                [inline.0[0], inline.0[1]] = self.head;
            }
        }
        match &mut self.long {
            Long::Spilled(spill) => spill.extend_from_slice(bytes),
            Long::Inline(inline) if end <= INLINE => inline.put(self.len, bytes),
            Long::Inline(_) | Long::Not => self.spill(end, bytes),
        }
        self.len = end;
    }

    #[cold]
    fn spill(&mut self, end: usize, bytes: &[u8]) {
        let mut spill = Vec::with_capacity(end + INLINE);
        spill.extend_from_slice(self.as_slice());
        spill.extend_from_slice(bytes);
        self.long = Long::Spilled(spill);
    }

    /// A length or count: one byte when it is below 255.
    #[inline]
    pub(super) fn push_count(&mut self, count: usize) {
        match u8::try_from(count) {
            Ok(short) if short != u8::MAX => self.push(&[short]),
            _ => self.push_long_count(count),
        }
    }

    #[cold]
    #[inline(never)]
    fn push_long_count(&mut self, count: usize) {
        self.push(&[u8::MAX]);
        self.push(&(count as u64).to_le_bytes());
    }

    /// The bytes after their length.
    #[inline]
    pub(super) fn push_delimited(&mut self, bytes: &[u8]) {
        let end = self.len + 1 + bytes.len();
        if end <= SHORT {
            self.push_number(number(bytes) << 8 | bytes.len() as u128, end);
        } else {
            self.push_count(bytes.len());
            self.push(bytes);
        }
    }

    /// Brings entries into the order of their keys; equal keys keep their order. They were written one after the other,
    /// from `start` to the end.
    pub(super) fn sort_entries(&mut self, start: usize, entries: &mut [EntrySpan]) {
        let region = self.since_mut(start);
        let part = |from: usize, to: usize| region.get(from - start..to - start).unwrap_or_default();
        let key = |entry: &EntrySpan| part(entry.start, entry.key_end);
        if entries.is_sorted_by(|a, b| key(a) <= key(b)) {
            return;
        }
        entries.sort_by(|a, b| key(a).cmp(key(b)));
        let sorted: Vec<u8> = entries.iter().flat_map(|entry| part(entry.start, entry.end)).copied().collect();
        region.copy_from_slice(&sorted);
    }
}

/// Where one entry of a map or set stands in a [`Bytes`]; the value, if there is one, follows the key.
pub(super) struct EntrySpan {
    pub(super) start: usize,
    pub(super) key_end: usize,
    pub(super) end: usize,
}

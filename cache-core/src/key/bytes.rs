//! The byte string a key is written to.

/// Keys up to this many bytes are two words: built, hashed and compared without touching memory.
const SHORT: usize = 16;
/// Keys up to this many bytes are built without allocating.
const INLINE: usize = 64;

/// A byte string of up to 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ShortArgs {
    /// The bytes, and zeros after them.
    pub(crate) words: [u64; 2],
    pub(crate) len: u8,
}

impl ShortArgs {
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
        let product = u128::from(first ^ seed) * u128::from(second ^ seed.rotate_left(32));
        let folded = product as u64 ^ (product >> 64) as u64;
        // The lowest bits may depend on few: the highest of a product don't.
        folded.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32)
    }
}

/// A byte string that allocates only when it is long.
///
/// All bytes are in `head` while there are at most [`SHORT`] of them, and all in `long` from then on; what isn't written
/// of `head` is zero.
pub(super) struct Bytes {
    head: [u8; SHORT],
    len: usize,
    long: Long,
}

enum Long {
    Not,
    Inline([u8; INLINE]),
    Spilled(Vec<u8>),
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
        Self { head: [0; SHORT], len: 0, long: Long::Not }
    }

    pub(super) fn of_short(short: ShortArgs) -> Self {
        Self { head: short.to_le_bytes(), len: usize::from(short.len), long: Long::Not }
    }

    #[inline]
    pub(super) fn as_slice(&self) -> &[u8] {
        let bytes = match &self.long {
            Long::Not => self.head.get(..self.len),
            Long::Inline(inline) => inline.get(..self.len),
            Long::Spilled(spill) => Some(spill.as_slice()),
        };
        bytes.unwrap_or_default()
    }

    /// All of it, if it is short.
    #[inline]
    pub(super) fn short(&self) -> Option<ShortArgs> {
        let len = u8::try_from(self.len).ok().filter(|len| usize::from(*len) <= SHORT)?;
        let head = u128::from_le_bytes(self.head);
        Some(ShortArgs { words: [head as u64, (head >> 64) as u64], len })
    }

    /// What was written since the length was `start`.
    pub(super) fn since_mut(&mut self, start: usize) -> &mut [u8] {
        let bytes = match &mut self.long {
            Long::Not => self.head.get_mut(start..self.len),
            Long::Inline(inline) => inline.get_mut(start..self.len),
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
        self.head = (u128::from_le_bytes(self.head) | more).to_le_bytes();
        self.len = end;
    }

    #[inline(never)]
    fn push_long(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        if matches!(self.long, Long::Not) {
            let mut inline = [0; INLINE];
            if let Some(start) = inline.first_chunk_mut() {
                *start = self.head;
            }
            self.long = Long::Inline(inline);
        }
        match &mut self.long {
            Long::Inline(inline) => match inline.get_mut(self.len..end) {
                Some(room) => room.copy_from_slice(bytes),
                None => {
                    let mut spill = Vec::with_capacity(end + INLINE);
                    spill.extend_from_slice(inline.get(..self.len).unwrap_or_default());
                    spill.extend_from_slice(bytes);
                    self.long = Long::Spilled(spill);
                }
            },
            Long::Spilled(spill) => spill.extend_from_slice(bytes),
            Long::Not => {}
        }
        self.len = end;
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

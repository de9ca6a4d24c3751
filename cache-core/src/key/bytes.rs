//! The byte string a key is written to.

use std::hash::{BuildHasher, Hasher};

/// Keys up to this many bytes are built without allocating.
const INLINE: usize = 64;

/// A byte string of up to 16 bytes, compared in two steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ShortArgs {
    /// In two halves, or it would have to be aligned more than anything beside it.
    bytes: [u64; 2],
    len: u8,
}

impl ShortArgs {
    /// It doesn't hold all there is to compare.
    pub(crate) const NOT_ALL: Self = Self { bytes: [0; 2], len: u8::MAX };

    /// To be kept in parts: fields of their own leave room for others where these would be padded.
    #[inline]
    pub(crate) fn parts(&self) -> ([u64; 2], u8) {
        (self.bytes, self.len)
    }

    /// The inverse of [`parts`](Self::parts).
    #[inline]
    pub(crate) fn from_parts(bytes: [u64; 2], len: u8) -> Self {
        Self { bytes, len }
    }

    /// Calls the closure with the byte string; only if it is [all](Self::is_all) there is.
    pub(crate) fn with_bytes<R>(&self, with: impl FnOnce(&[u8]) -> R) -> R {
        let [low, high] = self.bytes.map(u128::from);
        with((low | high << 64).to_le_bytes().get(..usize::from(self.len)).unwrap_or_default())
    }

    #[inline]
    pub(crate) fn is_all(&self) -> bool {
        self.len != u8::MAX
    }

    /// Like that of the bytes, and faster.
    #[inline]
    pub(crate) fn hash(&self, state: &impl BuildHasher) -> u64 {
        let mut hasher = state.build_hasher();
        hasher.write_u64(self.bytes[0]);
        hasher.write_u64(self.bytes[1] ^ u64::from(self.len) << 56);
        hasher.finish()
    }
}

/// A byte string that allocates only when it is long.
///
/// All bytes are in `inline` while there are at most [`INLINE`] of them, and all in `spill` from then on; so
/// `inline.get(..len)` fails exactly when `spill` is in use.
pub(super) struct Bytes {
    inline: [u8; INLINE],
    len: usize,
    #[allow(clippy::box_collection, reason = "it is rare, and a small key should be built and dropped in few steps")]
    spill: Option<Box<Vec<u8>>>,
}

impl Bytes {
    #[inline]
    pub(super) const fn new() -> Self {
        Self { inline: [0; INLINE], len: 0, spill: None }
    }

    #[inline]
    pub(super) fn as_slice(&self) -> &[u8] {
        self.inline.get(..self.len).or(self.spill.as_deref().map(Vec::as_slice)).unwrap_or_default()
    }

    /// All of it, if it is short.
    #[inline]
    pub(super) fn short(&self) -> ShortArgs {
        // What isn't written yet is zero.
        match (self.inline.first_chunk::<16>(), u8::try_from(self.len)) {
            (Some(bytes), Ok(len)) if len <= 16 => {
                let bytes = u128::from_le_bytes(*bytes);
                ShortArgs { bytes: [bytes as u64, (bytes >> 64) as u64], len }
            }
            _ => ShortArgs::NOT_ALL,
        }
    }

    /// What was written since the length was `start`.
    pub(super) fn since_mut(&mut self, start: usize) -> &mut [u8] {
        let all = match &mut self.spill {
            Some(spill) => spill.as_mut_slice(),
            None => &mut self.inline[..self.len],
        };
        all.get_mut(start..).unwrap_or_default()
    }

    /// The length so far.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        match self.inline.get_mut(self.len..end) {
            Some(room) => {
                room.copy_from_slice(bytes);
                self.len = end;
            }
            None => self.push_spilled(bytes),
        }
    }

    #[cold]
    #[inline(never)]
    fn push_spilled(&mut self, bytes: &[u8]) {
        let inline = &self.inline;
        let spill = self.spill.get_or_insert_with(|| {
            let mut spill = Vec::with_capacity(self.len + bytes.len() + INLINE);
            spill.extend_from_slice(&inline[..self.len]);
            Box::new(spill)
        });
        spill.extend_from_slice(bytes);
        self.len = spill.len();
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
        self.push_count(bytes.len());
        self.push(bytes);
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

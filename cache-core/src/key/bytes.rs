//! The byte string a key is written to.

/// Keys up to this many bytes are built without allocating.
const INLINE: usize = 64;

/// A byte string that allocates only when it is long.
///
/// All bytes are in `inline` while there are at most [`INLINE`] of them, and all in `spill` from then on; so
/// `inline.get(..len)` fails exactly when `spill` is in use.
pub(super) struct Bytes {
    inline: [u8; INLINE],
    len: usize,
    spill: Vec<u8>,
}

impl Bytes {
    #[inline]
    pub(super) const fn new() -> Self {
        Self { inline: [0; INLINE], len: 0, spill: Vec::new() }
    }

    #[inline]
    pub(super) fn as_slice(&self) -> &[u8] {
        self.inline.get(..self.len).unwrap_or(&self.spill)
    }

    /// What was written since the length was `start`.
    pub(super) fn since_mut(&mut self, start: usize) -> &mut [u8] {
        let all = if self.len <= INLINE { &mut self.inline[..self.len] } else { self.spill.as_mut_slice() };
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
        if self.len <= INLINE {
            self.spill.reserve(self.len + bytes.len() + INLINE);
            self.spill.extend_from_slice(&self.inline[..self.len]);
        }
        self.spill.extend_from_slice(bytes);
        self.len = self.spill.len();
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

//! Keys: the arguments of one call of one function.
//!
//! A [`KeyBuf`] is built from borrowed arguments for each lookup; short ones stay on the stack. An [`Args`] is the same
//! thing owned, made once when an entry is kept. Arguments get in through one of three doors, chosen by their type
//! (see [`Part`]):
//!
//! | door | what it takes | where |
//! |---|---|---|
//! | [`Identity`] | numbers, text, standard containers of them, and types that say what identifies them | bytes |
//! | `Serialize` | everything serde can write | bytes |
//! | `Hash + Eq + Clone` | in `local` functions, what is left | *typed part*, by reference |
//!
//! Three things hold for the bytes, and everything in this module serves them:
//!
//! - **Injective**: two argument lists of the same types have the same bytes only if they are equal. Every encoding is
//!   self-delimiting, so neighbours can't flow into each other: `("ab", "c")` is not `("a", "bc")`.
//! - **Canonical**: equal arguments have equal bytes. What has no order is sorted, and floats have one zero and one NaN.
//! - **Stable**: the same in every process and on every platform, since the bytes also name the entry in a backend.
//!
//! Equal and unequal are meant within one function: an argument's static type is not repeated in the bytes. What
//! `Serialize` writes alike is alike. Two kinds of equal arguments can have several keys, which costs misses and never a
//! wrong answer: paths that differ in spelling only (`a/b`, `a//b`), and hash sets *inside* a `Serialize` type, which
//! serde shows as sequences in arbitrary order.

pub(crate) mod backend_key;
mod bytes;
pub(crate) mod call_key;
mod compound;
pub(crate) mod function_names;
pub(crate) mod here;
mod identity;
pub(crate) mod name_registry;
mod parts;
mod serializer;

use std::fmt;
use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;

use self::bytes::Bytes;
pub(crate) use self::bytes::ShortArgs;
pub use self::identity::{Identity, KeyWriter};
pub use self::parts::{ByIdentity, BySerialize, Missing, Part, TypedPart, local};
use crate::error::Error;

/// The arguments of a call while it is looked up.
pub struct KeyBuf<'a> {
    bytes: Bytes,
    // The first typed part has a place of its own: most `local` keys have at most one and then allocate nothing.
    first: Option<&'a dyn TypedPart>,
    // Boxed, as it is rare: a small key is built and dropped without calls.
    rare: Option<Box<Rare<'a>>>,
}

/// What most keys don't have.
#[derive(Default)]
struct Rare<'a> {
    /// Typed parts after the first.
    more: Vec<&'a dyn TypedPart>,
    error: Option<Error>,
}

impl<'a> KeyBuf<'a> {
    /// A key of no arguments.
    #[inline]
    pub const fn new() -> Self {
        Self { bytes: Bytes::new(), first: None, rare: None }
    }

    /// Everything but the typed parts.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.as_slice()
    }

    /// Whether these are the bytes.
    pub(crate) fn bytes_are(&self, bytes: &[u8]) -> bool {
        same_bytes(self.bytes(), bytes)
    }

    /// Whether the key has typed parts, which means nothing outside this process.
    #[inline]
    pub fn is_local_only(&self) -> bool {
        self.first.is_some()
    }

    /// The whole key, if it is short.
    #[inline]
    pub(crate) fn short(&self) -> Option<ShortArgs> {
        if self.is_local_only() || self.rare.is_some() { None } else { self.bytes.short() }
    }

    /// The same, or what it is.
    #[inline]
    pub(crate) fn into_short(self) -> Result<ShortArgs, Self> {
        let Some(short) = self.short() else { return Err(self) };
        // It owns nothing; to find that out again would take a hit longer than all the rest.
        std::mem::forget(self);
        Ok(short)
    }

    /// A short key again.
    #[inline]
    pub(crate) fn of_short(short: ShortArgs) -> Self {
        Self { bytes: Bytes::of_short(short), ..Self::new() }
    }

    /// Takes the error of an argument that could not be encoded. Such a key stands for no call: it must not be looked up.
    #[inline]
    pub fn error(&mut self) -> Option<Error> {
        self.rare.as_mut()?.error.take()
    }

    /// Whether an argument could not be encoded.
    #[inline]
    pub(crate) fn has_error(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.error.is_some())
    }

    /// Appends bytes as they are. The caller sees to it that they delimit themselves.
    #[inline]
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.push(bytes);
    }

    /// Appends a typed part.
    #[inline]
    pub fn push_typed(&mut self, part: &'a dyn TypedPart) {
        if self.first.is_none() {
            self.first = Some(part);
        } else {
            self.rare.get_or_insert_default().more.push(part);
        }
    }

    /// Remembers that an argument could not be encoded; the first such error stays.
    #[cold]
    fn fail(&mut self, error: Error) {
        self.rare.get_or_insert_default().error.get_or_insert(error);
    }

    #[inline]
    fn typed(&self) -> impl Iterator<Item = &'a dyn TypedPart> {
        self.first.into_iter().chain(self.rare.iter().flat_map(|rare| rare.more.iter().copied()))
    }

    /// The hash of the key, the same for equal keys.
    #[inline]
    pub fn hash(&self, seed: u64) -> u64 {
        let hash = self.bytes.hash(seed);
        if !self.is_local_only() {
            return hash;
        }
        let mut hasher = FixedState::with_seed(hash).build_hasher();
        self.typed().for_each(|part| part.hash_part(&mut hasher));
        hasher.finish()
    }

    /// The same key, owned.
    pub fn to_args(&self) -> Args {
        Args { bytes: self.bytes().into(), typed: self.typed().map(TypedPart::to_stored).collect() }
    }
}

impl Default for KeyBuf<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for KeyBuf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug("KeyBuf", self.bytes(), self.typed().count(), f)
    }
}

/// The arguments of a call, owned: what its entry is kept under.
pub struct Args {
    bytes: Box<[u8]>,
    typed: Box<[Box<dyn TypedPart>]>,
}

impl Args {
    /// Whether this is the key that is looked up.
    #[inline]
    pub fn matches(&self, key: &KeyBuf<'_>) -> bool {
        key.bytes.is(&self.bytes)
            && if key.is_local_only() { same(self.typed(), key.typed()) } else { self.typed.is_empty() }
    }

    fn typed(&self) -> impl Iterator<Item = &dyn TypedPart> {
        self.typed.iter().map(|part| &**part)
    }

    /// Everything but the typed parts.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether the key has typed parts, which means nothing outside this process.
    #[inline]
    pub fn is_local_only(&self) -> bool {
        !self.typed.is_empty()
    }

    /// A hash of the typed parts alone, the same for equal parts as long as this process lives; `None` if there are none.
    pub fn typed_hash(&self) -> Option<u64> {
        let mut hasher = FixedState::with_seed(0).build_hasher();
        self.typed.iter().for_each(|part| part.hash_part(&mut hasher));
        self.is_local_only().then(|| hasher.finish())
    }
}

impl PartialEq for Args {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes && same(self.typed(), other.typed())
    }
}

impl Eq for Args {}

impl fmt::Debug for Args {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug("Args", &self.bytes, self.typed.len(), f)
    }
}

/// `left == right`. Nothing is compared where there is nothing: an empty `Box` or `str` points nowhere, and the masked loads
/// that C libraries compare with on AVX-512 take 80 ns to ignore such an address.
#[inline]
pub(crate) fn same_bytes(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && (left.is_empty() || left == right)
}

/// Whether the parts are equal pairwise, and as many.
fn same<'a, 'b>(
    mut left: impl Iterator<Item = &'a dyn TypedPart>,
    mut right: impl Iterator<Item = &'b dyn TypedPart>,
) -> bool {
    loop {
        match (left.next(), right.next()) {
            (Some(left), Some(right)) if left.same(right.as_any()) => {}
            (None, None) => return true,
            _ => return false,
        }
    }
}

fn debug(name: &str, bytes: &[u8], typed: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{name}({}", bytes.escape_ascii())?;
    if typed > 0 {
        write!(f, " + {typed} typed")?;
    }
    f.write_str(")")
}

//! The key of a call: function, scope and arguments. Borrowed for a lookup, owned for keeping.

use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

use foldhash::fast::FixedState;
use xxhash_rust::xxh3::xxh3_64;

use crate::flight::per_key;
use crate::key::{Args, KeyBuf, ShortArgs, same_bytes};
use crate::scope::Scope;
use crate::util::seed::process_seed;

/// Which function: its place in memory, and which of its instantiations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FunctionId {
    site: usize,
    instance: u32,
    /// Of the hashes of its keys.
    pub(crate) seed: u64,
}

impl FunctionId {
    pub(crate) fn new(site: usize, instance: u32) -> Self {
        // Mixed well, so that the same arguments of two functions have nothing in common.
        let seed = FixedState::with_seed(process_seed()).hash_one((site, instance));
        Self { site, instance, seed: xxh3_64(&seed.to_le_bytes()) }
    }

    /// Which instantiation: 0 for the first.
    pub(crate) fn instance(&self) -> u32 {
        self.instance
    }
}

/// A function, and how long the arguments of some of its keys are: so a key says both by the place in memory of one of
/// these, which is no other's.
#[derive(Debug)]
pub(crate) struct KeyForm {
    function: FunctionId,
    /// [`LONG`] for keys that aren't short.
    len: u8,
}

/// Those of one function.
#[derive(Debug)]
pub(crate) struct KeyForms {
    short: [KeyForm; ShortArgs::MOST + 1],
    long: KeyForm,
}

impl KeyForms {
    pub(crate) fn new(function: FunctionId) -> Self {
        let short = std::array::from_fn(|len| KeyForm { function, len: len as u8 });
        Self { short, long: KeyForm { function, len: LONG } }
    }

    fn of(&self, len: u8) -> &KeyForm {
        self.short.get(usize::from(len)).unwrap_or(&self.long)
    }
}

/// What a thread's front looks for. Two keys of one process have the same `whose` and `words` only if they are equal or
/// both long.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(feature = "memory"), allow(dead_code, reason = "for the store"))]
pub(crate) struct Ask {
    pub(crate) hash: u64,
    /// The function in its cache, its instantiation, and how long the arguments are: see [`whose`].
    pub(crate) whose: u64,
    /// The arguments; of a long key its hash.
    pub(crate) words: [u64; 2],
}

/// Stands for a length where the key isn't short, or has a scope.
const LONG: u8 = u8::MAX;

/// A function of one cache and its instantiation, with room for a length in the lowest byte. [`NOBODY`] beyond all
/// bounds.
#[inline]
pub(crate) fn whose(number: u64, instance: u32) -> u64 {
    if number < 1 << 40 && instance < 1 << 16 { number << 24 | u64::from(instance) << 8 } else { NOBODY }
}

/// The same of another instantiation than the first one, whose this is.
#[inline]
pub(crate) fn whose_of_instance(first: u64, instance: u32) -> u64 {
    if first != NOBODY && instance < 1 << 16 { first | u64::from(instance) << 8 } else { NOBODY }
}

/// Whether there is more to compare than [`Ask::words`].
#[inline]
#[cfg_attr(not(feature = "memory"), allow(dead_code, reason = "for the store"))]
pub(crate) fn is_long(whose: u64) -> bool {
    whose as u8 == LONG
}

/// No function of any cache.
pub(crate) const NOBODY: u64 = 0;

#[cfg_attr(not(feature = "memory"), allow(dead_code, reason = "for the store"))]
impl Ask {
    /// For a short key in the default scope.
    #[inline]
    pub(crate) fn short(whose: u64, seed: u64, args: ShortArgs) -> Self {
        Self { hash: args.hash(seed), whose: whose | u64::from(args.len), words: args.words }
    }

    /// For another key.
    #[inline]
    pub(crate) fn long(whose: u64, seed: u64, scope: &[u8], args: &KeyBuf<'_>) -> Self {
        let of_scope = if scope.is_empty() { 0 } else { xxh3_64(scope) };
        let hash = args.hash(seed ^ of_scope);
        Self { hash, whose: whose | u64::from(LONG), words: [hash, 0] }
    }

    pub(crate) fn is_nobodys(&self) -> bool {
        self.whose >> 8 == NOBODY
    }
}

/// A key while it is looked up.
#[cfg_attr(not(feature = "memory"), allow(dead_code, reason = "for the store"))]
pub(crate) struct CallKeyRef<'a, 'k> {
    ask: Ask,
    form: &'static KeyForm,
    /// Its name.
    scope: &'a [u8],
    args: &'a KeyBuf<'k>,
}

#[cfg_attr(not(feature = "memory"), allow(dead_code, reason = "for the store"))]
impl<'a, 'k> CallKeyRef<'a, 'k> {
    /// `number` tells the function in its cache from all others.
    pub(crate) fn new(number: u64, forms: &'static KeyForms, scope: &'a [u8], args: &'a KeyBuf<'k>) -> Self {
        let FunctionId { instance, seed, .. } = forms.long.function;
        let whose = whose(number, instance);
        let ask = match args.short().filter(|_| scope.is_empty()) {
            Some(short) => Ask::short(whose, seed, short),
            None => Ask::long(whose, seed, scope, args),
        };
        Self { form: forms.of(ask.whose as u8), ask, scope, args }
    }

    #[inline]
    pub(crate) fn ask(&self) -> &Ask {
        &self.ask
    }

    #[inline]
    pub(crate) fn hash_code(&self) -> u64 {
        self.ask.hash
    }

    /// For keeping. `scope` is the one of the key.
    pub(crate) fn to_key(&self, scope: &Scope) -> CallKey {
        if !is_long(self.ask.whose) {
            return CallKey::Short { form: self.form, words: self.ask.words };
        }
        let (scope, args) = (scope.clone(), self.args.to_args());
        CallKey::Long(Arc::new(LongKey { form: self.form, hash: self.ask.hash, scope, args }))
    }
}

impl Hash for CallKeyRef<'_, '_> {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.ask.hash);
    }
}

/// A key as it is kept. The usual one is kept in place, others are shared by their clones. There is one in each entry, so
/// it is small.
#[derive(Clone, Debug)]
pub(crate) enum CallKey {
    /// In the default scope. With `form`, the parts of a [`ShortArgs`].
    Short {
        form: &'static KeyForm,
        words: [u64; 2],
    },
    Long(Arc<LongKey>),
}

/// A key that isn't just a few bytes.
#[derive(Debug)]
pub(crate) struct LongKey {
    form: &'static KeyForm,
    hash: u64,
    scope: Scope,
    args: Args,
}

impl LongKey {
    /// Whether it is the key that is looked up, if that is of the same function.
    #[inline]
    #[cfg_attr(not(feature = "memory"), allow(dead_code, reason = "for the store"))]
    pub(crate) fn matches(&self, key: &CallKeyRef<'_, '_>) -> bool {
        self.hash == key.ask.hash && same_bytes(self.scope.name().as_bytes(), key.scope) && self.args.matches(key.args)
    }

    /// The same without a look at what has no bytes.
    #[cfg_attr(not(feature = "memory"), allow(dead_code, reason = "for the store"))]
    fn matches_but_for_typed(&self, key: &CallKeyRef<'_, '_>) -> bool {
        self.hash == key.ask.hash
            && same_bytes(self.scope.name().as_bytes(), key.scope)
            && self.args.is_local_only()
            && key.args.bytes_are(self.args.bytes())
    }

    /// The same for a key that isn't put together.
    #[inline]
    #[cfg_attr(not(feature = "memory"), allow(dead_code, reason = "for the store"))]
    pub(crate) fn is_of(&self, scope: &[u8], args: &KeyBuf<'_>) -> bool {
        same_bytes(self.scope.name().as_bytes(), scope) && self.args.matches(args)
    }
}

impl PartialEq for LongKey {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.form, other.form)
            && self.hash == other.hash
            && self.scope == other.scope
            && self.args == other.args
    }
}

impl CallKey {
    /// Calls the closure with the bytes of the arguments, and with a hash of those that have no bytes.
    pub(crate) fn with_args<R>(&self, with: impl FnOnce(&[u8], Option<u64>) -> R) -> R {
        match self {
            Self::Short { form, words } => {
                ShortArgs { words: *words, len: form.len }.with_bytes(|bytes| with(bytes, None))
            }
            Self::Long(long) => with(long.args.bytes(), long.args.typed_hash()),
        }
    }

    pub(crate) fn hash_code(&self) -> u64 {
        match self {
            Self::Short { form, words } => ShortArgs { words: *words, len: form.len }.hash(form.function.seed),
            Self::Long(long) => long.hash,
        }
    }

    /// What of it isn't just a few bytes.
    pub(crate) fn long(&self) -> Option<&Arc<LongKey>> {
        match self {
            Self::Short { .. } => None,
            Self::Long(long) => Some(long),
        }
    }

    /// Whether it is the key that is looked up, as far as can be told without code of the user's.
    #[inline]
    #[cfg_attr(not(feature = "memory"), allow(dead_code, reason = "for the store"))]
    pub(crate) fn is_known_to_match(&self, key: &CallKeyRef<'_, '_>) -> Option<bool> {
        let Self::Long(long) = self else { return Some(self.matches(key)) };
        if !key.args.is_local_only() {
            return Some(self.matches(key));
        }
        let may_be = std::ptr::eq(long.form, key.form) && long.matches_but_for_typed(key);
        if may_be { None } else { Some(false) }
    }

    #[inline]
    #[cfg_attr(not(feature = "memory"), allow(dead_code, reason = "for the store"))]
    pub(crate) fn matches(&self, key: &CallKeyRef<'_, '_>) -> bool {
        match self {
            Self::Short { form, words } => std::ptr::eq(*form, key.form) && *words == key.ask.words,
            Self::Long(long) => std::ptr::eq(long.form, key.form) && long.matches(key),
        }
    }
}

impl PartialEq for CallKey {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Short { form, words }, Self::Short { form: other, words: others }) => {
                std::ptr::eq(*form, *other) && words == others
            }
            (Self::Long(long), Self::Long(other)) => Arc::ptr_eq(long, other) || long == other,
            _ => false,
        }
    }
}

impl Eq for CallKey {}

impl Hash for CallKey {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash_code());
    }
}

impl per_key::Key for CallKey {
    fn hash_code(&self) -> u64 {
        self.hash_code()
    }

    fn is_known_to_be(&self, others: &Self) -> Option<bool> {
        let (Self::Long(long), Self::Long(other)) = (self, others) else {
            return Some(self == others);
        };
        if !std::ptr::eq(long.form, other.form) {
            return Some(false);
        }
        if Arc::ptr_eq(long, other) {
            return Some(true);
        }
        let args = (&long.args, &other.args);
        let same_bytes =
            long.hash == other.hash && long.scope == other.scope && same_bytes(args.0.bytes(), args.1.bytes());
        if !same_bytes || args.0.is_local_only() != args.1.is_local_only() {
            return Some(false);
        }
        // What has no bytes is compared by the user's `Eq`.
        (!args.0.is_local_only()).then_some(true)
    }

    fn is(&self, other: &Self) -> bool {
        self == other
    }

    fn asks_user(&self) -> bool {
        matches!(self, Self::Long(long) if long.args.is_local_only())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function() -> &'static KeyForms {
        Box::leak(Box::new(KeyForms::new(FunctionId::new(7, 0))))
    }

    /// Keys of no, one, 16 and 17 bytes, in two scopes.
    fn keys(function: &'static KeyForms) -> Vec<(CallKey, u64)> {
        let mut keys = Vec::new();
        for scope in ["", "tenant"] {
            for bytes in [&[][..], &[0], &[0; 2], &[1; 16], &[1; 17]] {
                let mut args = KeyBuf::new();
                args.push(bytes);
                let key = CallKeyRef::new(1, function, scope.as_bytes(), &args);
                let kept = key.to_key(&Scope::new(scope));
                assert!(kept.matches(&key));
                let is_of = |scope: &str| kept.long().is_none_or(|long| long.is_of(scope.as_bytes(), &args));
                assert!(is_of(scope) && (kept.long().is_none() || !is_of("other")));
                keys.push((kept, key.hash_code()));
            }
        }
        keys
    }

    #[test]
    fn a_kept_key_is_the_key_that_was_looked_up() {
        let keys = [keys(function()), keys(function())].concat();
        for (at, (key, hash)) in keys.iter().enumerate() {
            assert_eq!(key.hash_code(), *hash, "{key:?}");
            for (other_at, (other, _)) in keys.iter().enumerate() {
                assert_eq!(key == other, at == other_at, "{key:?} and {other:?}");
                assert_eq!(per_key::Key::is_known_to_be(key, other), Some(at == other_at), "{key:?} and {other:?}");
            }
        }
    }

    #[test]
    fn only_what_has_no_bytes_is_compared_by_the_user() {
        let function = function();
        let key = |bytes: &[u8], typed: Option<&'static u8>| {
            let mut args = KeyBuf::new();
            args.push(bytes);
            typed.into_iter().for_each(|typed| args.push_typed(typed));
            CallKeyRef::new(1, function, b"", &args).to_key(&Scope::global())
        };
        let known = |key: &CallKey, other: &CallKey| per_key::Key::is_known_to_be(key, other);
        let typed = key(b"a", Some(&1));
        assert_eq!(known(&typed, &typed.clone()), Some(true));
        assert_eq!(known(&typed, &key(b"a", Some(&1))), None);
        assert_eq!(known(&typed, &key(b"b", Some(&1))), Some(false));
        assert_eq!(known(&typed, &key(b"a", None)), Some(false));
    }

    #[test]
    fn the_arguments_come_back_as_they_were() {
        for bytes in [&b""[..], b"abc", b"0123456789abcdef", b"0123456789abcdefg"] {
            let mut args = KeyBuf::new();
            args.push(bytes);
            let key = CallKeyRef::new(1, function(), b"", &args).to_key(&Scope::global());
            key.with_args(|found, typed| assert_eq!((found, typed), (bytes, None)));
        }
    }

    #[test]
    fn it_is_small() {
        assert!(size_of::<CallKey>() <= 24);
    }
}

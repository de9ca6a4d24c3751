//! The key of a call: function, scope and arguments. Borrowed for a lookup, owned for keeping.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::{Arc, LazyLock};

use foldhash::fast::FixedState;
use xxhash_rust::xxh3::xxh3_64;

use crate::key::{Args, KeyBuf, ShortArgs, same_bytes};
use crate::scope::Scope;

/// Drawn once per process, so that nobody can prepare keys that collide.
fn process_seed() -> u64 {
    static SEED: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(0_u64));
    *SEED
}

/// Which function: its place in memory, and which of its instantiations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FunctionId {
    site: usize,
    instance: u32,
    /// Of the hashes of its keys.
    seed: u64,
}

impl FunctionId {
    pub(crate) fn new(site: usize, instance: u32) -> Self {
        // Mixed well, so that the same arguments of two functions have nothing in common.
        let seed = FixedState::with_seed(process_seed()).hash_one((site, instance));
        Self { site, instance, seed: xxh3_64(&seed.to_le_bytes()) }
    }
}

/// A key while it is looked up.
#[cfg_attr(not(feature = "memory"), allow(dead_code, reason = "for the store"))]
pub(crate) struct CallKeyRef<'a, 'k> {
    hash: u64,
    function: &'a FunctionId,
    scope: &'a str,
    args: &'a KeyBuf<'k>,
    short: ShortArgs,
}

#[cfg_attr(not(feature = "memory"), allow(dead_code, reason = "for the store"))]
impl<'a, 'k> CallKeyRef<'a, 'k> {
    #[inline(always)]
    pub(crate) fn new(function: &'a FunctionId, scope: &'a str, args: &'a KeyBuf<'k>) -> Self {
        let mut seed = function.seed;
        let mut short = ShortArgs::NOT_ALL;
        let hash = if scope.is_empty() {
            short = args.short();
            if short.is_all() {
                short.hash(&FixedState::with_seed(seed))
            } else {
                args.hash(&FixedState::with_seed(seed))
            }
        } else {
            seed ^= xxh3_64(scope.as_bytes());
            args.hash(&FixedState::with_seed(seed))
        };
        Self { hash, function, scope, args, short }
    }

    #[inline]
    pub(crate) fn instance(&self) -> u32 {
        self.function.instance
    }

    #[inline]
    pub(crate) fn hash_code(&self) -> u64 {
        self.hash
    }

    /// The arguments, if they are short and all there is to the key but its function.
    #[inline]
    pub(crate) fn short(&self) -> ShortArgs {
        self.short
    }

    pub(crate) fn to_key(&self) -> CallKey {
        CallKey(Arc::new(Parts {
            hash: self.hash,
            function: *self.function,
            scope: Scope::new(self.scope),
            args: self.args.to_args(),
        }))
    }
}

impl Hash for CallKeyRef<'_, '_> {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// A key as it is kept. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct CallKey(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    hash: u64,
    function: FunctionId,
    scope: Scope,
    args: Args,
}

impl CallKey {
    pub(crate) fn args(&self) -> &Args {
        &self.0.args
    }

    #[cfg_attr(not(feature = "memory"), allow(dead_code, reason = "for the store"))]
    pub(crate) fn hash_code(&self) -> u64 {
        self.0.hash
    }

    #[inline]
    #[cfg_attr(not(feature = "memory"), allow(dead_code, reason = "for the store"))]
    pub(crate) fn matches(&self, key: &CallKeyRef<'_, '_>) -> bool {
        let own = &*self.0;
        own.hash == key.hash
            && own.function == *key.function
            && same_bytes(own.scope.name().as_bytes(), key.scope.as_bytes())
            && own.args.matches(key.args)
    }
}

impl PartialEq for CallKey {
    fn eq(&self, other: &Self) -> bool {
        let (a, b) = (&*self.0, &*other.0);
        Arc::ptr_eq(&self.0, &other.0)
            || (a.hash == b.hash && a.function == b.function && a.scope == b.scope && a.args == b.args)
    }
}

impl Eq for CallKey {}

impl Hash for CallKey {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.hash);
    }
}

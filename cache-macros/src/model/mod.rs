//! Options and function into a [`Model`]: everything checked, so that the expansion cannot fail. One function per rule.

mod arguments;
mod awaits;
mod borrows;
mod bound;
mod duration;
mod function;
mod helpers;
mod key;
mod mentions;
mod options;
mod patterns;
mod refresh;
mod returns;
mod size;
mod store_decision;
mod tags;
mod text;
mod tokens;
mod types;
mod values;

use std::hash::{DefaultHasher, Hash, Hasher};

use quote::ToTokens;
use syn::{Expr, LitStr, Path, Type};

pub(crate) use self::arguments::{Argument, Arguments};
pub(crate) use self::bound::{Amount, Bound};
pub(crate) use self::duration::Lifetime;
pub(crate) use self::helpers::Helpers;
pub(crate) use self::key::{Key, KeyPart};
pub(crate) use self::mentions::Mentions;
pub(crate) use self::refresh::Refresh;
pub(crate) use self::store_decision::StoreDecision;
pub(crate) use self::tags::{Tag, TagPart};
pub(crate) use self::tokens::says;
pub(crate) use self::types::{Ownership, ownership};

use crate::errors::Errors;
use crate::parse::{Body, Function, Options};

/// A cached function, checked.
pub(crate) struct Model {
    /// The facade, by which everything else is reached.
    pub(crate) krate: Path,
    /// A hash of the function as it was written.
    pub(crate) code: u64,
    pub(crate) function: Function,
    pub(crate) body: Body,
    /// What the body returns: what is cached.
    pub(crate) returns: Type,
    pub(crate) arguments: Arguments,
    pub(crate) key: Key,
    pub(crate) name: Option<LitStr>,
    pub(crate) version: u64,
    pub(crate) local: bool,
    pub(crate) lossy: bool,
    pub(crate) bound: Option<Bound>,
    /// What was used least recently goes first.
    pub(crate) lru: bool,
    pub(crate) scope: Option<Expr>,
    pub(crate) cache: Option<Expr>,
    pub(crate) tags: Vec<Tag>,
    pub(crate) decision: StoreDecision,
    pub(crate) refresh: Refresh,
    /// A whole `Result` is stored, not only its `Ok`.
    pub(crate) cache_err: bool,
    pub(crate) map: Option<Expr>,
    pub(crate) helpers: Helpers,
}

/// Applies every rule; `None` only if the function is none that can be cached.
pub(crate) fn model(options: &Options, mut function: Function, errors: &mut Errors) -> Option<Model> {
    let before = errors.count();
    let code = hash_of(&function);
    let body = function::check(&mut function, options, errors);
    let can_be_cached = errors.count() == before;
    let arguments = arguments::arguments(&mut function.sig, options, errors);
    borrows::check(options, &arguments, errors);
    awaits::nothing_is_awaited(options, &function.sig, errors);
    let key = key::key(options, &arguments, errors);
    key::scope(options, &arguments, errors);
    let returns = returns::returns(&function.sig, options);
    let model = Model {
        krate: options::krate(options),
        code,
        returns,
        key,
        name: options::name(options, errors),
        version: options::version(options, errors),
        local: options.local.is_given(),
        lossy: options::lossy(options, errors),
        bound: bound::bound(options, &function.sig.generics, &arguments, errors),
        lru: bound::is_lru(options, errors),
        scope: options.scope.value().cloned(),
        cache: options::cache(options, errors),
        tags: tags::tags(options, &arguments, errors),
        decision: store_decision::store_decision(options, errors),
        refresh: refresh::refresh(options, errors),
        cache_err: values::flag(&options.cache_err, errors).unwrap_or(false),
        map: options::map(options, errors),
        helpers: helpers::helpers(options, errors),
        body: body?,
        arguments,
        function,
    };
    can_be_cached.then_some(model)
}

/// The same in every build of the same code by the same compiler.
fn hash_of(function: &Function) -> u64 {
    let mut hasher = DefaultHasher::new();
    function.sig.to_token_stream().to_string().hash(&mut hasher);
    function.body.as_ref().map(|body| body.block.to_string()).hash(&mut hasher);
    hasher.finish()
}

//! The name of a call's scope, without an allocation where it can be.

use std::cell::Cell;
use std::fmt::Display;

use crate::context::Context;
use crate::engine::Engine;
use crate::scope::Scope;
use crate::util::text::Text;

/// So many caches may ask each other for their default scopes.
const DEPTH: usize = 8;

thread_local! {
    /// The caches that are being asked for their default scope; 0 is none. Nothing that has to be dropped, so it is there
    /// for as long as the thread.
    static ASKED: Cell<[u64; DEPTH]> = const { Cell::new([0; DEPTH]) };
}

/// A cache is being asked for its default scope. What that calls is in the global one, if it is asked again for it.
struct Asking(u64);

impl Asking {
    /// `None` if it is being asked already.
    fn begin(cache: u64) -> Option<Self> {
        let mut asked = ASKED.get();
        if asked.contains(&cache) {
            return None;
        }
        *asked.iter_mut().find(|place| **place == 0)? = cache;
        ASKED.set(asked);
        Some(Self(cache))
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        let mut asked = ASKED.get();
        asked.iter_mut().filter(|place| **place == self.0).for_each(|place| *place = 0);
        ASKED.set(asked);
    }
}

/// The name of a call's scope, without an allocation where it can be.
pub(crate) enum ScopeName {
    /// The default scope, as nobody has given one.
    Global,
    Named(Scope),
    Written(Text),
    /// What the cache has for calls without one.
    Default(FoundDefault),
}

/// What the hook of [`CacheBuilder::default_scope`](crate::CacheBuilder::default_scope) has said.
#[derive(Clone, Debug)]
pub(crate) struct FoundDefault(Option<String>);

impl FoundDefault {
    fn name(&self) -> &str {
        self.0.as_deref().unwrap_or_default()
    }
}

impl ScopeName {
    /// The `scope` option, else the one around the call, else the cache's default.
    #[inline]
    pub(crate) fn find(option: Option<&dyn Display>, context: Option<&Context>, engine: &Engine) -> Self {
        if let Some(option) = option {
            return Self::Written(Text::of(option));
        }
        if let Some(context) = context
            && let Some(scope) = &context.scope
        {
            return if context.unscoped { Self::Global } else { Self::Named(scope.clone()) };
        }
        match &engine.default_scope {
            Some(default) => match Asking::begin(engine.id) {
                Some(_asking) => Self::Default(FoundDefault(default())),
                None => Self::Global,
            },
            None => Self::Global,
        }
    }

    /// The same, where the cache may have been asked for its default already.
    pub(crate) fn find_again(
        found: Option<&FoundDefault>,
        option: Option<&dyn Display>,
        context: Option<&Context>,
        engine: &Engine,
    ) -> Self {
        match found {
            Some(found) => Self::Default(found.clone()),
            None => Self::find(option, context, engine),
        }
    }

    /// Whether nobody has given a scope.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Self::Global | Self::Default(FoundDefault(None)))
    }

    /// All that a lookup needs.
    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Global => &[],
            Self::Named(scope) => scope.name().as_bytes(),
            Self::Written(name) => name.as_bytes(),
            Self::Default(name) => name.name().as_bytes(),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Global => "",
            Self::Named(scope) => scope.name(),
            Self::Written(name) => name.as_str(),
            Self::Default(name) => name.name(),
        }
    }

    /// The scope of this name.
    pub(crate) fn to_scope(&self) -> Scope {
        match self {
            Self::Global => Scope::global(),
            Self::Named(scope) => scope.clone(),
            Self::Written(name) => Scope::new(name.as_str()),
            Self::Default(name) => Scope::new(name.name()),
        }
    }

    /// What the cache was asked for, so that it isn't asked again.
    pub(crate) fn into_default(self) -> Option<FoundDefault> {
        match self {
            Self::Default(name) => Some(name),
            Self::Global | Self::Named(_) | Self::Written(_) => None,
        }
    }
}

//! The name of a call's scope, without an allocation where it can be.

use std::fmt::Display;

use crate::cache::Engine;
use crate::context::Context;
use crate::scope::Scope;
use crate::text::Text;

/// The name of a call's scope, without an allocation where it can be.
pub(super) enum ScopeName {
    Global,
    Named(Scope),
    Written(Text),
}

impl ScopeName {
    /// The `scope` option, else the one around the call, else the cache's default.
    #[inline]
    pub(super) fn find(option: Option<&dyn Display>, context: Option<&Context>, engine: &Engine) -> Self {
        if let Some(option) = option {
            return Self::Written(Text::of(option));
        }
        if let Some(scope) = context.and_then(|context| context.scope.as_ref()) {
            return Self::Named(scope.clone());
        }
        match &engine.default_scope {
            Some(default) => default().map_or(Self::Global, |name| Self::Written(Text::Long(name))),
            None => Self::Global,
        }
    }

    /// All that a lookup needs.
    #[inline]
    pub(super) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Global => &[],
            Self::Named(scope) => scope.name().as_bytes(),
            Self::Written(name) => name.as_bytes(),
        }
    }

    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Global => "",
            Self::Named(scope) => scope.name(),
            Self::Written(name) => name.as_str(),
        }
    }

    /// The scope of this name.
    pub(super) fn to_scope(&self) -> Scope {
        match self {
            Self::Global => Scope::global(),
            Self::Named(scope) => scope.clone(),
            Self::Written(name) => Scope::new(name.as_str()),
        }
    }
}

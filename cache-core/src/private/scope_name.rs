//! The name of a call's scope, without an allocation where it can be.

use std::fmt::{self, Display, Write as _};

use crate::cache::Engine;
use crate::context::Context;
use crate::scope::Scope;

/// The name of a call's scope, without an allocation where it can be.
pub(super) enum ScopeName {
    Global,
    Named(Scope),
    Short { bytes: [u8; Self::SHORT], len: usize },
    Long(String),
}

impl ScopeName {
    const SHORT: usize = 40;

    /// The `scope` option, else the one around the call, else the cache's default.
    #[inline]
    pub(super) fn find(option: Option<&dyn Display>, context: Option<&Context>, engine: &Engine) -> Self {
        if let Some(option) = option {
            return Self::written(option);
        }
        if let Some(scope) = context.and_then(|context| context.scope.as_ref()) {
            return Self::Named(scope.clone());
        }
        match &engine.default_scope {
            Some(default) => default().map_or(Self::Global, Self::Long),
            None => Self::Global,
        }
    }

    fn written(scope: &dyn Display) -> Self {
        let mut name = Self::Short { bytes: [0; Self::SHORT], len: 0 };
        // A scope whose `Display` fails counts with what it had written.
        let _ = write!(name, "{scope}");
        name
    }

    /// All that a lookup needs.
    #[inline]
    pub(super) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Global => &[],
            Self::Named(scope) => scope.name().as_bytes(),
            Self::Short { bytes, len } => bytes.get(..*len).unwrap_or_default(),
            Self::Long(name) => name.as_bytes(),
        }
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The scope of this name.
    pub(super) fn to_scope(&self) -> Scope {
        match self {
            Self::Global => Scope::global(),
            Self::Named(scope) => scope.clone(),
            Self::Short { .. } | Self::Long(_) => Scope::new(self.as_str()),
        }
    }
}

impl fmt::Write for ScopeName {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        match self {
            Self::Short { bytes, len } => {
                if let Some(room) = bytes.get_mut(*len..*len + text.len()) {
                    room.copy_from_slice(text.as_bytes());
                    *len += text.len();
                } else {
                    *self = Self::Long([self.as_str(), text].concat());
                }
            }
            Self::Long(name) => name.push_str(text),
            Self::Global | Self::Named(_) => return Err(fmt::Error),
        }
        Ok(())
    }
}

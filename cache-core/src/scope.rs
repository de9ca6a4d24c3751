//! Scopes: partitions of a cache.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// A partition of the cache: a tenant, a branch. Calls in different scopes never see each other's entries. The default
/// scope has the empty name and is the global one.
///
/// ```
/// use cache_core::Scope;
///
/// # async fn run() -> Result<(), cache_core::Error> {
/// Scope::new("branch-123").invalidate_tag("users").await?; // in other scopes `users` stays
/// Scope::new("branch-123").clear().await?;
/// # Ok(()) }
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope {
    /// `None` is the default scope, so that it costs nothing.
    name: Option<Arc<str>>,
}

impl Scope {
    /// The scope of this name.
    pub fn new(name: impl AsRef<str>) -> Self {
        let name = name.as_ref();
        Self { name: (!name.is_empty()).then(|| name.into()) }
    }

    /// The default scope.
    pub const fn global() -> Self {
        Self { name: None }
    }

    /// Its name; empty for the default scope.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or("")
    }

    /// Whether it is the default scope.
    pub fn is_global(&self) -> bool {
        self.name.is_none()
    }
}

impl Default for Scope {
    fn default() -> Self {
        Self::global()
    }
}

impl Deref for Scope {
    type Target = str;
    fn deref(&self) -> &str {
        self.name()
    }
}

impl AsRef<str> for Scope {
    fn as_ref(&self) -> &str {
        self.name()
    }
}

impl Borrow<str> for Scope {
    fn borrow(&self) -> &str {
        self.name()
    }
}

impl PartialEq<str> for Scope {
    fn eq(&self, other: &str) -> bool {
        self.name() == other
    }
}

impl PartialEq<&str> for Scope {
    fn eq(&self, other: &&str) -> bool {
        self.name() == *other
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scope({:?})", self.name())
    }
}

macro_rules! scope_from {
    ($($type:ty),*) => {$(
        impl From<$type> for Scope {
            fn from(name: $type) -> Self {
                Self::new(name)
            }
        }
    )*};
}
scope_from!(&str, &String, String, Cow<'_, str>, Arc<str>);

impl From<&Scope> for Scope {
    fn from(scope: &Scope) -> Self {
        scope.clone()
    }
}

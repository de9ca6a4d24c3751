//! Free functions: they act on the ambient cache.

use crate::cache::Cache;
use crate::cache::invalidated::Invalidated;
use crate::error::Error;
use crate::events::Events;
use crate::stats::Stats;
use crate::tag::IntoTag;

/// Invalidates everything that carries this tag, in all scopes of the ambient cache; see [`Cache::invalidate_tag`].
///
/// # Errors and cancel safety
/// As [`Cache::invalidate_tag`]: one that failed isn't recorded in the backends.
pub async fn invalidate_tag(tag: impl IntoTag) -> Result<Invalidated, Error> {
    Cache::ambient().invalidate_tag(tag).await
}

/// Invalidates several tags at once; see [`Cache::invalidate_tag`].
///
/// # Errors and cancel safety
/// As [`Cache::invalidate_tag`].
pub async fn invalidate_tags<T: IntoTag>(tags: impl IntoIterator<Item = T>) -> Result<Invalidated, Error> {
    Cache::ambient().invalidate_tags(tags).await
}

/// What the ambient cache did, per function.
pub fn stats() -> Stats {
    Cache::ambient().stats()
}

/// Tells what happens in the ambient cache from here on; see [`Cache::events`].
pub fn events() -> Events {
    Cache::ambient().events()
}

/// Invalidation and writes from code that isn't async. These wait on the calling thread, and only for backends: with a memory
/// layer alone they don't wait at all.
pub mod blocking {
    use super::{Error, IntoTag, Invalidated};
    use crate::cache::pending::Pending;
    pub use crate::cache::writes::blocking::{hold, hold_in, writing, writing_in, writing_strict};
    use crate::scope::Scope;

    /// See [`invalidate_tag`](crate::invalidate_tag).
    ///
    /// # Errors
    /// As [`Cache::invalidate_tag`](crate::Cache::invalidate_tag).
    pub fn invalidate_tag(tag: impl IntoTag) -> Result<Invalidated, Error> {
        pollster::block_on(super::invalidate_tag(tag))
    }

    /// See [`invalidate_tags`](crate::invalidate_tags).
    ///
    /// # Errors
    /// As [`Cache::invalidate_tag`](crate::Cache::invalidate_tag).
    pub fn invalidate_tags<T: IntoTag>(tags: impl IntoIterator<Item = T>) -> Result<Invalidated, Error> {
        pollster::block_on(super::invalidate_tags(tags))
    }

    /// See [`reset`](crate::reset).
    ///
    /// # Errors
    /// As [`Cache::invalidate_tag`](crate::Cache::invalidate_tag).
    pub fn reset() -> Result<Invalidated, Error> {
        pollster::block_on(crate::cache::reset())
    }

    /// See [`Pending::commit`].
    ///
    /// # Errors
    /// As [`Cache::invalidate_tag`](crate::Cache::invalidate_tag). What wasn't recorded stays collected.
    pub fn commit(pending: &mut Pending) -> Result<Invalidated, Error> {
        pollster::block_on(pending.commit())
    }

    /// See [`Scope::invalidate_tag`].
    ///
    /// # Errors
    /// As [`Cache::invalidate_tag`](crate::Cache::invalidate_tag).
    pub fn invalidate_tag_in(scope: impl Into<Scope>, tag: impl IntoTag) -> Result<Invalidated, Error> {
        pollster::block_on(scope.into().invalidate_tag(tag))
    }

    /// See [`Scope::clear`].
    ///
    /// # Errors
    /// As [`Cache::invalidate_tag`](crate::Cache::invalidate_tag).
    pub fn clear(scope: impl Into<Scope>) -> Result<Invalidated, Error> {
        pollster::block_on(scope.into().clear())
    }
}

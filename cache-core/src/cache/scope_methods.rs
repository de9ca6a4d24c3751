//! What can be done with a scope of the ambient cache.

use crate::cache::Cache;
use crate::cache::invalidated::Invalidated;
use crate::error::Error;
use crate::scope::Scope;
use crate::stats::kinds::InvalidationBy;
use crate::tag::{self, IntoTag, Tag};

impl Scope {
    /// Invalidates a tag in this scope only, in the ambient cache. In the default scope, which is the global one, that
    /// is the same as [`invalidate_tag`](crate::invalidate_tag).
    ///
    /// # Errors and cancel safety
    /// As [`Cache::invalidate_tag`].
    pub async fn invalidate_tag(&self, tag: impl IntoTag) -> Result<Invalidated, Error> {
        let id = Tag::id_of_in(tag, self.name());
        Cache::ambient().invalidate_ids(InvalidationBy::Tag, vec![id]).await
    }

    /// Invalidates several tags in this scope only, at once.
    ///
    /// # Errors and cancel safety
    /// As [`Cache::invalidate_tag`].
    pub async fn invalidate_tags<T: IntoTag>(&self, tags: impl IntoIterator<Item = T>) -> Result<Invalidated, Error> {
        let ids = tags.into_iter().map(|tag| Tag::id_of_in(tag, self.name())).collect();
        Cache::ambient().invalidate_ids(InvalidationBy::Tag, ids).await
    }

    /// Invalidates everything in this scope, in the ambient cache.
    ///
    /// # Errors and cancel safety
    /// As [`Cache::invalidate_tag`].
    pub async fn clear(&self) -> Result<Invalidated, Error> {
        Cache::ambient().invalidate_ids(InvalidationBy::Scope, vec![tag::scope_tag(self.name())]).await
    }
}

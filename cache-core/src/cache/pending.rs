//! [`Pending`]: invalidations that wait for a transaction.

use std::fmt;
use std::future::Future;

use super::Cache;
use super::invalidated::Invalidated;
use crate::context::collector::Collecting;
use crate::error::Error;
use crate::stats::kinds::InvalidationBy;
use crate::tag::{IntoTag, Tag, TagId};

/// Invalidations that are collected during a transaction, and made after its commit.
///
/// Before the commit, other connections still read the old rows, so an invalidation then comes too early. If the transaction
/// fails, there is nothing to invalidate: a `Pending` that is dropped forgets what it has collected.
///
/// ```
/// use cache_core::{Invalidated, Pending};
///
/// # async fn write_rows() -> Result<(), cache_core::Error> { Ok(()) }
/// # async fn commit_transaction() -> Result<(), cache_core::Error> { Ok(()) }
/// # async fn invalidate_get_user(id: u64) -> Result<Invalidated, cache_core::Error> { Ok(Invalidated::default()) }
/// # async fn run() -> Result<(), cache_core::Error> {
/// let mut pending = Pending::new();
/// write_rows().await?;
/// pending.invalidate_tag(("order", 7));
/// pending.add(invalidate_get_user(1)).await?; // collected, and not made yet
/// commit_transaction().await?;
/// pending.commit().await?;
/// # Ok(()) }
/// ```
#[derive(Default)]
#[must_use = "nothing is invalidated until `commit`; what is dropped is forgotten"]
pub struct Pending {
    /// Each cache once.
    due: Vec<(Cache, Vec<TagId>)>,
}

impl Pending {
    /// Nothing is collected yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Collects a tag, to be invalidated in the cache that is ambient now; see [`Cache::invalidate_tag`].
    pub fn invalidate_tag(&mut self, tag: impl IntoTag) {
        self.collect(Cache::ambient(), vec![Tag::id_of(tag)]);
    }

    /// Collects several tags; see [`invalidate_tag`](Self::invalidate_tag).
    pub fn invalidate_tags<T: IntoTag>(&mut self, tags: impl IntoIterator<Item = T>) {
        self.collect(Cache::ambient(), tags.into_iter().map(Tag::id_of).collect());
    }

    /// Collects every invalidation that the future makes, and makes none of them: of the helpers `invalidate_f` and
    /// `invalidate_all_f`, of [`Scope`](crate::Scope)s and caches. A task that it leaves behind invalidates for itself.
    ///
    /// # Errors
    /// What the future returns, as if the arguments of `invalidate_f` can't be a key. Nothing of it is collected then.
    ///
    /// # Cancel safety
    /// Nothing is collected of a future that was dropped.
    pub async fn add<T, E>(&mut self, invalidation: impl Future<Output = Result<T, E>>) -> Result<(), E> {
        let collecting = Collecting::begin();
        collecting.within(invalidation).await?;
        self.take(collecting);
        Ok(())
    }

    /// Collects every invalidation that the closure makes; see [`add`](Self::add).
    ///
    /// # Errors
    /// What the closure returns. Nothing of it is collected then.
    pub fn add_sync<T, E>(&mut self, invalidation: impl FnOnce() -> Result<T, E>) -> Result<(), E> {
        let collecting = Collecting::begin();
        collecting.within_sync(invalidation)?;
        self.take(collecting);
        Ok(())
    }

    fn take(&mut self, collecting: Collecting) {
        for (cache, ids) in collecting.take() {
            if let Some(cache) = Cache::of_handle(cache) {
                self.collect(cache, ids);
            }
        }
    }

    fn collect(&mut self, cache: Cache, ids: Vec<TagId>) {
        match self.due.iter_mut().find(|(known, _)| known.engine().id == cache.engine().id) {
            Some((_, known)) => known.extend(ids.into_iter().filter(|id| !known.contains(id)).collect::<Vec<_>>()),
            None => self.due.push((cache, ids)),
        }
    }

    /// Whether nothing is collected.
    pub fn is_empty(&self) -> bool {
        self.due.iter().all(|(_, ids)| ids.is_empty())
    }

    /// Makes all invalidations that were collected. Call it after the transaction's commit.
    ///
    /// # Errors
    /// As [`Cache::invalidate_tag`]: a backend could not record them. What wasn't recorded stays collected, so `commit` can be
    /// called again.
    ///
    /// # Cancel safety
    /// What isn't known to be recorded stays collected.
    pub async fn commit(&mut self) -> Result<Invalidated, Error> {
        let (mut tokens, mut result) = (Invalidated::default(), Ok(()));
        let mut place = 0;
        while let Some((cache, ids)) = self.due.get(place) {
            match cache.invalidate_ids(InvalidationBy::Tag, ids.clone()).await {
                Ok(token) => {
                    tokens = tokens.and(token);
                    self.due.remove(place);
                }
                Err(error) => {
                    result = Err(error);
                    place += 1;
                }
            }
        }
        result.map(|()| tokens)
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tags: usize = self.due.iter().map(|(_, ids)| ids.len()).sum();
        f.debug_struct("Pending").field("tags", &tags).finish_non_exhaustive()
    }
}

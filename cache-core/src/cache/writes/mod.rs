//! Writes: invalidations that can't be forgotten. A hold is placed before the write begins and ended after it; if the writer
//! goes away in between, the tags are invalidated all the same.
//!
//! | file | what it is about |
//! |---|---|
//! | `held` | a hold in all layers of a cache, and what becomes of one that isn't ended |
//! | `hold` | the guard that users hold |
//! | `writing` | a write with a hold around it |

mod held;
mod hold;
mod writing;

use std::future::Future;

pub use self::hold::Hold;
pub use self::writing::{StrictWriting, Writing};
use crate::backend::TagId;
use crate::cache::Cache;
use crate::error::Error;
use crate::scope::Scope;
use crate::tag::{IntoTag, Tag};

fn ids<T: IntoTag>(tags: impl IntoIterator<Item = T>) -> Vec<TagId> {
    tags.into_iter().map(|tag| Tag::new(tag).id()).collect()
}

fn ids_in<T: IntoTag>(scope: &Scope, tags: impl IntoIterator<Item = T>) -> Vec<TagId> {
    tags.into_iter().map(|tag| Tag::new(tag).id_in(scope.name())).collect()
}

/// Runs a write, and invalidates the tags when it is done: once this has returned `Ok`, no later call returns a value that was
/// computed before the write. The write's own result always comes back.
///
/// Unlike a write followed by [`invalidate_tags`](crate::invalidate_tags), the invalidation can't be forgotten. A *hold* on the
/// tags is placed before the write begins, and renewed while it goes on. If the write returns an `Err`, panics, or its future is
/// dropped, nobody knows whether the data was changed, or will be: the commit may be on its way. Then the tags are invalidated at
/// once and again when the hold ends by itself, 30 s after its last renewal at most. With Redis that happens also if this
/// process is killed.
///
/// While the hold lives nothing changes for readers: they get the old value.
///
/// ```
/// # struct Repo;
/// # impl Repo { async fn rename(&self, id: u64, name: &str) -> Result<String, std::io::Error> { Ok(format!("{id}{name}")) } }
/// # async fn rename(repo: Repo, id: u64, name: &str) -> Result<(), std::io::Error> {
/// let user = cache_core::writing([("user", id)], repo.rename(id, name)).await?;
/// # let _ = user; Ok(()) }
/// ```
///
/// The tags are those of [`invalidate_tags`](crate::invalidate_tags), of the ambient cache. For one entry, the helper `tag_f` of
/// a cached function makes a tag.
///
/// If the hold can't be placed, because Redis is away, the write begins all the same, after at most the backend's timeout. The
/// invalidation at its end is then remembered and recorded later, by this process. [`strict`](Writing::strict) gives an error
/// instead.
///
/// # Cancel safety
/// Dropping it drops the write, and counts as a write whose result isn't known.
pub fn writing<W, R, E, T>(tags: impl IntoIterator<Item = T>, write: W) -> Writing<W>
where
    W: Future<Output = Result<R, E>>,
    T: IntoTag,
{
    Writing::new(None, ids(tags), write)
}

/// Places a hold on the tags: the promise that they are invalidated, whatever becomes of this process. For writes that aren't
/// one future; otherwise use [`writing`].
///
/// ```
/// # struct Transaction;
/// # impl Transaction { async fn commit(self) -> Result<(), cache_core::Error> { Ok(()) } }
/// # async fn commit(transaction: Transaction, id: u64) -> Result<(), cache_core::Error> {
/// let hold = cache_core::hold([("user", id)]).await?;
/// transaction.commit().await?; // on an error `hold` is dropped, and ends by itself
/// hold.end().await?;
/// # Ok(()) }
/// ```
///
/// Dropping the [`Hold`] doesn't end it: the tags are invalidated at once, and again when it ends by itself, 30 s later at most.
///
/// # Errors
/// The hold can't be placed: a backend can't be reached or refuses, or no thread can be started for its timer.
///
/// # Cancel safety
/// If this future is dropped, a hold that was placed ends by itself.
pub async fn hold<T: IntoTag>(tags: impl IntoIterator<Item = T>) -> Result<Hold, Error> {
    Hold::place(Cache::ambient(), ids(tags)).await
}

impl Cache {
    /// Runs a write, and invalidates the tags in this cache when it is done; see [`writing`](crate::writing).
    pub fn writing<W, R, E, T>(&self, tags: impl IntoIterator<Item = T>, write: W) -> Writing<W>
    where
        W: Future<Output = Result<R, E>>,
        T: IntoTag,
    {
        Writing::new(Some(self.clone()), ids(tags), write)
    }

    /// Places a hold on the tags in this cache; see [`hold`](crate::hold).
    ///
    /// # Errors and cancel safety
    /// As [`hold`](crate::hold).
    pub async fn hold<T: IntoTag>(&self, tags: impl IntoIterator<Item = T>) -> Result<Hold, Error> {
        Hold::place(self.clone(), ids(tags)).await
    }
}

impl Scope {
    /// Runs a write, and invalidates the tags in this scope only when it is done; see [`writing`](crate::writing).
    pub fn writing<W, R, E, T>(&self, tags: impl IntoIterator<Item = T>, write: W) -> Writing<W>
    where
        W: Future<Output = Result<R, E>>,
        T: IntoTag,
    {
        Writing::new(None, ids_in(self, tags), write)
    }

    /// Places a hold on the tags in this scope only; see [`hold`](crate::hold).
    ///
    /// # Errors and cancel safety
    /// As [`hold`](crate::hold).
    pub async fn hold<T: IntoTag>(&self, tags: impl IntoIterator<Item = T>) -> Result<Hold, Error> {
        Hold::place(Cache::ambient(), ids_in(self, tags)).await
    }
}

/// Writes in code that isn't async. These wait on the calling thread, and only for backends.
pub(crate) mod blocking {
    use super::{Error, Hold, IntoTag, Scope};
    use crate::rt::block_on::block_on;

    /// Runs a write on this thread, and invalidates the tags when it is done; see [`writing`](crate::writing).
    ///
    /// ```
    /// # fn rename(id: u64, name: &str) -> Result<String, std::io::Error> { Ok(format!("{id}{name}")) }
    /// # fn example() -> Result<(), std::io::Error> {
    /// let user = cache_core::blocking::writing([("user", 7)], || rename(7, "ann"))?;
    /// # let _ = user; Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of the write.
    pub fn writing<R, E, T: IntoTag>(
        tags: impl IntoIterator<Item = T>,
        write: impl FnOnce() -> Result<R, E>,
    ) -> Result<R, E> {
        block_on(super::writing(tags, async move { write() }))
    }

    /// The same, with an error before the write begins if the hold can't be placed; see
    /// [`Writing::strict`](crate::Writing::strict).
    ///
    /// # Errors
    /// Those of the write, and that of the hold.
    pub fn writing_strict<R, E: From<Error>, T: IntoTag>(
        tags: impl IntoIterator<Item = T>,
        write: impl FnOnce() -> Result<R, E>,
    ) -> Result<R, E> {
        block_on(super::writing(tags, async move { write() }).strict())
    }

    /// Places a hold on the tags; see [`hold`](crate::hold). End it with [`Hold::end_blocking`].
    ///
    /// # Errors
    /// As [`hold`](crate::hold).
    pub fn hold<T: IntoTag>(tags: impl IntoIterator<Item = T>) -> Result<Hold, Error> {
        block_on(super::hold(tags))
    }

    /// See [`Scope::writing`].
    ///
    /// # Errors
    /// Those of the write.
    pub fn writing_in<R, E, T: IntoTag>(
        scope: impl Into<Scope>,
        tags: impl IntoIterator<Item = T>,
        write: impl FnOnce() -> Result<R, E>,
    ) -> Result<R, E> {
        block_on(scope.into().writing(tags, async move { write() }))
    }

    /// See [`Scope::hold`].
    ///
    /// # Errors
    /// As [`hold`](crate::hold).
    pub fn hold_in<T: IntoTag>(scope: impl Into<Scope>, tags: impl IntoIterator<Item = T>) -> Result<Hold, Error> {
        block_on(scope.into().hold(tags))
    }
}

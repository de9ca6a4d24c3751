//! What the generated `invalidate_f`, `invalidate_all_f` and `tag_f` call. They need not meet the function's own static: a key
//! and a function are invalidated by tags that follow from their names.

use std::fmt::{self, Display};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context as Task, Poll};

use crate::backend::{BoxFuture, TagId};
use crate::cache::Cache;
use crate::cache::invalidated::Invalidated;
use crate::context;
use crate::context::collector::in_all_scopes;
use crate::engine::call_scope::ScopeName;
use crate::error::{Error, ErrorKind};
use crate::key::backend_key::{identity, key_tag};
use crate::key::function_names::{Names, Place};
use crate::key::{Args, KeyBuf};
use crate::stats::kinds::InvalidationBy;
use crate::tag::{self, Tag};
use crate::util::polled::polled_after_completion;

/// Which function a generated helper speaks for.
#[derive(Clone, Copy, Debug)]
pub struct Named {
    /// The function's identifier.
    pub function: &'static str,
    /// The helper's identifier.
    pub helper: &'static str,
    /// Where they stand.
    pub place: Place,
    /// The `name` option.
    pub name: Option<&'static str>,
    /// The `version` option.
    pub version: u64,
}

impl Named {
    fn names(&self, path: &str) -> Names {
        Names::new(path, self.helper, self.function, self.name, self.place)
    }

    /// The tag of a key, and the cache it is to be invalidated in: those around the caller unless they are given.
    fn key(
        &self,
        path: &str,
        scope: Option<&dyn Display>,
        cache: Option<&Cache>,
        args: Result<Args, Error>,
    ) -> Result<(Cache, Vec<TagId>), Error> {
        let cache = ambient_or(cache);
        if in_all_scopes() {
            return args.map(|_| (cache, in_every_scope(&self.names(path)))).map_err(|error| self.no_key(path, error));
        }
        let id = self.key_in_scope(path, scope, &cache, args)?;
        Ok((cache, vec![id]))
    }

    /// The tag of a key in one scope.
    fn key_in_scope(
        &self,
        path: &str,
        scope: Option<&dyn Display>,
        cache: &Cache,
        args: Result<Args, Error>,
    ) -> Result<TagId, Error> {
        let names = self.names(path);
        let args = args.map_err(|error| self.no_key(path, error))?;
        let scope = ScopeName::find(scope, context::current().as_deref(), cache.engine());
        Ok(key_tag(&identity(&names.identity, self.version, scope.as_str(), args.bytes()), args.typed_hash()))
    }

    fn no_key(&self, path: &str, error: Error) -> Error {
        let function = self.names(path).function;
        let message = format!("the arguments of `{function}` can't be a key, so nothing is cached for them");
        Error::new(ErrorKind::Key, message).with_source(error)
    }

    /// The same of the function.
    fn function(&self, path: &str, scoped: bool, cache: Option<&Cache>) -> (Cache, Vec<TagId>) {
        let names = self.names(path);
        let cache = ambient_or(cache);
        if in_all_scopes() {
            return (cache, in_every_scope(&names));
        }
        let id = if scoped {
            // The function's scope follows from arguments, and here are none.
            tag::function_tag(&names.function)
        } else {
            let scope = ScopeName::find(None, context::current().as_deref(), cache.engine());
            tag::function_in_scope_tag(&names.function, scope.as_str())
        };
        (cache, vec![id])
    }
}

/// All entries of a function: those in the default scope carry the second tag only.
fn in_every_scope(names: &Names) -> Vec<TagId> {
    vec![tag::function_tag(&names.function), tag::function_in_scope_tag(&names.function, "")]
}

fn ambient_or(cache: Option<&Cache>) -> Cache {
    cache.cloned().unwrap_or_else(Cache::ambient)
}

fn taken(mut args: KeyBuf<'_>) -> Result<Args, Error> {
    match args.error() {
        Some(error) => Err(error),
        None => Ok(args.to_args()),
    }
}

/// The future of an invalidation. It holds nothing of the arguments, and what is around the caller is what is around the
/// one who awaits it.
#[must_use = "nothing is invalidated until it is awaited"]
pub struct Invalidation(State);

enum State {
    Key(&'static Named, &'static str, Result<Args, Error>),
    Function(&'static Named, &'static str),
    Begun(BoxFuture<'static, Result<Invalidated, Error>>),
    Over,
}

impl fmt::Debug for Invalidation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invalidation").finish_non_exhaustive()
    }
}

impl Invalidation {
    fn begun(by: InvalidationBy, (cache, ids): (Cache, Vec<TagId>)) -> Self {
        Self(State::Begun(Box::pin(async move { cache.invalidate_ids(by, ids).await })))
    }

    fn failed(error: Error) -> Self {
        Self(State::Begun(Box::pin(std::future::ready(Err(error)))))
    }
}

impl Future for Invalidation {
    type Output = Result<Invalidated, Error>;

    fn poll(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Self::Output> {
        let mut begun = match std::mem::replace(&mut self.0, State::Over) {
            State::Key(named, path, args) => match named.key(path, None, None, args) {
                Ok(key) => Self::begun(InvalidationBy::Key, key),
                Err(error) => return Poll::Ready(Err(error)),
            },
            State::Function(named, path) => Self::begun(InvalidationBy::Function, named.function(path, false, None)),
            state => Self(state),
        };
        let State::Begun(future) = &mut begun.0 else { polled_after_completion("an invalidation") };
        let polled = future.as_mut().poll(task);
        if polled.is_pending() {
            *self = begun;
        }
        polled
    }
}

/// Where a closure stands, with the type parameters in force there.
pub fn path_of<T>(_: &T) -> &'static str {
    std::any::type_name::<T>()
}

/// Invalidates one key, of a function whose scope and cache are those around the caller.
pub fn invalidate_key(named: &'static Named, path: &'static str, key: KeyBuf<'_>) -> Invalidation {
    Invalidation(State::Key(named, path, taken(key)))
}

/// Invalidates one key in this scope and this cache.
pub fn invalidate_key_in(
    named: &'static Named,
    path: &'static str,
    scope: Option<&dyn Display>,
    cache: Option<&Cache>,
    key: KeyBuf<'_>,
) -> Invalidation {
    let begun = |key| Invalidation::begun(InvalidationBy::Key, key);
    named.key(path, scope, cache, taken(key)).map_or_else(Invalidation::failed, begun)
}

/// The tag of one key, for `tag_f`.
///
/// # Errors
/// If the arguments can't be a key.
pub fn tag_of_key(
    named: &'static Named,
    path: &'static str,
    scope: Option<&dyn Display>,
    cache: Option<&Cache>,
    key: KeyBuf<'_>,
) -> Result<Tag, Error> {
    named.key_in_scope(path, scope, &ambient_or(cache), taken(key)).map(Tag::of_entry)
}

/// Invalidates a function in the scope and the cache around the caller.
pub fn invalidate_function(named: &'static Named, path: &'static str) -> Invalidation {
    Invalidation(State::Function(named, path))
}

/// Invalidates a function in this cache: in the current scope, or in all if its scope follows from its arguments.
pub fn invalidate_function_in(
    named: &'static Named,
    path: &'static str,
    scoped: bool,
    cache: Option<&Cache>,
) -> Invalidation {
    Invalidation::begun(InvalidationBy::Function, named.function(path, scoped, cache))
}

/// [`invalidate_key`] on the calling thread.
///
/// # Errors
/// If the arguments can't be a key, or a backend could not be told.
pub fn invalidate_key_sync(named: &'static Named, path: &'static str, key: KeyBuf<'_>) -> Result<Invalidated, Error> {
    pollster::block_on(invalidate_key(named, path, key))
}

/// [`invalidate_key_in`] on the calling thread.
///
/// # Errors
/// The same.
pub fn invalidate_key_in_sync(
    named: &'static Named,
    path: &'static str,
    scope: Option<&dyn Display>,
    cache: Option<&Cache>,
    key: KeyBuf<'_>,
) -> Result<Invalidated, Error> {
    pollster::block_on(invalidate_key_in(named, path, scope, cache, key))
}

/// [`invalidate_function`] on the calling thread.
///
/// # Errors
/// If a backend could not be told.
pub fn invalidate_function_sync(named: &'static Named, path: &'static str) -> Result<Invalidated, Error> {
    pollster::block_on(invalidate_function(named, path))
}

/// [`invalidate_function_in`] on the calling thread.
///
/// # Errors
/// The same.
pub fn invalidate_function_in_sync(
    named: &'static Named,
    path: &'static str,
    scoped: bool,
    cache: Option<&Cache>,
) -> Result<Invalidated, Error> {
    pollster::block_on(invalidate_function_in(named, path, scoped, cache))
}

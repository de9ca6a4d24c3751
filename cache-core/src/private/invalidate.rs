//! What the generated `invalidate_f` and `invalidate_all_f` call. They need not meet the function's own static: a key
//! and a function are invalidated by tags that follow from their names.

use std::fmt::Display;

use super::scope_name::ScopeName;
use crate::backend::{BoxFuture, TagId};
use crate::cache::Cache;
use crate::context;
use crate::error::{Error, ErrorKind};
use crate::function::{Here, Names};
use crate::key::KeyBuf;
use crate::read_path::{identity, key_tag};
use crate::tag;

/// Which function a generated helper speaks for.
#[derive(Clone, Copy, Debug)]
pub struct Named {
    /// The function's identifier.
    pub function: &'static str,
    /// The helper's identifier.
    pub helper: &'static str,
    /// The `name` option.
    pub name: Option<&'static str>,
    /// The `version` option.
    pub version: u64,
}

impl Named {
    fn names(&self, here: Here) -> Names {
        Names::new(here.path(), self.helper, self.function, self.name)
    }
}

fn ambient_or(cache: Option<&Cache>) -> Cache {
    cache.cloned().unwrap_or_else(Cache::ambient)
}

fn key_id(
    named: Named,
    here: Here,
    scope: Option<&dyn Display>,
    cache: &Cache,
    mut args: KeyBuf<'_>,
) -> Result<TagId, Error> {
    let names = named.names(here);
    if let Some(error) = args.error() {
        let message = format!("the arguments of `{}` can't be a key, so nothing is cached for them", names.function);
        return Err(Error::new(ErrorKind::Key, message).with_source(error));
    }
    let scope = ScopeName::find(scope, context::current().as_deref(), cache.engine());
    let args = args.to_args();
    Ok(key_tag(&identity(&names.identity, named.version, scope.as_str(), args.bytes()), &args))
}

fn function_id(named: Named, here: Here, scoped: bool, cache: &Cache) -> TagId {
    let names = named.names(here);
    if scoped {
        // The function's scope follows from arguments, and here are none.
        return tag::function_tag(&names.function);
    }
    let scope = ScopeName::find(None, context::current().as_deref(), cache.engine());
    tag::function_in_scope_tag(&names.function, scope.as_str())
}

/// Invalidates one key.
pub fn invalidate_key<'k>(
    named: Named,
    here: Here,
    scope: Option<&dyn Display>,
    cache: Option<&Cache>,
    key: impl FnOnce(&mut KeyBuf<'k>),
) -> BoxFuture<'static, Result<(), Error>> {
    let mut args = KeyBuf::new();
    key(&mut args);
    invalidate_args(named, here, scope, cache, args)
}

/// The part that is compiled once for all functions.
fn invalidate_args(
    named: Named,
    here: Here,
    scope: Option<&dyn Display>,
    cache: Option<&Cache>,
    args: KeyBuf<'_>,
) -> BoxFuture<'static, Result<(), Error>> {
    let cache = ambient_or(cache);
    let id = key_id(named, here, scope, &cache, args);
    // Boxed, so that it holds nothing of the arguments.
    Box::pin(async move { cache.invalidate_ids(vec![id?]).await })
}

/// Invalidates a function: in the current scope, or in all if its scope follows from its arguments.
pub async fn invalidate_function(named: Named, here: Here, scoped: bool, cache: Option<&Cache>) -> Result<(), Error> {
    let cache = ambient_or(cache);
    let id = function_id(named, here, scoped, &cache);
    cache.invalidate_ids(vec![id]).await
}

/// [`invalidate_key`] on the calling thread.
pub fn invalidate_key_sync<'k>(
    named: Named,
    here: Here,
    scope: Option<&dyn Display>,
    cache: Option<&Cache>,
    key: impl FnOnce(&mut KeyBuf<'k>),
) -> Result<(), Error> {
    pollster::block_on(invalidate_key(named, here, scope, cache, key))
}

/// [`invalidate_function`] on the calling thread.
pub fn invalidate_function_sync(named: Named, here: Here, scoped: bool, cache: Option<&Cache>) -> Result<(), Error> {
    pollster::block_on(invalidate_function(named, here, scoped, cache))
}

//! Invalidations that are made within `Pending::add`, and in which scopes: what users put around them.

use std::future::Future;
use std::sync::{Arc, Mutex};

use super::{CacheHandle, Context, current, derive, within, within_sync};
use crate::tag::TagId;
use crate::util::sync::lock;

/// Where invalidations go instead of being made: what is to be invalidated, and in which cache.
#[derive(Debug, Default)]
pub(crate) struct Collector(Mutex<Vec<(CacheHandle, Vec<TagId>)>>);

impl Collector {
    pub(crate) fn add(&self, cache: CacheHandle, ids: Vec<TagId>) {
        lock(&self.0).push((cache, ids));
    }

    pub(crate) fn take(&self) -> Vec<(CacheHandle, Vec<TagId>)> {
        std::mem::take(&mut *lock(&self.0))
    }
}

/// The collector that invalidations made here go to.
pub(crate) fn collector() -> Option<Arc<Collector>> {
    current()?.collector.clone()
}

/// Runs the future so that invalidations that it makes are collected.
pub(crate) async fn collecting<F: Future>(collector: Arc<Collector>, future: F) -> F::Output {
    let context = Context { collector: Some(collector), ..derive() };
    within(Some(Arc::new(context)), future).await
}

/// The same for a closure.
pub(crate) fn collecting_sync<R>(collector: Arc<Collector>, closure: impl FnOnce() -> R) -> R {
    let context = Context { collector: Some(collector), ..derive() };
    within_sync(Some(Arc::new(context)), closure)
}

/// Whether the helpers of functions invalidate in every scope here.
pub(crate) fn in_all_scopes() -> bool {
    current().is_some_and(|context| context.all_scopes)
}

/// Runs the future so that the invalidation helpers that it awaits drop the function's results in every scope.
///
/// `invalidate_all_f` alone drops those of the current scope. Within this, `invalidate_f` drops all results of the function as
/// well, as one key in all scopes has no name of its own. Tags are invalidated in all scopes anyway, and
/// [`Scope::invalidate_tag`](crate::Scope::invalidate_tag) and [`Scope::clear`](crate::Scope::clear) act on their own scope.
///
/// ```
/// # async fn run() -> Result<(), cache_core::Error> {
/// # async fn invalidate_all_get_user() -> Result<cache_core::Invalidated, cache_core::Error> { unimplemented!() }
/// cache_core::all_scopes(invalidate_all_get_user()).await?;
/// # Ok(()) }
/// ```
///
/// # Cancel safety
/// As the future itself.
pub async fn all_scopes<F: Future>(future: F) -> F::Output {
    let context = Context { all_scopes: true, ..derive() };
    within(Some(Arc::new(context)), future).await
}

/// Runs the closure so that the invalidation helpers that it calls drop the function's results in every scope; see
/// [`all_scopes`].
pub fn all_scopes_sync<R>(closure: impl FnOnce() -> R) -> R {
    let context = Context { all_scopes: true, ..derive() };
    within_sync(Some(Arc::new(context)), closure)
}

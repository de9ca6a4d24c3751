//! Invalidations that are made within `Pending::add`, and in which scopes: what users put around them.

use std::future::Future;
use std::sync::{Arc, Mutex};

use super::{CacheHandle, Context, current, derive, within, within_sync};
use crate::tag::TagId;
use crate::util::sync::lock;

/// Where invalidations go instead of being made: what is to be invalidated, and in which cache.
#[derive(Debug)]
pub(crate) struct Collector {
    /// `None` once nobody collects any more.
    due: Mutex<Option<Due>>,
}

/// What is to be invalidated, by cache.
type Due = Vec<(CacheHandle, Vec<TagId>)>;

impl Collector {
    /// `false` if nobody collects any more: a task that was left behind invalidates, and its invalidation has to be made.
    pub(crate) fn add(&self, cache: CacheHandle, ids: &[TagId]) -> bool {
        match &mut *lock(&self.due) {
            Some(due) => {
                due.push((cache, ids.to_vec()));
                true
            }
            None => false,
        }
    }
}

/// Collects for as long as it lives.
pub(crate) struct Collecting(Arc<Collector>);

impl Collecting {
    pub(crate) fn begin() -> Self {
        Self(Arc::new(Collector { due: Mutex::new(Some(Vec::new())) }))
    }

    /// Ends it.
    pub(crate) fn take(self) -> Vec<(CacheHandle, Vec<TagId>)> {
        lock(&self.0.due).take().unwrap_or_default()
    }

    /// Runs the future so that invalidations that it makes are collected.
    pub(crate) async fn within<F: Future>(&self, future: F) -> F::Output {
        within(Some(self.context()), future).await
    }

    /// The same for a closure.
    pub(crate) fn within_sync<R>(&self, closure: impl FnOnce() -> R) -> R {
        within_sync(Some(self.context()), closure)
    }

    fn context(&self) -> Arc<Context> {
        Arc::new(Context { collector: Some(Arc::clone(&self.0)), ..derive() })
    }
}

impl Drop for Collecting {
    fn drop(&mut self) {
        let forgotten = lock(&self.0.due).take();
        drop(forgotten); // after the lock: it may have the last handle of a cache
    }
}

/// The collector that invalidations made here go to.
pub(crate) fn collector() -> Option<Arc<Collector>> {
    current()?.collector.clone()
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

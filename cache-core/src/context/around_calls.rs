//! Functions that users put around calls: to set a scope, to switch caching off, and to carry the context to other tasks.

use std::future::Future;
use std::sync::Arc;

use super::{Context, Mode, current, derive, within, within_sync};
use crate::scope::Scope;

/// Runs the future so that cached functions it calls act in this scope.
///
/// ```
/// # async fn run() {
/// # async fn get_user(id: u64) -> u64 { id }
/// let user = cache_core::with_scope("tenant-7", get_user(1)).await;
/// # }
/// ```
pub async fn with_scope<F: Future>(scope: impl Into<Scope>, future: F) -> F::Output {
    let context = Context { scope: Some(scope.into()), unscoped: false, ..derive() };
    within(Some(Arc::new(context)), future).await
}

/// Runs the closure so that cached functions it calls act in this scope.
pub fn with_scope_sync<R>(scope: impl Into<Scope>, closure: impl FnOnce() -> R) -> R {
    let context = Context { scope: Some(scope.into()), unscoped: false, ..derive() };
    within_sync(Some(Arc::new(context)), closure)
}

fn with_mode(mode: Mode) -> Option<Arc<Context>> {
    let outer = derive();
    let mode = match (outer.mode, mode) {
        // Nothing within is to be stored, whatever it says itself.
        (Mode::Bypassed, _) => Mode::Bypassed,
        // Nothing is answered from the cache anyway.
        (Mode::Refreshed, Mode::PastMemory) => Mode::Refreshed,
        _ => mode,
    };
    Some(Arc::new(Context { mode, ..outer }))
}

/// Runs the future so that cached functions it calls run their bodies, and nothing is stored.
pub async fn without_cache<F: Future>(future: F) -> F::Output {
    within(with_mode(Mode::Bypassed), future).await
}

/// Runs the closure so that cached functions it calls run their bodies, and nothing is stored.
pub fn without_cache_sync<R>(closure: impl FnOnce() -> R) -> R {
    within_sync(with_mode(Mode::Bypassed), closure)
}

/// Runs the future so that cached functions it calls, nested ones included, run their bodies and replace their entries. They
/// wait for no run that is under way. An `Err` is returned also where `stale_if_error` has an old value. Within
/// [`without_cache`] nothing is stored.
pub async fn refreshing<F: Future>(future: F) -> F::Output {
    within(with_mode(Mode::Refreshed), future).await
}

/// Runs the closure so that cached functions it calls, nested ones included, run their bodies and replace their
/// entries; see [`refreshing`]. Within [`without_cache_sync`] nothing is stored.
pub fn refreshing_sync<R>(closure: impl FnOnce() -> R) -> R {
    within_sync(with_mode(Mode::Refreshed), closure)
}

/// Runs the future so that cached functions it calls are not answered from memory.
pub(crate) async fn past_memory<F: Future>(future: F) -> F::Output {
    within(with_mode(Mode::PastMemory), future).await
}

/// The same for a closure.
pub(crate) fn past_memory_sync<R>(closure: impl FnOnce() -> R) -> R {
    within_sync(with_mode(Mode::PastMemory), closure)
}

/// Takes the current context along into a future that will run elsewhere: a spawned task has none of its own, so what
/// it calls would not count as used by the run that spawned it, and would not see its scope and cache.
///
/// ```
/// # async fn run() {
/// # async fn get_user(id: u64) -> u64 { id }
/// // inside a cached function
/// let user = tokio::spawn(cache_core::carry(get_user(1))).await;
/// # }
/// ```
///
/// The run has to wait for the task: what the task calls after the run has ended doesn't count any more.
pub fn carry<F: Future>(future: F) -> impl Future<Output = F::Output> + use<F> {
    let context = current();
    within(context, future)
}

/// Takes the current context along into a closure that will run on another thread; see [`carry`].
pub fn carry_sync<R, C: FnOnce() -> R>(closure: C) -> impl FnOnce() -> R + use<R, C> {
    let context = current();
    move || within_sync(context, closure)
}

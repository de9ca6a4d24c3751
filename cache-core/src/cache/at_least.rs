//! `at_least`: reads that know of an invalidation, wherever it was made.

use std::future::Future;

use super::Cache;
use super::invalidated::Invalidated;
use crate::context::{past_memory, past_memory_sync};

impl Cache {
    /// Waits until this process's memory knows of the invalidation, for as long as the backend takes for one operation.
    /// `false` if it doesn't then, or if nobody can say.
    async fn has_caught_up_with(&self, token: &Invalidated) -> bool {
        // The farthest one is shared by all. What is heard from it reaches the nearer ones first, and memory last.
        let Some(backend) = self.engine().backends.last() else { return true };
        if token.is_empty() {
            return true;
        }
        match token.number_of(&backend.identity()) {
            Some(number) => backend.catch_up(number).await.unwrap_or(false),
            None => false,
        }
    }
}

/// Runs the future so that cached functions it calls know of the invalidation that the token is of: they return nothing that
/// was computed before it. Use it for a reader's own writes, where the write was made by another process, whose message may
/// be still on its way.
///
/// Usually the message has arrived, and this costs nothing. Otherwise it is waited for, at most for the backend's timeout. If
/// it doesn't come, the calls don't ask this process's memory, but the last backend, and run their bodies if that can't be
/// reached. They don't wait for runs that began before.
///
/// It acts on the ambient cache. A token of other backends than this cache's, an old one and a made-up one are
/// answered in the same way: from the backend.
///
/// ```
/// # async fn run() -> Result<(), cache_core::Error> {
/// # async fn get_user(id: u64) -> u64 { id }
/// let token = cache_core::invalidate_tag(("user", 7)).await?;
/// // in any process
/// let user = cache_core::at_least(&token, get_user(7)).await;
/// # Ok(()) }
/// ```
///
/// # Cancel safety
/// As the future itself, which is not polled before the wait is over.
pub async fn at_least<F: Future>(token: &Invalidated, future: F) -> F::Output {
    // Boxed, so that the future doesn't grow by it.
    if Box::pin(caught_up(token)).await { future.await } else { past_memory(future).await }
}

/// Runs the closure so that cached functions it calls know of the invalidation that the token is of; see [`at_least`]. It waits
/// on the calling thread.
pub fn at_least_sync<R>(token: &Invalidated, closure: impl FnOnce() -> R) -> R {
    if pollster::block_on(caught_up(token)) { closure() } else { past_memory_sync(closure) }
}

async fn caught_up(token: &Invalidated) -> bool {
    Cache::ambient().has_caught_up_with(token).await
}

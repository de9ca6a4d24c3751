//! The guard of a hold.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

use super::held::Held;
use crate::backend::TagId;
use crate::cache::Cache;
use crate::error::Error;
use crate::rt::block_on::block_on;

/// A promise that some tags are invalidated, whatever becomes of this process; see [`hold`](crate::hold).
///
/// It is renewed while this lives. [`end`](Self::end) it when the write is done. A drop doesn't end it: the tags are invalidated
/// at once, and again when the hold ends by itself, 30 s after its last renewal at most. So a commit that was on its way when
/// this was dropped is covered as well.
#[derive(Debug)]
#[must_use = "end it once the write is done; dropped, it invalidates the tags now and once more up to 30 s later"]
pub struct Hold {
    held: Held,
}

impl Hold {
    pub(super) async fn place(cache: Cache, ids: Vec<TagId>) -> Result<Self, Error> {
        let hold = Self { held: Held::begin(cache, ids) };
        hold.held.placed().await?;
        Ok(hold)
    }

    /// The write is done: invalidates the tags and removes the hold, in one step. Once this has returned `Ok`, no later call
    /// returns a value that was computed before the write.
    ///
    /// # Errors
    /// The invalidation isn't known to be recorded: a backend can't be reached, or refuses. This process's memory is clear all
    /// the same, and the hold ends by itself.
    ///
    /// # Cancel safety
    /// If this future is dropped, the hold ends by itself, or has ended.
    pub async fn end(self) -> Result<(), Error> {
        self.held.end().await
    }

    /// [`end`](Self::end) on the calling thread.
    ///
    /// # Errors
    /// The same.
    pub fn end_blocking(self) -> Result<(), Error> {
        block_on(self.end())
    }

    /// Ready once it isn't certain any more that this hold lives until [`end`](Self::end): it couldn't be renewed for two thirds
    /// of its duration (20 of 30 s), or had ended before it was renewed. Stop the write then: what commits after the hold has
    /// ended is covered by `end` only. Pending for as long as all is well, and always where there is no backend.
    ///
    /// # Cancel safety
    /// May be dropped and asked for again.
    pub fn lost(&self) -> impl Future<Output = ()> + Send + use<> {
        self.held.lost()
    }

    /// Whether [`lost`](Self::lost) is ready. For a look right before the commit.
    pub fn is_lost(&self) -> bool {
        pin!(self.lost()).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }
}

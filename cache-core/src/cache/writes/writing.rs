//! A write with a hold around it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::held::Held;
use crate::backend::{BoxFuture, TagId};
use crate::cache::Cache;
use crate::error::Error;
use crate::util::polled::polled_after_completion;

/// A write, and the invalidation of its tags; see [`writing`](crate::writing).
#[must_use = "nothing is written until it is awaited"]
pub struct Writing<W: Future> {
    // Dropped first: what it sends on its way out, such as a rollback, comes before the invalidation.
    write: Pin<Box<W>>,
    on_lost: Option<Box<dyn FnOnce() + Send>>,
    stage: Stage<W::Output>,
}

/// The same with an error if the hold can't be placed; see [`Writing::strict`].
#[must_use = "nothing is written until it is awaited"]
pub struct StrictWriting<W: Future>(Writing<W>);

enum Stage<O> {
    /// Without a cache the ambient one is meant, of whoever awaits this.
    Begins(Option<Cache>, Vec<TagId>),
    Places(BoxFuture<'static, (Held, Result<(), Error>)>),
    Writes(Held, Option<BoxFuture<'static, ()>>),
    Ends(BoxFuture<'static, ()>, O),
    Over,
}

// Nothing in it is pinned in place.
impl<W: Future> Unpin for Writing<W> {}
impl<W: Future> Unpin for StrictWriting<W> {}

impl<W: Future> Writing<W> {
    pub(super) fn new(cache: Option<Cache>, ids: Vec<TagId>, write: W) -> Self {
        Self { write: Box::pin(write), on_lost: None, stage: Stage::Begins(cache, ids) }
    }

    /// Gives an error before the write begins if the hold can't be placed. Without this, the write begins all the same, and the
    /// invalidation at its end is remembered. The error type needs `From<Error>`.
    ///
    /// Once the write has begun, its own result comes back.
    ///
    /// ```
    /// # async fn rename(id: u64) -> Result<(), Box<dyn std::error::Error + Send + Sync>> { let _ = id; Ok(()) }
    /// # async fn example() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    /// cache_core::writing([("user", 7)], rename(7)).strict().await?;
    /// # Ok(()) }
    /// ```
    pub fn strict(self) -> StrictWriting<W> {
        StrictWriting(self)
    }

    /// Calls this once if it isn't certain that the hold lives until the write is done: it can't be placed or renewed (see
    /// [`Hold::lost`](crate::Hold::lost)). The write goes on; it may stop itself, for example by a flag that it looks at before
    /// it commits. What it commits nevertheless is covered by the invalidation at its end only.
    ///
    /// It is called by whoever polls this, so it must not block.
    ///
    /// ```
    /// # use std::sync::atomic::{AtomicBool, Ordering};
    /// # use std::sync::Arc;
    /// # async fn rename(lost: Arc<AtomicBool>) -> Result<(), cache_core::Error> { let _ = lost; Ok(()) }
    /// # async fn example() -> Result<(), cache_core::Error> {
    /// let lost = Arc::new(AtomicBool::new(false));
    /// let told = Arc::clone(&lost);
    /// cache_core::writing([("user", 7)], rename(lost)).on_lost(move || told.store(true, Ordering::Release)).await?;
    /// # Ok(()) }
    /// ```
    pub fn on_lost(mut self, call: impl FnOnce() + Send + 'static) -> Self {
        self.on_lost = Some(Box::new(call));
        self
    }

    fn tell(&mut self) {
        if let Some(call) = self.on_lost.take() {
            call();
        }
    }

    /// `refuse` says what comes of a hold that can't be placed; `None`: the write begins all the same.
    fn poll_with<R, E>(
        &mut self,
        task: &mut Context<'_>,
        refuse: impl Fn(Error) -> Option<Result<R, E>>,
    ) -> Poll<Result<R, E>>
    where
        W: Future<Output = Result<R, E>>,
    {
        loop {
            match std::mem::replace(&mut self.stage, Stage::Over) {
                Stage::Begins(cache, ids) => {
                    let held = Held::begin(cache.unwrap_or_else(Cache::ambient), ids);
                    let placing = async move {
                        let placed = held.placed().await;
                        (held, placed)
                    };
                    self.stage = Stage::Places(Box::pin(placing));
                }
                Stage::Places(mut placing) => {
                    let Poll::Ready((held, placed)) = placing.as_mut().poll(task) else {
                        self.stage = Stage::Places(placing);
                        return Poll::Pending;
                    };
                    if let Err(error) = placed {
                        if let Some(refused) = refuse(error) {
                            return Poll::Ready(refused);
                        }
                        self.tell();
                    }
                    let lost = self.on_lost.is_some().then(|| held.lost());
                    self.stage = Stage::Writes(held, lost);
                }
                Stage::Writes(held, mut lost) => {
                    if lost.as_mut().is_some_and(|lost| lost.as_mut().poll(task).is_ready()) {
                        lost = None;
                        self.tell();
                    }
                    let Poll::Ready(output) = self.write.as_mut().poll(task) else {
                        self.stage = Stage::Writes(held, lost);
                        return Poll::Pending;
                    };
                    let is_done = output.is_ok();
                    let ending = async move {
                        if is_done {
                            // What can't be recorded now is remembered by the backend, and the hold ends by itself.
                            let _ = held.end().await;
                        } else {
                            held.leave().await;
                        }
                    };
                    self.stage = Stage::Ends(Box::pin(ending), output);
                }
                Stage::Ends(mut ending, output) => {
                    if ending.as_mut().poll(task).is_pending() {
                        self.stage = Stage::Ends(ending, output);
                        return Poll::Pending;
                    }
                    return Poll::Ready(output);
                }
                Stage::Over => polled_after_completion("a write"),
            }
        }
    }
}

impl<W, R, E> Future for Writing<W>
where
    W: Future<Output = Result<R, E>>,
{
    type Output = Result<R, E>;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_with(task, |_| None)
    }
}

impl<W, R, E> Future for StrictWriting<W>
where
    W: Future<Output = Result<R, E>>,
    E: From<Error>,
{
    type Output = Result<R, E>;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll_with(task, |error| Some(Err(error.into())))
    }
}

impl<W: Future> fmt::Debug for StrictWriting<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StrictWriting").field(&self.0).finish()
    }
}

impl<W: Future> fmt::Debug for Writing<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match &self.stage {
            Stage::Begins(..) => "not begun",
            Stage::Places(_) => "placing its hold",
            Stage::Writes(..) => "writing",
            Stage::Ends(..) => "ending its hold",
            Stage::Over => "over",
        };
        f.debug_struct("Writing").field("stage", &stage).finish_non_exhaustive()
    }
}

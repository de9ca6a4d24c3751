//! A hold in all layers of a cache.
//!
//! A backend that has holds keeps its own, which ends by itself whatever becomes of this process. For memory alone, and for
//! backends without holds, this process invalidates by a timer. The timer begins when the hold is left without having ended:
//! until then the hold needs no renewal, as it lives and dies with this process.

use std::fmt;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use crate::backend::{Backend, BackendHold, BoxFuture, TagId};
use crate::cache::Cache;
use crate::error::{Error, ErrorKind};
use crate::freshness::watch;
use crate::rt::jobs::Seat;
use crate::rt::timer::sleep;
use crate::stats::kinds::InvalidationBy;

/// How often the invalidation at a timer's end is tried, with a pause that doubles.
const ATTEMPTS: u32 = 10;
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// A hold in all layers. Dropped without an end, it is left to end by itself.
pub(super) struct Held {
    cache: Cache,
    ids: Vec<TagId>,
    /// Of each backend of the cache; `None` where there are no holds, and once it is over.
    backends: Vec<Option<Box<dyn BackendHold>>>,
    timer: Timer,
    stage: Stage,
}

/// Who invalidates if it isn't ended.
#[derive(Debug)]
enum Timer {
    /// All backends do, and memory hears of it.
    Backends,
    /// This process, on a thread that is there already.
    Process(Seat),
    /// Nobody: there can be no thread.
    Nobody,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The write may be under way.
    Lives,
    /// It has been left, and its tags were invalidated once.
    Left,
    Ended,
}

impl Held {
    /// Begins to place it.
    pub(super) fn begin(cache: Cache, ids: Vec<TagId>) -> Self {
        if ids.is_empty() {
            return Self { cache, ids, backends: Vec::new(), timer: Timer::Backends, stage: Stage::Ended };
        }
        let backends: Vec<_> = cache.engine().backends.iter().map(|backend| backend.hold(&ids)).collect();
        let timer = if !backends.is_empty() && backends.iter().all(Option::is_some) {
            Timer::Backends
        } else {
            Seat::reserve().map_or(Timer::Nobody, Timer::Process)
        };
        Self { cache, ids, backends, timer, stage: Stage::Lives }
    }

    /// Waits until it is placed in all layers.
    pub(super) async fn placed(&self) -> Result<(), Error> {
        if matches!(self.timer, Timer::Nobody) {
            let message = "no thread can be started for the timer of a hold; raise the limit of threads";
            return Err(Error::new(ErrorKind::Unavailable, message));
        }
        for hold in self.backends.iter().flatten() {
            hold.placed().await?;
        }
        Ok(())
    }

    /// Ready once it isn't certain that it lives in all layers. Never, where only this process holds it.
    pub(super) fn lost(&self) -> BoxFuture<'static, ()> {
        let mut lost: Vec<_> = self.backends.iter().flatten().map(|hold| hold.lost()).collect();
        Box::pin(poll_fn(move |task| {
            let any = lost.iter_mut().any(|lost| lost.as_mut().poll(task).is_ready());
            if any { Poll::Ready(()) } else { Poll::Pending }
        }))
    }

    /// The write is done: invalidates the tags and removes the hold.
    pub(super) async fn end(mut self) -> Result<(), Error> {
        if self.stage == Stage::Ended {
            return Ok(());
        }
        let result = self.invalidate(|hold| hold.end()).await;
        if result.is_ok() {
            self.stage = Stage::Ended;
        }
        result
    }

    /// It isn't known whether the write is done: invalidates the tags, and leaves the hold to end by itself.
    pub(super) async fn leave(mut self) {
        if self.stage == Stage::Lives && self.invalidate(|hold| hold.leave()).await.is_ok() {
            self.stage = Stage::Left;
        }
    }

    /// As [`Cache::invalidate_ids`], with the holds of the backends.
    async fn invalidate(
        &mut self,
        last: impl Fn(Box<dyn BackendHold>) -> BoxFuture<'static, Result<(), Error>> + Sync,
    ) -> Result<(), Error> {
        let Self { cache, ids, backends, .. } = self;
        let ids = &ids[..];
        let invalidated = cache.invalidate_layers(InvalidationBy::Tag, ids, |layer, backend| {
            match backends.get_mut(layer).and_then(Option::take).map(&last) {
                Some(ended) => Box::pin(async { ended.await.map(|()| None) }),
                None => Box::pin(async { backend.invalidate(ids).await.map(Some) }),
            }
        });
        invalidated.await.map(drop)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.stage == Stage::Ended {
            return;
        }
        // They do the same by themselves.
        self.backends.clear();
        watch::invalidate(&self.cache.engine().validity.freshness, &self.ids);
        if let Timer::Process(seat) = std::mem::replace(&mut self.timer, Timer::Nobody) {
            let (cache, ids, at_once) = (self.cache.clone(), std::mem::take(&mut self.ids), self.stage == Stage::Lives);
            seat.run(ends_by_itself(cache, ids, at_once));
        }
    }
}

/// What becomes of a hold that was left to this process's timer.
async fn ends_by_itself(cache: Cache, ids: Vec<TagId>, at_once: bool) {
    let duration = cache.engine().hold;
    if at_once {
        // If that fails, the end makes it good.
        let _ = cache.invalidate_ids(InvalidationBy::Tag, ids.clone()).await;
    }
    sleep(duration).await;
    let mut pause = FIRST_PAUSE;
    for _ in 0..ATTEMPTS {
        match cache.invalidate_ids(InvalidationBy::Tag, ids.clone()).await {
            Err(error) if error.is_transient() => sleep(pause).await,
            _ => return,
        }
        pause *= 2;
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("tags", &self.ids.len()).field("stage", &self.stage).finish_non_exhaustive()
    }
}

//! The guard of a hold.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use cache_core::__with_timeout as with_timeout;
use cache_core::Error;
use cache_core::backend::{BackendHold, BoxFuture, Stamp, TagId};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::keeper::{Part, Told, keep};
use crate::bus::NOBODY;
use crate::error::Fault;
use crate::health::Operation;
use crate::invalidation::{Recorded, TAGS_PER_SCRIPT};
use crate::random;
use crate::runtime::Bound;
use crate::shared::Shared;

/// A hold, or the attempt to place it. Dropped without an end, it is left.
pub(crate) struct RedisHold {
    shared: Arc<Shared>,
    parts: Arc<[Part]>,
    placed: watch::Receiver<Option<Result<(), Fault>>>,
    lost: watch::Receiver<bool>,
    /// `None` once it is over, or if it couldn't begin.
    keeper: Option<Keeper>,
}

/// The task that renews it. It ends once the sender is dropped.
struct Keeper {
    alive: watch::Sender<()>,
    task: JoinHandle<()>,
}

impl Keeper {
    /// Ends it, and waits for a command of its that is under way.
    async fn end(self) {
        drop(self.alive);
        let _ = self.task.await;
    }
}

impl RedisHold {
    /// Begins to place it.
    pub(crate) fn begin(shared: &Arc<Shared>, tags: &[TagId]) -> Self {
        let part = |tags: &[TagId]| Part { token: format!("{:032x}", random::wide()).into(), tags: tags.to_vec() };
        let parts: Arc<[Part]> = tags.chunks(TAGS_PER_SCRIPT).map(part).collect();
        let (says_placed, placed) = watch::channel(None);
        let (says_lost, lost) = watch::channel(false);
        let keeper = match shared.is_of_use(Operation::Hold) {
            Ok(()) => {
                let (alive, ended) = watch::channel(());
                let told = Told { placed: says_placed, lost: says_lost };
                let (of, held, duration) = (Arc::clone(shared), Arc::clone(&parts), shared.options.hold);
                Some(Keeper { alive, task: shared.runtime.spawn(keep(of, held, duration, told, ended)) })
            }
            Err(fault) => {
                says_placed.send_replace(Some(Err(fault)));
                says_lost.send_replace(true);
                None
            }
        };
        Self { shared: Arc::clone(shared), parts, placed, lost, keeper }
    }

    fn tags(&self) -> Vec<TagId> {
        self.parts.iter().flat_map(|part| part.tags.iter().copied()).collect()
    }

    /// Whether Redis is known to have it.
    fn is_placed(&self) -> bool {
        matches!(&*self.placed.borrow(), Some(Ok(()))) && !*self.lost.borrow()
    }

    /// What isn't known to end by itself is ended by this process, by a timer.
    fn ends_by_timer(&self) {
        if self.is_placed() || self.shared.is_of_use(Operation::Hold).is_err() {
            return;
        }
        let (shared, tags) = (Arc::downgrade(&self.shared), self.tags());
        let duration = self.shared.options.hold;
        self.shared.runtime.spawn(async move {
            tokio::time::sleep(duration).await;
            if let Some(shared) = shared.upgrade() {
                shared.invalidate_or_remember(&tags).await;
            }
        });
    }

    /// The last that is done with it.
    fn over(mut self: Box<Self>, well: bool) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            let (keeper, tags) = (self.keeper.take(), self.tags());
            if !well {
                self.ends_by_timer();
            }
            let tokens = if well { self.parts.iter().map(|part| part.token.clone()).collect() } else { Vec::new() };
            let ends = async move {
                if let Some(keeper) = keeper {
                    keeper.end().await;
                }
            };
            self.shared.invalidate_for(tags, tokens, ends).await.map(drop)
        })
    }
}

impl Shared {
    /// An invalidation that nobody waits for, under nobody's name.
    async fn invalidate_or_remember(&self, tags: &[TagId]) {
        if self.invalidate(tags, &Bytes::from_static(NOBODY), &[], self.deadline()).await.is_err() {
            self.remembered.add(tags);
        }
    }

    /// An invalidation by this process, which may end a hold (`tokens`), once `before` has come to its end. What can't be
    /// recorded is remembered.
    pub(crate) async fn invalidate_for(
        self: &Arc<Self>,
        tags: Vec<TagId>,
        tokens: Vec<Bytes>,
        before: impl Future<Output = ()> + Send + 'static,
    ) -> Result<Stamp, Error> {
        let deadline = self.deadline();
        let own = self.bus.own(&tags);
        let (author, ours) = (Bytes::from(own.author.clone()), tags.clone());
        let work = |shared: Arc<Self>| async move {
            before.await;
            // If it succeeds, what was remembered of these before is recorded with it.
            let waiting = shared.remembered.of(&ours);
            let recorded = shared.invalidate(&ours, &author, &tokens, deadline).await;
            match &recorded {
                Ok(_) => shared.remembered.recorded(&waiting),
                // Here too: the caller may have gone away.
                Err(_) => shared.remembered.add(&ours),
            }
            recorded
        };
        match self.run_within(Bound::Eventually, Operation::Invalidate, work).await {
            Ok((recorded, number)) => {
                if recorded == Recorded::Once {
                    own.recorded();
                }
                Ok(Stamp(number))
            }
            Err(fault @ (Fault::Closed | Fault::Forked)) => Err(fault.into()),
            Err(fault) => {
                self.remembered.add(&tags);
                Err(Error::from(fault).remembered())
            }
        }
    }
}

impl BackendHold for RedisHold {
    fn placed(&self) -> BoxFuture<'_, Result<(), Error>> {
        let mut placed = self.placed.clone();
        let limit = self.shared.patience() * u32::try_from(self.parts.len()).unwrap_or(u32::MAX);
        Box::pin(async move {
            let first = with_timeout(placed.wait_for(Option::is_some), limit).await;
            match first.map(|first| first.ok().and_then(|first| (*first).clone())) {
                Some(Some(first)) => Ok(first?),
                // The keeper has ended with its runtime.
                Some(None) => Err(Fault::Closed.into()),
                None => Err(Fault::TimedOut(Some(Arc::clone(self.shared.topology.name()))).into()),
            }
        })
    }

    fn lost(&self) -> BoxFuture<'static, ()> {
        let mut lost = self.lost.clone();
        Box::pin(async move {
            // An error: its keeper has ended with its runtime.
            let _ = lost.wait_for(|lost| *lost).await;
        })
    }

    fn end(self: Box<Self>) -> BoxFuture<'static, Result<(), Error>> {
        self.over(true)
    }

    fn leave(self: Box<Self>) -> BoxFuture<'static, Result<(), Error>> {
        self.over(false)
    }
}

impl Drop for RedisHold {
    fn drop(&mut self) {
        // Of a forked child's copy nothing is to be sent: the hold is the parent's.
        let Some(keeper) = self.keeper.take().filter(|_| !self.shared.watchdog.is_elsewhere()) else { return };
        self.ends_by_timer();
        let (shared, tags) = (Arc::clone(&self.shared), self.tags());
        self.shared.runtime.spawn(async move {
            keeper.end().await;
            shared.invalidate_or_remember(&tags).await;
        });
    }
}

impl fmt::Debug for RedisHold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisHold").field("parts", &self.parts.len()).finish_non_exhaustive()
    }
}

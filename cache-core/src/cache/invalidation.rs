//! One invalidation, in all layers of a cache.

use std::sync::Arc;

use crate::backend::{Backend, BoxFuture, Stamp, TagId};
use crate::cache::Cache;
use crate::cache::invalidated::Invalidated;
use crate::context::collector::collector;
use crate::engine::Engine;
use crate::error::Error;
use crate::freshness::invalidation::Freshness;
use crate::freshness::watch;
use crate::stats::kinds::{InvalidationBy, InvalidationOrigin, InvalidationOutcome};

impl Cache {
    pub(crate) async fn invalidate_ids(&self, by: InvalidationBy, ids: Vec<TagId>) -> Result<Invalidated, Error> {
        if ids.is_empty() || collector().is_some_and(|collector| collector.add(self.handle(), &ids)) {
            return Ok(Invalidated::default());
        }
        let ids = &ids[..];
        self.invalidate_layers(by, ids, |_, backend| Box::pin(async { backend.invalidate(ids).await.map(Some) })).await
    }

    /// `record` has the backend with this place record it, and returns the number if there is one.
    ///
    /// # Cancel safety
    /// Dropped on the way, it has invalidated in memory.
    pub(super) async fn invalidate_layers<'a>(
        &'a self,
        by: InvalidationBy,
        ids: &'a [TagId],
        mut record: impl FnMut(usize, &'a Arc<dyn Backend>) -> BoxFuture<'a, Result<Option<Stamp>, Error>> + Send,
    ) -> Result<Invalidated, Error> {
        // Memory last, so that nothing read from a backend before it was recorded there survives here; and also if
        // this future is dropped on the way.
        let engine = self.engine();
        let mut told = ToldAtEnd { engine, by, ids, outcome: InvalidationOutcome::Cancelled };
        let marks = MarkAtEnd { freshness: &engine.validity.freshness, ids };
        let mut unrecorded = engine.validity.layers.invalidation(ids);
        let (mut token, mut result) = (Invalidated::default(), Ok(()));
        // The farthest first: what a nearer layer takes over from a farther one is then never too new for it.
        for (layer, backend) in engine.backends.iter().enumerate().rev() {
            match record(layer, backend).await {
                Ok(stamp) => {
                    unrecorded.recorded_by(layer);
                    let Some(stamp) = stamp else { continue };
                    let name = backend.identity();
                    // Two of one name can't be told apart: the number is that of the farther one.
                    if token.number_of(&name).is_none() {
                        token = token.and(Invalidated::by(&name, stamp));
                    }
                }
                Err(error) => result = Err(error.not_recorded()),
            }
        }
        drop(unrecorded);
        drop(marks);
        told.outcome = if result.is_ok() { InvalidationOutcome::Done } else { InvalidationOutcome::Failed };
        result.map(|()| token)
    }
}

/// Counts the invalidation when it is dropped, and tells who listens.
struct ToldAtEnd<'a> {
    engine: &'a Engine,
    by: InvalidationBy,
    ids: &'a [TagId],
    outcome: InvalidationOutcome,
}

impl Drop for ToldAtEnd<'_> {
    fn drop(&mut self) {
        let ledger = self.engine.validity.layers.ledger();
        ledger.invalidated(self.by, InvalidationOrigin::Here, self.outcome, self.ids);
    }
}

/// Marks the tags in memory when it is dropped.
struct MarkAtEnd<'a> {
    freshness: &'a Freshness,
    ids: &'a [TagId],
}

impl Drop for MarkAtEnd<'_> {
    fn drop(&mut self) {
        watch::invalidate(self.freshness, self.ids);
    }
}

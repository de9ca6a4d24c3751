//! Stage: stores a result in the backends whose leases the run holds.

use std::sync::Arc;
use std::time::Duration;

use super::call::Call;
use super::one_run::Run;
use crate::backend::{Backend, Entry, Lifetimes, StoreAnswer};
use crate::engine::outcome::RunResult;
use crate::entry::CachedEntry;
use crate::error::Error;
use crate::freshness::dependencies::Dependencies;
use crate::memory::DeferredDrops;
use crate::stats::kinds::StoreOutcome;

/// Of what is gone as soon as it is stored.
pub(super) const AT_ONCE: Lifetimes = Lifetimes { fresh: Some(Duration::ZERO), keep: Some(Duration::ZERO), idle: None };

/// A result on its way to the backends, or that there is none any more.
pub(crate) struct Storing {
    pub(super) run: Box<Run>,
    pub(super) payload: Vec<u8>,
    pub(super) dependencies: Dependencies,
    pub(super) lifetimes: Lifetimes,
    /// How the flight ends once the backends were told, if it hasn't.
    pub(super) ending: Option<Arc<CachedEntry>>,
    /// The entry that memory has been given.
    pub(super) in_memory: Option<Arc<CachedEntry>>,
}

impl Storing {
    /// Stores in every backend whose lease the run holds, the farthest first.
    ///
    /// # Errors
    /// The first fault of a backend, which is counted.
    pub(crate) async fn finish(mut self, call: &Call) -> Result<(), Error> {
        let result = self.tell_backends(call).await;
        if let Some(entry) = self.ending.take() {
            let deferred = DeferredDrops::new();
            if entry.meta.dependencies().is_live() {
                self.run.place(call, || call.target.clear_memory(), || ());
            }
            let (stamp, trust_deadline) = (self.run.stamp, entry.meta.trust_deadline());
            self.run.end(RunResult::Value(entry), stamp, trust_deadline);
            drop(deferred);
        }
        result
    }

    /// What memory was given, unless something else is there by now.
    fn take_out_of_memory(&mut self, call: &Call) {
        if let Some(entry) = self.in_memory.take() {
            let _deferred = DeferredDrops::new();
            call.target.take_out_of_memory(&entry);
        }
    }

    async fn tell_backends(&mut self, call: &Call) -> Result<(), Error> {
        let mut result = Ok(());
        let Some(key) = self.run.key() else { return result };
        let counters = call.counters();
        while let Some(granted) = self.run.leases.pop() {
            let layer = self.run.leases.len();
            let (Some(granted), Some(backend)) = (granted, call.engine().backends.get(layer)) else { continue };
            let tags = if self.lifetimes == AT_ONCE { Some(Vec::new()) } else { self.dependencies.for_backend(layer) };
            let Some(tags) = tags else { continue };
            let lifetimes = for_backend(self.lifetimes, backend.prolongs());
            let entry = Entry { payload: self.payload.clone(), tags, lifetimes };
            match backend.store(&key, granted.lease, entry).await {
                Ok(StoreAnswer::Stored) => counters.bytes_written.add(self.payload.len() as u64),
                Ok(StoreAnswer::LeaseLost) => {
                    call.stores(StoreOutcome::Overtaken);
                    // Another process has taken the lease over, and may have stored what is newer.
                    if let Some(seen) = granted.seen
                        && let Ok(now) = backend.read(&key).await
                        && now.live.is_some()
                        && now.seen != seen
                    {
                        self.take_out_of_memory(call);
                    }
                }
                Err(error) => {
                    counters.backend_errors.one();
                    call.stores(StoreOutcome::Failed);
                    result = result.and(Err(error));
                }
            }
        }
        result
    }
}

/// A backend that doesn't prolong lives must not keep what nobody uses for longer than it may be idle.
fn for_backend(lifetimes: Lifetimes, prolongs: bool) -> Lifetimes {
    match lifetimes.idle {
        Some(idle) if !prolongs => {
            let within = |end: Option<Duration>| Some(end.map_or(idle, |end| end.min(idle)));
            Lifetimes { fresh: within(lifetimes.fresh), keep: within(lifetimes.keep), idle: None }
        }
        _ => lifetimes,
    }
}

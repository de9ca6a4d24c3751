//! What all functions of a cache share, and what a cache keeps for each of them.

pub(crate) mod call_scope;
pub(crate) mod descriptor;
pub(crate) mod function;
pub(crate) mod note;
pub(crate) mod outcome;
pub(crate) mod progress;
pub(crate) mod report;
pub(crate) mod value_checks;

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::backend::Backend;
use crate::backend::measured::Measured;
use crate::codec::Codec;
use crate::flight::wait_graph::WaitGraph;
use crate::memory::Store;
use crate::rt::clock::NEVER;
use crate::stats::report::OnReport;
use crate::trust::deadline::TrustDeadline;
use crate::trust::validity::Validity;
use crate::util::sync::lock;

pub(crate) type DefaultScope = dyn Fn() -> Option<String> + Send + Sync;

/// Runs a closure once, in what was captured before.
pub(crate) type Around = Box<dyn Fn(&mut dyn FnMut()) + Send>;
/// Captures what is around a caller.
pub(crate) type Capture = dyn Fn() -> Around + Send + Sync;

/// After so many entries one of the stores is kept up.
const UPKEEP: usize = 256;

/// What all functions of a cache share: the layers and the order of invalidations.
pub(crate) struct Engine {
    pub(crate) id: u64,
    pub(crate) validity: Validity,
    pub(crate) graph: Arc<WaitGraph>,
    pub(crate) memory: Option<Store>,
    /// Those of functions with a bound of their own.
    pub(crate) own_stores: Mutex<Vec<Store>>,
    /// Counts what is stored in memory.
    pub(crate) stored: AtomicUsize,
    pub(crate) memory_ttl: Option<Duration>,
    /// From the nearest to the farthest.
    pub(crate) backends: Vec<Arc<dyn Backend>>,
    /// Where their operations are counted.
    pub(crate) measured: Vec<Arc<Measured>>,
    /// In metrics.
    pub(crate) name: Box<str>,
    pub(crate) codec: Option<Arc<dyn Codec>>,
    /// How long calls wait for others' runs, if their function doesn't say.
    pub(crate) max_wait: Option<Duration>,
    /// How long a hold without a backend lasts after it was left.
    pub(crate) hold: Duration,
    /// How long an entry may be used without a backend vouching for it, in nanoseconds; [`NEVER`] if that is never
    /// needed.
    pub(crate) max_staleness: u64,
    pub(crate) default_scope: Option<Box<DefaultScope>>,
    /// A call without a scope isn't cached.
    pub(crate) requires_scope: bool,
    /// For runs that may outlive their callers.
    pub(crate) capture: Option<Box<Capture>>,
    pub(crate) on_report: Option<Box<OnReport>>,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("id", &self.id).field("backends", &self.backends).finish_non_exhaustive()
    }
}

impl Engine {
    /// The time now, for [`trust_deadline_from`](Self::trust_deadline_from). Any time will do where nobody has to vouch for
    /// anything.
    pub(crate) fn began_nanos(&self) -> u64 {
        if self.max_staleness == NEVER { 0 } else { self.validity.clock.nanos() }
    }

    /// Something is to be stored in memory. Now and then one of the stores frees what is over, which it does by itself only
    /// while it is used.
    pub(crate) fn keep_up(&self) {
        let stored = self.stored.fetch_add(1, Ordering::Relaxed);
        if !stored.is_multiple_of(UPKEEP) {
            return;
        }
        let stores = lock(&self.own_stores);
        let turn = (stored / UPKEEP) % (stores.len() + 1);
        let store = stores.get(turn).or(self.memory.as_ref()).cloned();
        drop(stores);
        store.as_ref().map(Store::keep_up);
    }

    /// The store of one of its functions, if it has one.
    pub(crate) fn add_store(&self, store: Option<&Store>) {
        lock(&self.own_stores).extend(store.cloned());
    }

    /// What an answer is that is made of data read from now on.
    pub(crate) fn trust_deadline_from(&self, began_nanos: u64) -> TrustDeadline {
        TrustDeadline::new(began_nanos.saturating_add(self.max_staleness))
    }
}

//! The one place from which everything is counted and told that becomes of calls: statistics, events and traces come from here, and
//! metrics from the statistics.
//!
//! What a cache hears and does as a whole is in [`ledger`](crate::events::ledger), and what memory lets go of in
//! [`residents`](crate::events::residents). Hits in memory are counted where they happen, by each thread for itself.

use std::time::Duration;

use crate::engine::function::Function;
use crate::events::hub::Hub;
use crate::events::{CallEvent, EventKind, RunEvent, StoreEvent};
use crate::stats::kinds::{CallResult, MissReason, RunOutcome, RunTrigger, StoreOutcome};
use crate::trace::{self, CallSpan};

/// None of these is for where a lock is held: listeners are woken, which runs code of the user's.
impl Function {
    fn hub(&self) -> &Hub {
        &self.engine.validity.layers.ledger().hub
    }

    pub(crate) fn call_ended(&self, span: &CallSpan, result: CallResult, missed: Option<MissReason>) {
        self.counters.results.one(result);
        span.ended(result, missed);
        if self.hub().is_heard() {
            let function = self.descriptor.name();
            self.hub().tell(EventKind::Call(CallEvent { function, result, missed }));
        }
    }

    /// `took` is in nanoseconds, and `None` if the body didn't end by itself.
    pub(crate) fn run_ended(&self, trigger: RunTrigger, outcome: RunOutcome, took: Option<u64>) {
        self.counters.run_ends.one(trigger, outcome);
        trace::run_ended(self.descriptor.name(), trigger, outcome, took);
        if let Some(took) = took {
            self.counters.run_times.add_nanos(took);
        }
        if self.hub().is_heard() {
            let function = self.descriptor.name();
            let took = took.map(Duration::from_nanos);
            self.hub().tell(EventKind::Run(RunEvent { function, trigger, outcome, took }));
        }
    }

    pub(crate) fn value_stored(&self, span: &CallSpan, outcome: StoreOutcome) {
        self.counters.stores.one(outcome);
        span.stored(outcome);
        if self.hub().is_heard() {
            let function = self.descriptor.name();
            self.hub().tell(EventKind::Store(StoreEvent { function, outcome }));
        }
    }

    /// Wakes those for whom word was left where a lock was held.
    pub(crate) fn wake_listeners(&self) {
        if self.hub().is_heard() {
            self.hub().wake();
        }
    }
}

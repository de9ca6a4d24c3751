//! Stage: ends a run that has no result of its own for memory and backends.

use std::any::Any;
use std::sync::Arc;

use super::call::Call;
use super::one_run::Run;
use crate::context::observer::Source;
use crate::engine::outcome::RunResult;
use crate::entry::CachedEntry;
use crate::flight::per_key::Leader;
use crate::tag::TagSet;

impl Run {
    /// Ends a flight with what another one left in memory a moment ago; nobody called.
    pub(crate) fn end_with(mut self: Box<Self>, call: &Call, entry: &Arc<CachedEntry>) {
        self.end(RunResult::Value(Arc::clone(entry)), self.stamp, entry.trust_deadline(&call.engine().validity));
    }

    /// Ends a run whose result is an error that isn't stored. `shared` is a form of it for those who waited.
    pub(crate) fn fail(mut self: Box<Self>, call: &mut Call, shared: Option<Arc<dyn Any + Send + Sync>>) {
        call.counters().failures.one();
        let (dependencies, collected) = self.dependencies(call, TagSet::default());
        call.note_unkept(Source::Uncached, &dependencies);
        self.give_back(true);
        match shared {
            Some(shared) => {
                let result = RunResult::Failure { shared, dependencies, uncached: collected.uncached };
                self.end(result, self.stamp, collected.trust_deadline);
            }
            None => self.leader.take().into_iter().for_each(Leader::fail),
        }
    }

    /// Ends a run whose result is for its own call alone.
    pub(crate) fn end_unshared(mut self: Box<Self>) {
        self.give_back(true);
        self.leader.take().into_iter().for_each(Leader::fail);
    }

    /// Ends a run that failed with what there was before it.
    pub(crate) fn fall_back(mut self: Box<Self>, call: &Call, old: &Arc<CachedEntry>) {
        call.counters().failures.one();
        // What the failed run used doesn't count: nothing of it is in the answer.
        self.prepared = None;
        self.frame.close();
        call.report_old(old);
        self.give_back(true);
        self.end(RunResult::Value(Arc::clone(old)), self.stamp, old.trust_deadline(&call.engine().validity));
    }

    /// Ends a run that isn't begun, as one failed a moment ago, with what there was before that.
    pub(crate) fn yield_to_old(mut self: Box<Self>, call: &Call, old: &Arc<CachedEntry>) {
        self.give_back(false);
        self.end(RunResult::Value(Arc::clone(old)), self.stamp, old.trust_deadline(&call.engine().validity));
    }

    /// Ends a flight with what another one left in memory a moment ago.
    pub(crate) fn yield_to(mut self, call: &Call, entry: &Arc<CachedEntry>) {
        if call.request.origin.counts() {
            call.answered_from_memory();
        }
        let trust_deadline = entry.trust_deadline(&call.engine().validity);
        call.report_answer(Source::Memory, entry);
        self.end(RunResult::Value(Arc::clone(entry)), self.stamp, trust_deadline);
    }
}

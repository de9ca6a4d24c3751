//! Without the feature `tracing`.

use crate::stats::kinds::{
    BackendOperation, CallResult, InvalidationBy, InvalidationOrigin, InvalidationOutcome, MissReason, RunOutcome,
    RunTrigger, StoreOutcome,
};
use crate::stats::of_cache::Change;

#[derive(Clone, Debug, Default)]
pub(crate) struct CallSpan(());

#[derive(Clone, Debug, Default)]
pub(crate) struct Lead(());

impl CallSpan {
    #[inline]
    pub(crate) fn of_call(_: &str, _: &str) -> Self {
        Self(())
    }

    pub(crate) fn of_background(_: &Self, _: &str, _: &str) -> Self {
        Self(())
    }

    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        false
    }

    #[inline]
    pub(crate) fn within<R>(&self, work: impl FnOnce() -> R) -> R {
        work()
    }

    pub(crate) fn lead(&self) -> Lead {
        Lead(())
    }

    pub(crate) fn follows(&self, _: &Lead) {}

    #[inline]
    pub(crate) fn stored(&self, _: StoreOutcome) {}

    #[inline]
    pub(crate) fn ended(&self, _: CallResult, _: Option<MissReason>) {}
}

#[inline]
pub(crate) fn run_ended(_: &str, _: RunTrigger, _: RunOutcome, _: Option<u64>) {}

pub(crate) fn invalidated(_: InvalidationBy, _: InvalidationOrigin, _: InvalidationOutcome, _: usize) {}

pub(crate) fn missed_messages() {}

pub(crate) fn backend(_: &str, _: BackendOperation, _: Change) {}

pub(crate) fn reported(_: &str, _: &str) {}

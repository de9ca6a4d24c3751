//! A recursion that computes again what it needs, because memory has evicted it: it may take exponentially longer, and nothing
//! else says so.
//!
//! The signal: a run of a function, called from a run of the same function, stores a result whose key memory has evicted since the
//! outermost of these runs began. So it was there, and is needed twice within one recursion. Calls that come from elsewhere are
//! no such runs, however many keys they ask for.
//!
//! It is reported once such results are a noticeable part of all misses: see [`lacks_room`].

use std::sync::Arc;

use super::call::Call;
use crate::context::run_frame::{Frame, Recursion};
use crate::engine::report::report;
use crate::stats::report::ReportKind;
use crate::stats::{Counters, lacks_room};

/// So many runs further up are looked at for one of the same function: functions may call each other in turn.
const UPWARDS: usize = 8;

/// Which recursion the run of a call is a part of. `None` if nothing is evicted.
pub(super) fn of(call: &Call) -> Option<Recursion> {
    let function = &call.target.function;
    let now = function.store()?.eviction_clock()?;
    let above = call.parent().and_then(|parent| nearest(parent, function.id));
    let since = above.map_or(now, |above| above.since);
    Some(Recursion { function: function.id, since, is_nested: above.is_some() })
}

fn nearest(parent: &Arc<Frame>, function: u64) -> Option<Recursion> {
    let mut frame = Arc::clone(parent);
    for _ in 0..UPWARDS {
        if let Some(recursion) = frame.recursion.filter(|recursion| recursion.function == function) {
            return Some(recursion);
        }
        frame = frame.parent()?;
    }
    None
}

/// A run has stored a result whose key was evicted before.
#[cold]
pub(super) fn came_back(call: &Call, frame: &Frame, evicted_at: u64) {
    if !frame.recursion.is_some_and(|recursion| recursion.is_nested && evicted_at > recursion.since) {
        return;
    }
    let function = &call.target.function;
    let Counters { recomputed, misses, .. } = &function.counters;
    recomputed.one();
    if lacks_room(recomputed.get(), misses.snapshot().total()) {
        report(function, ReportKind::BoundTooSmall, "");
    }
}

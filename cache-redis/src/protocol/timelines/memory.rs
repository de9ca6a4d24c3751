//! Mistakes around the memory layer: what it is told, and how long it is trusted.

use super::*;
use crate::protocol::MAX_STALENESS;
use crate::protocol::faults::Fault;

pub(super) const ALL: &[Case] = &[
    case(Mistake::MemoryIsTrustedForEver, Kind::Stale, |t| {
        t.call(1, LEAF);
        t.invalidate(0, DATUM);
        t.lose_messages(1);
        t.advance(MAX_STALENESS);
        t.call(1, LEAF);
    }),
    case(Mistake::TrustFromTheAnswer, Kind::Stale, |t| {
        t.call(1, LEAF);
        let beat = t.start_heartbeat(1);
        t.run_through(beat, "STAMP");
        t.invalidate(0, DATUM);
        t.lose_messages(1);
        t.advance(5);
        t.run_to_end(beat);
        t.advance(MAX_STALENESS - 5);
        t.call(1, LEAF);
    }),
    case(Mistake::DoubtsAreIgnored, Kind::Stale, |t| {
        t.call(1, LEAF);
        t.invalidate(0, DATUM);
        t.lose_messages(1);
        t.synchronize();
        t.advance(MAX_STALENESS);
        t.synchronize();
        t.call(1, LEAF);
    }),
    case(Mistake::MarksMemoryFirst, Kind::Stale, |t| {
        t.call(1, LEAF);
        let invalidation = t.start_invalidate(0, DATUM);
        t.run_until(invalidation, "INVALIDATE");
        // Reads the entry, which is still live, into memory.
        t.call(0, LEAF);
        t.run_to_end(invalidation);
        t.call(0, LEAF);
    }),
    case(Mistake::FailureMarksNothing, Kind::Stale, |t| {
        t.call(0, LEAF);
        let invalidation = t.start_invalidate(0, DATUM);
        t.run_through(invalidation, "INVALIDATE");
        // The process skips its own message, because the invalidation will mark memory when it ends.
        t.deliver(0);
        t.inject(Fault::Cut, 0);
        t.run_to_end(invalidation);
        t.inject(Fault::Cut, 0);
        t.synchronize();
        t.advance(MAX_STALENESS);
        t.synchronize();
        t.call(0, LEAF);
    }),
    case(Mistake::FailedInvalidationsAreForgotten, Kind::Stale, |t| {
        t.call(1, LEAF);
        let invalidation = t.start_invalidate(0, DATUM);
        t.run_until(invalidation, "INVALIDATE");
        t.cancel(invalidation);
        // The entry is still live.
        t.call(0, LEAF);
        // The command was on its way all the time.
        t.run_through(invalidation, "INVALIDATE");
        t.synchronize();
        t.advance(MAX_STALENESS);
        t.synchronize();
        t.call(0, LEAF);
    }),
];

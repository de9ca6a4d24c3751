//! Mistakes with holds and with remembered invalidations.

use super::*;
use crate::protocol::faults::Fault;
use crate::protocol::{HOLD, MAX_STALENESS};

/// A hold whose writer is killed.
fn orphaned(t: &Timeline) -> crate::protocol::writes::Hold {
    let hold = t.place(1, DATUM);
    t.restart(1);
    hold
}

pub(super) const ALL: &[Case] = &[
    case(Mistake::LostHoldsCountAsNone, Kind::Stale, |t| {
        t.call(0, LEAF);
        let hold = orphaned(t);
        t.inject(Fault::LosesHolds, 0);
        t.settle(0);
        // Stored again after the loss was noticed.
        t.call(0, LEAF);
        t.commit(hold);
        t.advance(HOLD + 1);
        t.call(2, LEAF);
    }),
    case(Mistake::LostHoldsInvalidateLate, Kind::Stale, |t| {
        t.call(0, LEAF);
        let hold = orphaned(t);
        t.commit(hold);
        t.advance(HOLD - 1);
        t.inject(Fault::LosesHolds, 0);
        // It is over before anybody notices.
        t.advance(2);
        t.call(2, LEAF);
    }),
    case(Mistake::LostTagsInvalidateNothing, Kind::Stale, |t| {
        t.call(0, LEAF);
        let hold = orphaned(t);
        t.commit(hold);
        t.inject(Fault::LosesHeld, 0);
        t.advance(HOLD + 1);
        t.call(2, LEAF);
    }),
    case(Mistake::EndsBeyondAreOver, Kind::Stale, |t| {
        t.call(0, LEAF);
        let hold = orphaned(t);
        t.inject(Fault::TimeSetBack, 0);
        t.settle(0);
        t.call(0, LEAF);
        t.commit(hold);
        // As long as the time was set back, and a whole life.
        t.advance(50 + HOLD + 1);
        t.call(2, LEAF);
    }),
    case(Mistake::SettledUnderOwnName, Kind::Stale, |t| {
        t.call(1, LEAF);
        let hold = t.place(0, DATUM);
        t.restart(0);
        t.commit(hold);
        t.advance(HOLD + 1);
        // Its script settles.
        t.invalidate(1, Tag::Pages);
        t.call_when_memory_counts(1, LEAF);
    }),
    case(Mistake::HoldsAreNotNumbered, Kind::LossUnnoticed, |t| {
        t.call(0, LEAF);
        let replica = t.replica();
        t.place(1, DATUM);
        t.fail_over(&replica, Fault::Failover);
        t.must_repair(|t| t.settle(1));
    }),
    case(Mistake::SettlesAfterTheSequence, Kind::Stale, |t| {
        // Creates the buckets.
        t.call(0, OTHER_LEAF);
        let hold = t.place(1, DATUM);
        t.call(0, LEAF);
        t.restart(1);
        t.commit(hold);
        t.refresh(0, OTHER_LEAF);
        let refresh = t.start_refresh(0, OTHER_LEAF);
        t.run_until(refresh, "end of the body");
        // The bucket of the datum's tag. What the run added re-creates it, by the script that settles.
        t.inject(Fault::LosesBucket, 0);
        t.advance(HOLD + 1);
        t.run_to_end(refresh);
        t.restart(2);
        t.call(2, LEAF);
    }),
    case(Mistake::RenewalsDontReplace, Kind::Stale, |t| {
        t.call(0, LEAF);
        let hold = t.place(1, DATUM);
        t.inject(Fault::LosesHolds, 0);
        t.settle(0);
        t.advance(HOLD - 5);
        t.renew(1, hold);
        // The hold on everything ends.
        t.advance(10);
        t.call(0, LEAF);
        t.commit(hold);
        t.restart(1);
        t.advance(HOLD);
        t.call(2, LEAF);
    }),
    case(Mistake::RepairKeepsTheHolds, Kind::Stale, |t| {
        t.call(0, LEAF);
        let replica = t.replica();
        let hold = t.place(1, DATUM);
        t.deliver(0);
        t.fail_over(&replica, Fault::Failover);
        t.restart(1);
        // It has heard of the hold.
        t.settle(0);
        t.call(0, LEAF);
        t.commit(hold);
        t.advance(HOLD + 1);
        t.call(2, LEAF);
    }),
    case(Mistake::HoldsEndWhenDropped, Kind::Stale, |t| {
        t.call(0, LEAF);
        let hold = t.place(1, DATUM);
        t.leave(1, hold);
        t.restart(0);
        t.call(0, LEAF);
        // It was on its way.
        t.commit(hold);
        t.advance(HOLD + 1);
        t.call(2, LEAF);
    }),
    case(Mistake::ReadsDontSettle, Kind::Stale, |t| {
        t.call(0, LEAF);
        let hold = orphaned(t);
        t.commit(hold);
        t.advance(HOLD + 1);
        t.call(2, LEAF);
    }),
    case(Mistake::EndsAfterTheSequence, Kind::Stale, |t| {
        t.call(0, LEAF);
        let hold = orphaned(t);
        t.synchronize();
        t.commit(hold);
        t.advance(HOLD + 1);
        let call = t.start_call(2, LEAF);
        t.run_through(call, "GET clock");
        // Settles.
        t.settle(0);
        t.run_to_end(call);
    }),
    case(Mistake::RememberedAfterTheRead, Kind::Stale, |t| {
        t.call(0, LEAF);
        t.inject(Fault::Cut, 1);
        t.invalidate(1, DATUM);
        t.inject(Fault::Cut, 1);
        t.call(1, LEAF);
    }),
    case(Mistake::FullQueuesForget, Kind::Stale, |t| {
        t.call(0, LEAF);
        t.inject(Fault::Cut, 1);
        t.invalidate(1, DATUM);
        t.invalidate(1, Tag::Pages);
        t.inject(Fault::Cut, 1);
        t.call(1, LEAF);
    }),
];

/// A write whose hold ends well is demanded at once, and readers keep the old value before.
#[test]
fn while_a_hold_lives_nothing_changes() {
    let steps = |t: &Timeline| {
        t.call(0, LEAF);
        let hold = t.place(1, DATUM);
        t.call_without_run(2, LEAF);
        t.advance(HOLD / 3);
        t.renew(1, hold);
        t.advance(HOLD - MAX_STALENESS);
        t.call_without_run(2, LEAF);
        t.commit(hold);
        t.end_well(1, hold);
        t.call(2, LEAF);
        t.call_when_memory_counts(0, LEAF);
    };
    let (violation, trace) = settled(&steps, None);
    assert!(violation.is_none(), "{}\n{trace}", describe(violation.as_ref()));
}

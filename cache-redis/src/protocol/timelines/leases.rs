//! Mistakes around leases.

use super::*;
use crate::protocol::LEASE;
use crate::protocol::faults::Fault;

pub(super) const ALL: &[Case] = &[
    case(Mistake::LeaseIsTakenAway, Kind::LeaseBroken, |t| {
        let run = t.start_call(0, LEAF);
        t.run_until(run, "body");
        t.run_through(t.start_call(1, LEAF), "LEASE");
    }),
    case(Mistake::LeaseIgnoresNewEntries, Kind::LeaseBroken, |t| {
        let call = t.start_call(1, LEAF);
        // It has read that there is no entry.
        t.run_until(call, "LEASE");
        t.call(0, LEAF);
        t.run_to_end(call);
    }),
    case(Mistake::ReleasesAnyonesLease, Kind::LeaseBroken, |t| {
        let first = t.start_call(0, LEAF);
        t.run_until(first, "body");
        t.inject(Fault::LosesLease, 0);
        let second = t.start_call(1, LEAF);
        t.run_until(second, "body");
        // It releases the lease that it believes to hold.
        t.cancel(first);
        t.run_through(t.start_call(2, LEAF), "LEASE");
    }),
    case(Mistake::StoresWithoutTheLease, Kind::LeaseBroken, |t| {
        let first = t.start_call(0, LEAF);
        t.run_until(first, "end of the body");
        t.inject(Fault::LosesLease, 0);
        let second = t.start_call(1, LEAF);
        t.run_until(second, "body");
        t.run_to_end(first);
    }),
    case(Mistake::LeasesAreNotRenewed, Kind::LeaseBroken, |t| {
        let run = t.start_call(0, LEAF);
        t.run_until(run, "end of the body");
        t.advance_running(LEASE + 1);
        t.run_through(t.start_call(1, LEAF), "LEASE");
        t.run_to_end(run);
    }),
    case(Mistake::ThirdRunsBegin, Kind::LeaseBroken, |t| {
        for place in 0..2 {
            let run = t.start_call(place, LEAF);
            t.run_until(run, "end of the body");
            t.invalidate(place, Tag::Key(LEAF));
            // The run is dead, so it gives up its lease.
            t.run_through(run, "GIVE UP");
        }
        // Both runs still go on.
        t.run_through(t.start_call(2, LEAF), "LEASE");
    }),
    case(Mistake::FailuresAreNotTold, Kind::Stuck, |t| {
        let run = t.start_call(0, LEAF);
        t.run_until(run, "body");
        let waits = [1, 2].map(|place| t.start_call(place, LEAF));
        for waits in waits {
            t.run_until(waits, "wait for the lease");
        }
        t.inject(Fault::BodyFails, 0);
        t.run_to_end(run);
        t.deliver(1);
        t.run_until(waits[0], "body");
        // It has waited for a run that failed, so it doesn't wait for the next one.
        t.deliver(2);
        t.run_while_ready(waits[1]);
        t.must_have_ended(waits[1]);
    }),
    case(Mistake::RefreshesWaitForTheLease, Kind::Replaced, |t| {
        let run = t.start_call(0, LEAF);
        t.run_until(run, "end of the body");
        t.change(DATUM);
        t.refresh(1, LEAF);
        t.run_to_end(run);
        t.call_for_newest(2, 0);
    }),
    case(Mistake::LostLeasesLeaveTheirResults, Kind::Replaced, |t| {
        let run = t.start_call(0, LEAF);
        t.run_until(run, "end of the body");
        t.change(DATUM);
        t.refresh(1, LEAF);
        t.run_to_end(run);
        t.call_for_newest(0, 0);
    }),
    case(Mistake::NobodyIsWoken, Kind::Stuck, |t| {
        let run = t.start_call(0, LEAF);
        t.run_until(run, "body");
        let waits = t.start_call(1, LEAF);
        t.run_until(waits, "wait for the lease");
        t.run_to_end(run);
        t.deliver(1);
        t.must_be_ready(waits);
    }),
    case(Mistake::WaitersOnlyHear, Kind::Stuck, |t| {
        let run = t.start_call(0, LEAF);
        t.run_until(run, "body");
        let waits = t.start_call(1, LEAF);
        t.run_until(waits, "wait for the lease");
        t.inject(Fault::Kill, 0);
    }),
];

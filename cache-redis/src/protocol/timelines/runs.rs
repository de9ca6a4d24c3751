//! Mistakes in what an entry depends on, and with which stamps.

use super::*;
use crate::protocol::MAX_STALENESS;
use crate::protocol::faults::Fault;

pub(super) const ALL: &[Case] = &[
    case(Mistake::StampAfterTheBody, Kind::Stale, |t| {
        let run = t.start_call(0, LEAF);
        // The body has read its datum.
        t.run_until(run, "end of the body");
        t.invalidate(1, DATUM);
        t.run_to_end(run);
        t.call(2, LEAF);
    }),
    case(Mistake::KnownAfterTheBody, Kind::Stale, |t| {
        let page = t.start_call(0, Key::Page);
        t.run_through(page, "body");
        // So the leaf runs without a lease.
        t.inject(Fault::Cut, 0);
        t.run_through(page, "body");
        t.inject(Fault::Cut, 0);
        t.invalidate(1, DATUM);
        // Reading the sequence, the process learns the number, but not the tag.
        t.call(0, OTHER_LEAF);
        t.run_to_end(page);
        t.call(2, Key::Page);
    }),
    case(Mistake::EpochAfterTheBody, Kind::Stale, |t| {
        let run = t.start_call(0, LEAF);
        t.run_until(run, "end of the body");
        t.invalidate(0, DATUM);
        t.run_to_end(run);
        t.call(0, LEAF);
    }),
    case(Mistake::EpochAfterTheRead, Kind::Stale, |t| {
        t.call(1, LEAF);
        let call = t.start_call(0, LEAF);
        t.run_through(call, "GET entry");
        t.invalidate(0, DATUM);
        t.run_to_end(call);
        t.call(0, LEAF);
    }),
    case(Mistake::AssuredFromTheAnswer, Kind::Stale, |t| {
        t.call(1, LEAF);
        let call = t.start_call(0, LEAF);
        t.run_through(call, "GET entry");
        t.invalidate(1, DATUM);
        t.lose_messages(0);
        t.advance(5);
        t.run_to_end(call);
        t.advance(MAX_STALENESS - 5);
        t.call(0, LEAF);
    }),
    case(Mistake::EachLevelIsAssuredAnew, Kind::Stale, |t| {
        t.call(0, LEAF);
        t.invalidate(1, DATUM);
        t.lose_messages(0);
        t.advance(MAX_STALENESS - 1);
        // Computed from the leaf in memory, which is trusted for one more tick.
        t.call(0, Key::Page);
        t.advance(1);
        t.call(0, Key::Page);
    }),
    case(Mistake::ParentsStampWhatTheyInherit, Kind::Stale, |t| {
        t.call(0, LEAF);
        // Process 0 hasn't heard of it, but the page's stamp is newer.
        t.invalidate(1, DATUM);
        t.call(0, Key::Page);
        t.call(2, Key::Page);
    }),
    case(Mistake::HitsAreNotReported, Kind::Stale, |t| {
        t.call(0, LEAF);
        t.call(0, Key::Page);
        t.invalidate(0, DATUM);
        t.call(0, Key::Page);
    }),
    case(Mistake::StoresMakeNoBuckets, Kind::NotCached, |t| {
        t.call(0, LEAF);
        t.invalidate(0, Tag::Key(OTHER_LEAF));
        // Its log begins after the leaf's stamp, so it asks the buckets.
        t.restart(1);
        t.synchronize();
        t.call_without_run(1, LEAF);
    }),
    case(Mistake::DroppedLeadersLeaveTheirFlights, Kind::Stuck, |t| {
        let run = t.start_call(0, LEAF);
        t.run_until(run, "body");
        let waits = t.start_call(0, LEAF);
        t.run_until(waits, "wait for a flight");
        t.cancel(run);
        t.must_be_ready(waits);
    }),
    case(Mistake::AnyFlightAnswers, Kind::Stale, |t| {
        let run = t.start_call(0, LEAF);
        t.run_until(run, "end of the body");
        t.invalidate(0, DATUM);
        let late = t.start_call(0, LEAF);
        t.run_until(late, "wait for a flight");
        t.run_to_end(run);
        t.run_to_end(late);
    }),
    case(Mistake::OlderRunsReplaceNewer, Kind::Replaced, |t| {
        let run = t.start_call(0, LEAF);
        t.run_until(run, "end of the body");
        t.change(DATUM);
        t.refresh(0, LEAF);
        t.run_to_end(run);
        t.call_for_newest(0, 0);
    }),
    case(Mistake::OnlyTheLatestMakesRoom, Kind::Stuck, |t| {
        let runs = [0, 1].map(|_| {
            let run = t.start_call(0, LEAF);
            t.run_until(run, "end of the body");
            t.invalidate(0, Tag::Key(LEAF));
            t.run_through(run, "GIVE UP");
            run
        });
        let third = t.start_call(0, LEAF);
        t.run_until(third, "wait for a flight");
        t.run_to_end(runs[0]);
        t.must_be_ready(third);
    }),
    case(Mistake::WaitersAreNotLetGo, Kind::Stuck, |t| {
        let run = t.start_call(0, LEAF);
        t.run_until(run, "body");
        let leads = t.start_call(1, LEAF);
        t.run_until(leads, "wait for the lease");
        let joins = t.start_call(1, LEAF);
        t.run_until(joins, "wait for a flight");
        t.inject(Fault::BodyFails, 0);
        t.run_to_end(run);
        t.deliver(1);
        // The run that was waited for has failed, so nobody waits for this one.
        t.run_until(leads, "body");
        t.must_be_ready(joins);
    }),
];

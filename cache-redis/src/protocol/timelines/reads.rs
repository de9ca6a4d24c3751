//! Mistakes in judging an entry from Redis.

use super::*;
use crate::protocol::faults::Fault;

pub(super) const ALL: &[Case] = &[
    case(Mistake::LogIgnoresTheSequence, Kind::Stale, |t| {
        t.call(0, LEAF);
        // The message hasn't arrived.
        t.invalidate(0, DATUM);
        t.call(1, LEAF);
    }),
    case(Mistake::ConnectionsIntroduceThemselves, Kind::Stale, |t| {
        t.call(0, LEAF);
        let replica = t.replica();
        // Process 1 hears of both; the failover loses them.
        t.invalidate(0, Tag::Pages);
        t.invalidate(0, Tag::Pages);
        t.deliver(1);
        t.fail_over(&replica, Fault::Failover);
        // These get the same numbers again. Process 1 is still subscribed to the old server.
        t.restart(2);
        t.invalidate(2, DATUM);
        t.invalidate(2, Tag::Pages);
        t.heartbeat(1);
        t.call(1, LEAF);
    }),
    case(Mistake::ReconnectsAreNotNoticed, Kind::Stale, |t| {
        t.call(0, LEAF);
        let replica = t.replica();
        t.invalidate(0, Tag::Pages);
        t.invalidate(0, Tag::Pages);
        t.deliver(1);
        t.fail_over(&replica, Fault::Failover);
        t.restart(2);
        t.invalidate(2, DATUM);
        t.invalidate(2, Tag::Pages);
        // Subscribes to the new server.
        t.reconnect_listener(1);
        t.heartbeat(1);
        t.deliver(1);
        t.call(1, LEAF);
    }),
    case(Mistake::BucketsBeforeTheSequence, Kind::Stale, |t| {
        // The log of process 1 begins after the leaf's stamp, so it asks the buckets.
        t.call(0, LEAF);
        t.invalidate(0, Tag::Pages);
        t.lose_messages(1);
        t.synchronize();
        let call = t.start_call(1, LEAF);
        t.run_through(call, "GET clock");
        t.run_through(call, "TIME");
        t.run_through(call, "answer");
        // The first command of the second round trip.
        t.run_one_step(call);
        t.invalidate(0, DATUM);
        t.lose_messages(1);
        t.synchronize();
        t.run_to_end(call);
        t.call(1, LEAF);
    }),
    case(Mistake::FactsCountFromTheAnswer, Kind::Stale, |t| {
        t.call(0, LEAF);
        t.invalidate(0, Tag::Pages);
        t.lose_messages(1);
        t.synchronize();
        let call = t.start_call(1, LEAF);
        // Both buckets have been read.
        t.run_through(call, "HMGET tags");
        t.run_through(call, "HMGET tags");
        t.invalidate(0, DATUM);
        t.lose_messages(1);
        t.synchronize();
        t.run_to_end(call);
        t.call(1, LEAF);
    }),
    case(Mistake::LostBucketCountsAsEmpty, Kind::Stale, |t| {
        t.call(0, LEAF);
        t.invalidate(1, DATUM);
        t.inject(Fault::LosesBucket, 0);
        t.restart(2);
        t.call(2, LEAF);
    }),
    case(Mistake::EntriesMayBeAhead, Kind::Stale, |t| {
        // Creates the buckets.
        t.call(0, OTHER_LEAF);
        let replica = t.replica();
        t.invalidate(0, Tag::Pages);
        t.invalidate(0, Tag::Pages);
        t.call(0, LEAF);
        t.fail_over(&replica, Fault::FailoverOfTheSequence);
        t.restart(1);
        // Its number is older than the leaf's stamp.
        t.invalidate(1, DATUM);
        t.call(1, LEAF);
    }),
    case(Mistake::MessagesAreBelieved, Kind::NotCached, |t| {
        t.call(0, LEAF);
        t.inject(Fault::ForgedMessage, 0);
        t.deliver(1);
        t.heartbeat(1);
        t.call_without_run(1, LEAF);
    }),
    case(Mistake::OldNumbersCount, Kind::Stale, |t| {
        // Creates the buckets.
        t.call(0, OTHER_LEAF);
        let replica = t.replica();
        t.invalidate(0, Tag::Pages);
        t.invalidate(0, Tag::Pages);
        t.deliver(1);
        t.call(0, LEAF);
        t.fail_over(&replica, Fault::FailoverOfTheSequence);
        t.restart(0);
        // Gets the number of the first one above, which the process has heard of.
        t.invalidate(1, DATUM);
        t.restart(2);
        t.invalidate(2, Tag::Pages);
        t.call(2, LEAF);
    }),
    case(Mistake::RefusalsCanBeOvertaken, Kind::LossUnnoticed, |t| {
        // Creates the buckets.
        t.call(0, OTHER_LEAF);
        t.invalidate(0, Tag::Pages);
        t.invalidate(0, Tag::Pages);
        t.call(0, LEAF);
        t.inject(Fault::SequenceSetBack, 0);
        let heartbeat = t.start_heartbeat(0);
        t.run_through(heartbeat, "STAMP");
        // These get the same numbers again. Then the leaf's stamp isn't beyond the sequence any more.
        t.restart(2);
        t.invalidate(2, DATUM);
        t.invalidate(2, Tag::Pages);
        t.must_repair(|t| t.run_while_ready(heartbeat));
        t.restart(1);
        t.call(1, LEAF);
    }),
    case(Mistake::NobodyLooksForTheLastOne, Kind::LossUnnoticed, |t| {
        t.call(0, LEAF);
        let replica = t.replica();
        // The failover loses it.
        t.invalidate(0, DATUM);
        t.fail_over(&replica, Fault::Failover);
        // Gets the same number again.
        t.restart(2);
        t.invalidate(2, Tag::Pages);
    }),
];

//! Rules of the real bus and log, in which no mistakes can be planted from outside. These timelines must pass.

use super::*;
use crate::protocol::MAX_STALENESS;
use crate::protocol::faults::Fault;

pub(super) const ALL: &[(&str, Steps)] = &[
    ("a gap in the numbers makes memory doubtful", |t| {
        t.call(1, LEAF);
        t.invalidate(0, DATUM);
        t.lose_messages(1);
        // With this message the process has heard the latest number.
        t.invalidate(0, Tag::Pages);
        t.deliver(1);
        t.call_when_memory_counts(1, LEAF);
    }),
    ("a comparison after a loss of track makes memory doubtful", |t| {
        t.call(0, LEAF);
        t.inject(Fault::Overrun, 1);
        // Filled after the loss was noticed, and before the next heartbeat.
        t.call(1, LEAF);
        t.invalidate(0, DATUM);
        t.lose_messages(1);
        t.call_when_memory_counts(1, LEAF);
    }),
    ("messages lost with the clock are noticed", |t| {
        t.call(1, LEAF);
        t.inject(Fault::LosesSequence, 0);
        t.advance(2);
        // The sequence leaps to the server's time.
        t.invalidate(0, DATUM);
        t.lose_messages(1);
        t.call_when_memory_counts(1, LEAF);
    }),
    ("a message that overtakes another loses nothing", |t| {
        t.call(1, LEAF);
        t.invalidate(0, DATUM);
        t.invalidate(0, Tag::Pages);
        t.deliver_last_first(1);
        t.call_when_memory_counts(1, LEAF);
    }),
    // Only other nodes of a cluster make copies: twice from one server are two messages.
    ("a message twice loses nothing", |t| {
        t.call(1, LEAF);
        t.invalidate(0, Tag::Pages);
        t.deliver_twice(1);
        t.call_when_memory_counts(1, LEAF);
    }),
    ("a process that stopped listening doesn't trust memory for long", |t| {
        t.call(1, LEAF);
        t.inject(Fault::Deaf, 1);
        t.invalidate(0, DATUM);
        t.heartbeat(1);
        t.advance(MAX_STALENESS);
        t.heartbeat(1);
        t.call(1, LEAF);
    }),
    ("an invalidation without memory left kills what it stands for", |t| {
        t.call(1, LEAF);
        t.inject(Fault::OutOfMemory, 0);
        t.invalidate(0, DATUM);
        t.call_when_memory_counts(1, LEAF);
        t.restart(2);
        t.call(2, LEAF);
    }),
    ("numbers that were given out twice don't revive an entry", |t| {
        // The log of process 1 begins with its stamp.
        t.call(1, LEAF);
        let replica = t.replica();
        t.invalidate(0, Tag::Pages);
        t.deliver(1);
        t.fail_over(&replica, Fault::Failover);
        t.reconnect_listener(1);
        t.restart(0);
        t.invalidate(0, DATUM);
        t.lose_messages(1);
        t.heartbeat(1);
        t.deliver(1);
        t.call(1, LEAF);
    }),
];

#[test]
fn rules_of_the_bus() {
    for (rule, timeline) in ALL {
        let (violation, trace) = settled(timeline, None);
        assert!(violation.is_none(), "{rule}: {}\n{trace}", describe(violation.as_ref()));
    }
}

//! Mistakes in the scripts on the sequence and the buckets.

use super::*;
use crate::protocol::faults::Fault;

pub(super) const ALL: &[Case] = &[
    case(Mistake::LostBucketStartsEmpty, Kind::Stale, |t| {
        t.call(0, LEAF);
        t.invalidate(1, DATUM);
        // The bucket of the datum's tag.
        t.inject(Fault::LosesBucket, 0);
        // Re-creates the bucket.
        t.call(1, OTHER_LEAF);
        t.restart(2);
        t.call(2, LEAF);
    }),
    case(Mistake::SequenceThatWentBackCounts, Kind::Stale, |t| {
        t.call(0, LEAF);
        t.invalidate(0, Tag::Pages);
        t.invalidate(0, Tag::Pages);
        t.deliver(1);
        t.inject(Fault::SequenceSetBack, 0);
        // Its number was given out before.
        t.restart(2);
        t.invalidate(2, DATUM);
        t.lose_messages(1);
        t.call(1, LEAF);
    }),
    case(Mistake::MarksWithTheOldSequence, Kind::Stale, |t| {
        t.call(0, LEAF);
        t.invalidate(1, DATUM);
        t.restart(2);
        t.call(2, LEAF);
    }),
    case(Mistake::TrimKeepsTheFloor, Kind::Stale, |t| {
        t.call(0, LEAF);
        // Trimming drops the first two.
        for tag in [DATUM, Tag::Pages, Tag::Tops, Tag::Key(Key::Top)] {
            t.invalidate(1, tag);
        }
        t.restart(2);
        t.call(2, LEAF);
    }),
    case(Mistake::DamagedRecordsStay, Kind::NotCached, |t| {
        t.call(0, LEAF);
        // The floor of the datum's bucket is far ahead.
        t.inject(Fault::BucketDamaged, 0);
        t.restart(1);
        t.call(1, LEAF);
        t.invalidate(0, Tag::Key(OTHER_LEAF));
        // Its log begins after the leaf's stamp, so it asks the buckets.
        t.restart(2);
        t.synchronize();
        t.call_without_run(2, LEAF);
    }),
    case(Mistake::RepairKeepsTheBuckets, Kind::Stale, |t| {
        // Creates the buckets.
        t.call(0, OTHER_LEAF);
        let replica = t.replica();
        t.invalidate(0, Tag::Pages);
        t.call(0, LEAF);
        // The failover loses it, but process 0 knows of it.
        t.invalidate(0, DATUM);
        t.fail_over(&replica, Fault::FailoverOfTheSequence);
        t.heartbeat(0);
        t.restart(1);
        t.call(1, LEAF);
    }),
];

//! Compares the transcribed scripts with the real ones on a real server: from the same random state and with the same random
//! arguments, both must give the same reply, the same keys and the same messages.

mod real;

use std::collections::BTreeMap;
use std::rc::Rc;

use cache_core::backend::TagId;
use larder_testbed::Server;
use real::Real;

use super::application::{Key, Tag};
use super::mistakes::Mistake;
use super::random::Rng;
use super::server::{
    Bucket, Busy, COMMAND_TAKES, Command, DAMAGED, HeldTags, Holds, LOST, Lease, Redis, Reply, Stored, TICK,
};
use crate::keys::bucket_index;
use crate::sequence::{END, LEAP};

const KEY: Key = Key::Leaf(0);
const BUCKETS: std::ops::Range<usize> = 0..2;
/// The size above which a bucket is trimmed.
const MOST: usize = 4;
/// What ends of holds are relative to: this long before now.
const LONG_AGO: u64 = 1_000_000 * TICK;
/// Ends of holds: over, to come, and too far ahead. None becomes over during the test.
const ENDS: [u64; 3] = [LONG_AGO - 5_000 * TICK, LONG_AGO + 20 * TICK, LONG_AGO + 5_000 * TICK];
/// Durations of leases. None expires during the test.
const DURATIONS: [u64; 3] = [1_000 * TICK, 3_000 * TICK, 20_000 * TICK];

#[test]
fn the_real_scripts_do_the_same() {
    let server = Server::start();
    let mut real = Real::new(&server);
    for seed in 0..800 {
        let difference = difference(seed, None, &mut real);
        assert_eq!(difference, None, "seed {seed}");
    }
}

/// Shows that the comparison is sensitive enough.
#[test]
fn mistakes_in_the_scripts_are_differences() {
    let server = Server::start();
    let mut real = Real::new(&server);
    for mistake in [
        Mistake::LostBucketStartsEmpty,
        Mistake::SequenceThatWentBackCounts,
        Mistake::MarksWithTheOldSequence,
        Mistake::DamagedRecordsStay,
        Mistake::TrimKeepsTheFloor,
        Mistake::RepairKeepsTheBuckets,
        Mistake::LostHoldsCountAsNone,
        Mistake::LostHoldsInvalidateLate,
        Mistake::LostTagsInvalidateNothing,
        Mistake::EndsBeyondAreOver,
        Mistake::SettledUnderOwnName,
        Mistake::HoldsAreNotNumbered,
        Mistake::SettlesAfterTheSequence,
        Mistake::RenewalsDontReplace,
        Mistake::RepairKeepsTheHolds,
        Mistake::LeaseIsTakenAway,
        Mistake::LeaseIgnoresNewEntries,
        Mistake::ThirdRunsBegin,
        Mistake::ReleasesAnyonesLease,
        Mistake::StoresWithoutTheLease,
        Mistake::FailuresAreNotTold,
        Mistake::NobodyIsWoken,
    ] {
        let found = (0..800).any(|seed| difference(seed, Some(mistake), &mut real).is_some());
        assert!(found, "{mistake:?}");
    }
}

/// Runs one command on both sides. Returns the difference, if there is one.
fn difference(seed: u64, mistake: Option<Mistake>, real: &mut Real) -> Option<String> {
    let rng = Rng::new(seed);
    let mut model = Redis { mistake, ..state(&rng) };
    let command = command(&rng, &model);
    real.become_like(&model);
    let (reply, from, to) = real.execute(&command, model.out_of_memory);
    // The server's time at the real execution, inferred from the sequence if that was made from it. What is settled after that
    // counts it up.
    let settled = if matches!(command, Command::Repair { .. }) { numbers_settled(&model, &command, from) } else { 0 };
    model.time = real.sequence().unwrap_or(0).saturating_sub(settled).clamp(from, to) - COMMAND_TAKES;
    let begins = model.time + COMMAND_TAKES;
    set_holds(&mut model, begins);
    model.leases.values_mut().for_each(|lease| lease.ends = lease.ends.map(|ends| ends + begins));
    let before = format!("{command} from {model:?}");
    let expected = model.execute(&command);
    let difference = if is_like(&reply, &expected) {
        real.differs_from(&model)
    } else {
        Some(format!("the reply is {reply:?} instead of {expected:?}"))
    };
    difference.map(|difference| format!("{difference}: {before}"))
}

/// The ends of holds are relative until the server's time is known.
fn set_holds(model: &mut Redis, now: u64) {
    model.holds.iter_mut().flat_map(|holds| holds.values_mut()).for_each(|end| *end = now + *end - LONG_AGO);
}

/// How many invalidations are settled by this command, at about this time.
fn numbers_settled(model: &Redis, command: &Command, time: u64) -> u64 {
    let mut model = Redis { time, ..model.clone() };
    set_holds(&mut model, time);
    model.execute(command);
    model.published.len().saturating_sub(1) as u64
}

/// The remaining life of a lease needs only be about the same.
fn is_like(real: &Reply, expected: &Reply) -> bool {
    match (real, expected) {
        (Reply::Busy(real), Reply::Busy(expected)) => {
            is_about(real.remaining, expected.remaining) && Busy { remaining: expected.remaining, ..*real } == *expected
        }
        _ => real == expected,
    }
}

fn is_about(left: u64, expected: u64) -> bool {
    left.abs_diff(expected) < 300 * TICK
}

/// A random state. The ends of leases are relative to the server's time, which isn't known yet.
fn state(rng: &Rng) -> Redis {
    let now = 1_000_000 + rng.below(1_000) as u64;
    let number = |near: u64| if rng.one_in(20) { rng.one_of(&[DAMAGED, END - 1, END]) } else { near };
    let sequence = (!rng.one_in(4)).then(|| number(now));
    let mut buckets = BTreeMap::new();
    for index in BUCKETS.filter(|_| !rng.one_in(3)) {
        let tags = tags().into_iter().filter(|tag| bucket_index(*tag) == index && rng.one_in(2));
        let past = || number(now + 2 - rng.below(20) as u64);
        let stamps: BTreeMap<_, _> = tags.map(|tag| (tag, past())).collect();
        let floor = (stamps.is_empty() || !rng.one_in(6)).then(past);
        buckets.insert(index, Bucket { floor, stamps });
    }
    let entry = (!rng.one_in(2)).then(|| (KEY, Rc::new(stored(7))));
    let lease = (!rng.one_in(5)).then(|| (KEY, lease(rng)));
    let (holds, held) = holds(rng);
    Redis {
        holds,
        held,
        sequence,
        buckets,
        entries: entry.into_iter().collect(),
        leases: lease.into_iter().collect(),
        tags_per_bucket: MOST,
        out_of_memory: rng.one_in(5),
        ..Redis::default()
    }
}

/// Random holds, and tags of some of them. Callers have the token 20.
fn holds(rng: &Rng) -> (Holds, HeldTags) {
    if rng.one_in(6) {
        return (
            None,
            BTreeMap::from([(20, vec![Tag::Datum(0).id()])]).into_iter().filter(|_| rng.one_in(2)).collect(),
        );
    }
    let mut ends: BTreeMap<u64, u64> = BTreeMap::new();
    for token in [LOST, 20, 21].into_iter().filter(|_| rng.one_in(4)) {
        // At most one of each kind: holds that end at one moment have no order.
        let kinds: Vec<u64> = ENDS.into_iter().filter(|end| !ends.values().any(|other| other == end)).collect();
        ends.insert(token, rng.one_of(&kinds));
    }
    let some = || tags().into_iter().filter(|_| rng.one_in(4)).chain([Tag::Datum(1).id()]).collect();
    let held = ends.keys().filter(|token| **token != LOST && !rng.one_in(4)).map(|token| (*token, some())).collect();
    (Some(ends), held)
}

/// A random lease. Callers have the tokens 10 and 11, others have 12 and 13.
fn lease(rng: &Rng) -> Lease {
    let (awaited, ends) = (rng.one_in(2), (!rng.one_in(6)).then(|| rng.one_of(&DURATIONS)));
    if rng.one_in(8) {
        // In a form without a duration.
        return Lease { holder: Some(13), awaited, ends, ..Lease::default() };
    }
    let (holder, dead) = (rng.one_of(&[Some(10), Some(13), None]), rng.one_of(&[Some(11), Some(12), None]));
    let dead = dead.or(holder.is_none().then_some(12));
    let leaving = holder.is_some() && dead.is_some() && rng.one_in(2);
    Lease { holder, duration: Some(rng.one_of(&DURATIONS)), dead, unstored: rng.one_in(2), leaving, awaited, ends }
}

fn stored(id: u64) -> Stored {
    Stored { id, value: BTreeMap::new(), tags: Vec::new() }
}

fn tags() -> Vec<TagId> {
    let keys = Key::all().map(Tag::Key);
    keys.chain([Tag::Everything, Tag::Leaves, Tag::Pages, Tag::Datum(0), Tag::Datum(1)]).map(Tag::id).collect()
}

fn command(rng: &Rng, state: &Redis) -> Command {
    let sequence = state.sequence.filter(|sequence| *sequence < END).unwrap_or(1_000_000);
    let told = rng.one_of(&[0, 1, sequence - 1, sequence, sequence, sequence + 1]);
    let least =
        rng.one_of(&[0, sequence - 1, sequence, sequence + LEAP, 1_600_000_000_000_000, 1 << 51, END - LEAP, END - 1]);
    let some_tags = || tags().into_iter().filter(|_| rng.one_in(3)).chain([Tag::Datum(0).id()]).collect::<Vec<_>>();
    let (key, token, duration) = (KEY, rng.one_of(&[10, 11]), rng.one_of(&DURATIONS));
    let author = "author.0".to_owned();
    match rng.below(12) {
        0 | 1 if rng.one_in(4) => Command::Stamp { told, tags: Vec::new() },
        0 | 1 => Command::Stamp { told, tags: some_tags() },
        2 if rng.one_in(2) => {
            Command::Hold { told, author, token: 20, duration: 25 * TICK, tags: some_tags(), renews: rng.one_in(2) }
        }
        2 | 3 => {
            let (end_of, no_sequence) = (rng.one_of(&[None, Some(20)]), rng.one_in(3));
            Command::Invalidate { told, author, end_of, no_sequence, tags: some_tags(), by: 0 }
        }
        4 => Command::Repair { least, author },
        5 | 6 => Command::Lease { key, seen: rng.one_of(&[0, 7]), token, duration, takes_over: rng.one_in(3) },
        7 => Command::Renew { key, token, duration },
        8 => Command::GiveUp { key, token },
        9 => Command::Release { key, token, unstored: rng.one_in(2) },
        10 => Command::Store { key, token, entry: Rc::new(stored(8)) },
        _ if rng.one_in(2) => Command::GetLease(key),
        _ => Command::GetTags(some_tags().into_iter().filter(|tag| bucket_index(*tag) == 0).collect()),
    }
}

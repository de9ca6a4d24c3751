//! What a shard keeps, and what it lets go of.

use std::cell::Cell;
use std::collections::BTreeMap;

use super::*;

type Numbers = Shard<u64, u64>;

/// As a store does it: its keys are their own hashes.
fn insert(shard: &mut Numbers, key: u64, value: u64, weight: u32) -> Vec<u64> {
    insert_until(shard, key, value, weight, u64::MAX)
}

fn insert_until(shard: &mut Numbers, key: u64, value: u64, weight: u32, end: u64) -> Vec<u64> {
    let found = find(shard, key);
    let mut out = Out::new();
    shard.insert(found, New { hash: hash(key), key, value, weight, end, now: 0 }, &mut out);
    out.into_iter().map(|(key, _)| key).collect()
}

fn hash(key: u64) -> u64 {
    key.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn find(shard: &Numbers, key: u64) -> Option<u32> {
    shard.find(hash(key), |other| Some(*other == key)).unwrap()
}

fn get(shard: &mut Numbers, key: u64) -> Option<u64> {
    let slot = find(shard, key)?;
    shard.get(slot).copied()
}

fn remove(shard: &mut Numbers, key: u64) -> bool {
    let mut out = Out::new();
    if let Some(slot) = find(shard, key) {
        shard.remove(slot, &mut out);
    }
    !out.is_empty()
}

#[test]
fn what_came_in_last_stays_and_the_bound_is_exact() {
    for bound in [1, 2, 3, 10, 100, 1_000] {
        let mut shard = Numbers::new(bound, Evict::Unasked);
        for key in 0..3 * bound {
            insert(&mut shard, key, key, 1);
            assert_eq!(get(&mut shard, key), Some(key), "bound {bound}");
            assert!(shard.len() as u64 <= bound, "{} in a bound of {bound}", shard.len());
        }
        let mut untouched = Numbers::new(bound, Evict::Unasked);
        (0..3 * bound).for_each(|key| drop(insert(&mut untouched, key, key, 1)));
        let kept: Vec<_> = (0..3 * bound).filter(|key| find(&untouched, *key).is_some()).collect();
        assert_eq!(kept, (2 * bound..3 * bound).collect::<Vec<_>>(), "the last ones that nobody asked for again");
    }
}

#[test]
fn what_is_asked_for_outlives_what_is_not() {
    let mut shard = Numbers::new(100, Evict::Unasked);
    (0..100).for_each(|key| drop(insert(&mut shard, key, key, 1)));
    for round in 0..20 {
        assert!((0..20).all(|key| get(&mut shard, key) == Some(key)), "in round {round}");
        // Each once, as a scan does.
        (0..50).for_each(|key| drop(insert(&mut shard, 1_000 + round * 50 + key, 0, 1)));
    }
}

#[test]
fn what_comes_back_soon_stays_longer() {
    let mut shard = Numbers::new(100, Evict::Unasked);
    (0..200).for_each(|key| drop(insert(&mut shard, key, key, 1)));
    assert_eq!(find(&shard, 50), None);
    insert(&mut shard, 50, 50, 1);
    (300..600).for_each(|key| drop(insert(&mut shard, key, key, 1)));
    assert_eq!(get(&mut shard, 50), Some(50), "it had been there a moment ago");
    assert_eq!(find(&shard, 301), None, "the others come once and go");
}

#[test]
fn weights_are_kept_within_the_bound() {
    let mut shard = Numbers::new(1_000, Evict::Unasked);
    let mut weights = BTreeMap::new();
    for step in 0..10_000_u64 {
        let (key, weight) = (step * 7 % 83, (step * 31 % 400) as u32);
        for gone in insert(&mut shard, key, step, weight) {
            assert!(gone == key || weights.remove(&gone).is_some());
        }
        weights.insert(key, u64::from(weight));
        if step % 5 == 0 && remove(&mut shard, step % 83) {
            weights.remove(&(step % 83));
        }
        let sum: u64 = weights.values().sum();
        assert!(sum <= 1_000, "{sum}");
        assert_eq!((shard.weight, shard.len()), (sum, weights.len()));
        let small: u64 = shard
            .slots
            .iter()
            .filter(|slot| slot.taken.is_some() && !slot.is_in_main)
            .map(|slot| u64::from(slot.weight))
            .sum();
        assert_eq!(shard.small_weight, small);
    }
}

#[test]
fn one_that_grows_in_its_place_makes_room_and_stays() {
    let mut shard = Numbers::new(100, Evict::Unasked);
    (0..10).for_each(|key| drop(insert(&mut shard, key, key, 10)));
    let gone = insert(&mut shard, 3, 33, 95);
    assert_eq!(gone.len(), 10, "the old value, and the others");
    assert_eq!((get(&mut shard, 3), shard.len()), (Some(33), 1));
}

#[test]
fn what_is_taken_out_leaves_no_trace() {
    for bound in [100, u64::MAX] {
        let mut shard = Numbers::new(bound, Evict::Unasked);
        for key in 0..100_000 {
            insert(&mut shard, key, key, 1);
            assert!(remove(&mut shard, key) && !remove(&mut shard, key) && find(&shard, key).is_none());
        }
        assert_eq!((shard.len(), shard.weight, shard.small_weight), (0, 0, 0));
        assert!(shard.slots.len() <= 2 && shard.small.len() + shard.main.len() <= 100, "holes are swept");
    }
}

#[test]
fn everything_comes_out_at_once() {
    let mut shard = Numbers::new(10, Evict::Unasked);
    (0..30).for_each(|key| drop(insert(&mut shard, key, key, 1)));
    assert_eq!(shard.clear().count(), 10);
    assert_eq!((shard.len(), shard.weight), (0, 0));
    insert(&mut shard, 1, 1, 1);
    assert_eq!(get(&mut shard, 1), Some(1));
}

#[test]
fn without_a_bound_nothing_goes() {
    let mut shard = Numbers::new(u64::MAX, Evict::Unasked);
    (0..10_000).for_each(|key| assert!(insert(&mut shard, key, key, u32::MAX).is_empty()));
    assert!(
        (0..10_000).all(|key| get(&mut shard, key) == Some(key)) && shard.small.is_empty() && shard.main.is_empty()
    );
}

const SECOND: u64 = 1_000_000_000;

#[test]
fn what_has_ended_goes_and_what_was_prolonged_stays() {
    let mut shard = Numbers::new(1_000, Evict::Unasked);
    // The value is the end.
    (1..=10).for_each(|key| drop(insert_until(&mut shard, key, key * SECOND, 1, key * SECOND)));
    insert(&mut shard, 11, u64::MAX, 1);
    insert_until(&mut shard, 1, 20 * SECOND, 1, 20 * SECOND);
    insert_until(&mut shard, 9, 2 * SECOND, 1, 2 * SECOND);
    let due = |shard: &mut Numbers, now: u64| {
        let mut out = Out::new();
        shard.take_due(now, |end| *end, &mut out);
        let mut keys: Vec<_> = out.into_iter().map(|(key, _)| key).collect();
        keys.sort_unstable();
        keys
    };
    assert_eq!(due(&mut shard, 0), [0_u64; 0]);
    assert_eq!(due(&mut shard, 6 * SECOND - 1), [2, 3, 4, 5, 9]);
    assert_eq!(due(&mut shard, 9 * SECOND), [6, 7, 8], "a part of a second later at most");
    assert_eq!(due(&mut shard, 15 * SECOND), [10]);
    assert_eq!(due(&mut shard, 21 * SECOND), [1]);
    assert!(!shard.has_ends() && shard.len() == 1);
}

#[test]
fn what_ends_at_once_goes_bit_by_bit() {
    let mut shard = Numbers::new(u64::MAX, Evict::Unasked);
    (0..1_000).for_each(|key| drop(insert_until(&mut shard, key, 0, 1, SECOND)));
    let (mut steps, mut most) = (0, 0);
    while shard.len() > 0 {
        let mut out = Out::new();
        shard.take_due(2 * SECOND, |end| *end, &mut out);
        most = most.max(out.into_iter().count());
        steps += 1;
    }
    assert!(most <= 64 && steps <= 1_000 / most + 1);
}

/// One that is written again and again is noted once.
#[test]
fn ends_that_are_put_off_take_no_room() {
    let mut shard = Numbers::new(u64::MAX, Evict::Unasked);
    (1..10_000).for_each(|now| drop(insert_until(&mut shard, 1, now * SECOND, 1, now * SECOND)));
    let mut parts = 0;
    while shard.ends.take_due(u64::MAX - 1).is_some() {
        parts += 1;
    }
    assert_eq!(parts, 1);
}

#[test]
fn an_end_that_moves_to_and_fro_is_noted_once() {
    let mut shard = Numbers::new(u64::MAX, Evict::Unasked);
    for end in [10, 5, 20] {
        insert_until(&mut shard, 1, end * SECOND, 1, end * SECOND);
    }
    for now in [6, 11] {
        let mut out = Out::new();
        shard.take_due(now * SECOND, |end| *end, &mut out);
        assert!(out.is_empty());
    }
    let parts = std::iter::from_fn(|| shard.ends.take_due(u64::MAX - 1)).count();
    assert_eq!(parts, 1);
}

#[test]
fn ends_of_what_is_gone_take_no_room() {
    const DAY: u64 = 86_400 * SECOND;
    for bound in [10, u64::MAX] {
        let mut shard = Numbers::new(bound, Evict::Unasked);
        for key in 0..100_000 {
            insert_until(&mut shard, key, DAY, 1, DAY);
            if bound == u64::MAX {
                remove(&mut shard, key);
            }
        }
        let parts = std::iter::from_fn(|| shard.ends.take_due(u64::MAX - 1)).count();
        assert!(parts <= 100 && shard.ends.is_empty(), "{parts} for {} entries", shard.len());
    }
}

#[test]
fn nobody_waits_until_all_have_had_their_turns() {
    let mut shard = Numbers::new(100_000, Evict::Unasked);
    (0..100_000).for_each(|key| drop(insert(&mut shard, key, key, 1)));
    (0..3 * 100_000).for_each(|key| assert!(get(&mut shard, key % 100_000).is_some()));
    let before = shard.small.front().copied();
    insert(&mut shard, 200_000, 0, 1);
    let passed = shard.small.iter().position(|place| Some(*place) == before);
    assert!(passed.is_none() && shard.main.len() <= 64, "{} had their turns", shard.main.len());
}

#[test]
fn whoever_made_a_key_is_asked_where_nobody_else_can_tell() {
    let mut shard = Numbers::new(10, Evict::Unasked);
    insert(&mut shard, 1, 1, 1);
    let asked = Cell::new(0);
    let found = shard.find(hash(1), |key| {
        asked.set(*key);
        None
    });
    assert_eq!((found, asked.get()), (Err(&1), 1));
}

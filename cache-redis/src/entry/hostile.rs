//! Whatever anyone writes in an entry's place: never a panic, never a wrong value, never without bounds.

use std::time::Duration;

use cache_core::backend::{Entry, EntryKey, HeldTag, Lifetimes, Stamp, TagId};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::entry;
use crate::proptest_config::config;
use crate::sequence::END;

/// What the store script leaves, and what went into it.
#[derive(Clone, Debug)]
struct Stored {
    blob: Vec<u8>,
    entry: Entry,
    time: u64,
    lifetime: u64,
}

/// As the store script does it.
fn with_tail(mut blob: Vec<u8>, time: u64, lifetime: u64) -> Vec<u8> {
    blob.extend_from_slice(format!("{time:016}{lifetime:013}").repeat(2).as_bytes());
    blob
}

fn key() -> EntryKey {
    EntryKey::new(*b"key")
}

fn an_entry() -> impl Strategy<Value = Entry> {
    let payload = prop_oneof![vec(any::<u8>(), 0..80), (any::<u8>(), 0..500_usize).prop_map(|(byte, n)| vec![byte; n])];
    let keep = of((0..1u64 << 42, 0..1_000_000_000u32)
        .prop_map(|(millis, nanos)| Duration::from_millis(millis) + Duration::from_nanos(u64::from(nanos))));
    (payload, vec((any::<u64>(), 0..END), 0..8), keep).prop_map(|(payload, tags, keep)| Entry {
        payload,
        tags: tags.into_iter().map(|(tag, stamp)| HeldTag { tag: TagId(tag), stamp: Stamp(stamp) }).collect(),
        lifetimes: Lifetimes { fresh: keep, keep, idle: None },
    })
}

fn stored() -> impl Strategy<Value = Stored> {
    (an_entry(), any::<u64>(), of(0..200_usize), 0..1u64 << 53, 1..1u64 << 42).prop_map(
        |(entry, id, above, time, some)| {
            let lifetime = entry.lifetimes.keep.map_or(0, |_| some);
            let blob = entry::encode(id, &key(), entry.clone(), above).to_vec();
            Stored { blob: with_tail(blob, time, lifetime), entry, time, lifetime }
        },
    )
}

#[derive(Clone, Debug)]
enum Damage {
    Flip(Index, u8),
    Cut(Index),
    Remove(Index, Index),
    Insert(Index, Vec<u8>),
    /// The end of the other one.
    Splice(Index, Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let place = any::<Index>;
    prop_oneof![
        (place(), 0..8u8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        place().prop_map(Damage::Cut),
        (place(), place()).prop_map(|(from, to)| Damage::Remove(from, to)),
        (place(), vec(any::<u8>(), 1..20)).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        (place(), place()).prop_map(|(here, there)| Damage::Splice(here, there)),
    ]
}

fn damaged(mut blob: Vec<u8>, other: &[u8], damages: Vec<Damage>) -> Vec<u8> {
    for damage in damages {
        let at = |index: Index| index.index(blob.len() + 1);
        match damage {
            Damage::Flip(index, bit) if !blob.is_empty() => {
                let at = index.index(blob.len());
                blob[at] ^= 1 << bit;
            }
            Damage::Flip(..) => {}
            Damage::Cut(index) => blob.truncate(at(index)),
            Damage::Remove(from, to) => {
                let (from, to) = (at(from), at(to));
                drop(blob.drain(from.min(to)..from.max(to)));
            }
            Damage::Insert(index, bytes) => {
                let at = at(index);
                drop(blob.splice(at..at, bytes));
            }
            Damage::Splice(here, there) => {
                blob.truncate(at(here));
                blob.extend_from_slice(&other[there.index(other.len() + 1)..]);
            }
        }
    }
    blob
}

/// What an entry that was stored then may say now.
fn check_age(stored: &Stored, now: u64, remaining: Option<Duration>) -> Result<(), TestCaseError> {
    let Some(keep) = stored.entry.lifetimes.keep else {
        prop_assert_eq!(remaining, None);
        return Ok(());
    };
    prop_assert!(now >= stored.time, "it is from the future");
    let age = Duration::from_micros(now - stored.time);
    prop_assert!(remaining.is_some_and(|left| left <= keep && left + age <= Duration::from_millis(stored.lifetime)));
    Ok(())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn an_entry_comes_back_with_what_is_left_of_its_life(stored in stored(), now in 0..1u64 << 53, elapsed in 0..1u64 << 30) {
        for now in [now, stored.time, stored.time + elapsed, stored.time.saturating_sub(1)] {
            if let Some(live) = entry::decode(&stored.blob, &key(), now) {
                prop_assert_eq!(&live.entry, &stored.entry);
                check_age(&stored, now, live.remaining)?;
            } else {
                prop_assert!(stored.entry.lifetimes.keep.is_some(), "an entry without an end has none at any time");
            }
        }
        prop_assert!(entry::decode(&stored.blob, &EntryKey::new(*b"kez"), stored.time).is_none());
    }

    #[test]
    fn a_damaged_entry_is_a_miss_or_itself(
        stored in stored(),
        other in stored(),
        damages in vec(damage(), 1..4),
        elapsed in 0..1u64 << 30,
    ) {
        let blob = damaged(stored.blob.clone(), &other.blob, damages);
        let _ = entry::seen(&blob);
        for now in [stored.time + elapsed, other.time + elapsed] {
            let Some(live) = entry::decode(&blob, &key(), now) else { continue };
            // The id, at the beginning, is no part of it. And one may have been replaced by the other as a whole.
            let whole = [&stored, &other].into_iter().find(|whole| blob.get(8..) == whole.blob.get(8..));
            prop_assert!(whole.is_some(), "{blob:?}");
            if let Some(whole) = whole {
                prop_assert_eq!(&live.entry, &whole.entry);
                check_age(whole, now, live.remaining)?;
            }
        }
    }

    #[test]
    fn any_bytes_are_no_entry(bytes in vec(any::<u8>(), 0..300), format in 0..6u8, now: u64) {
        prop_assert!(entry::decode(&bytes, &key(), now).is_none());
        // The same behind a beginning, and before an end, as they should be.
        let begun = [&[1, 0, 0, 0, 0, 0, 0, 0, format, 3, 0, 0, 0, b'k', b'e', b'y'], &bytes[..]].concat();
        prop_assert!(entry::decode(&with_tail(begun, 0, 0), &key(), now).is_none());
    }

    /// With checksums that are right, by someone who knows how.
    #[test]
    fn a_forged_entry_is_bounded_by_its_bytes(entry in an_entry(), format in 0..6u8, size: u64, small in 0..5000u64) {
        for size in [size, small] {
            let head = [&7u64.to_le_bytes()[..], &[format, 3, 0, 0, 0], b"key"].concat();
            let size = size.to_le_bytes();
            for body in [entry.to_bytes(), [&size[..], &entry.to_bytes()].concat()] {
                let blob = with_tail([&head[..], &body].concat(), 0, 1);
                if let Some(live) = entry::decode(&blob, &key(), 0) {
                    prop_assert!(live.entry.payload.len() <= 255 * blob.len());
                }
            }
        }
    }
}

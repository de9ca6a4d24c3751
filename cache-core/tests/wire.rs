//! The byte forms of values and entries: what is written comes back, and any damage is noticed.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use cache_core::backend::{Entry, HeldTag, Lifetimes, Stamp, TagId};
use cache_core::codec::Codec;
use cache_core::wire::{self, Damage};
use cache_core::{Error, ErrorKind};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Bytes as they are: the wire form doesn't depend on a codec.
#[derive(Debug)]
struct Named(&'static str);

impl Codec for Named {
    fn name(&self) -> &str {
        self.0
    }
    fn encode(&self, _: &dyn erased_serde::Serialize, _: &mut Vec<u8>) -> Result<(), Error> {
        Ok(())
    }
    fn decode(
        &self,
        _: &[u8],
        _: &mut dyn FnMut(&mut dyn erased_serde::Deserializer<'_>) -> Result<(), erased_serde::Error>,
    ) -> Result<(), Error> {
        Ok(())
    }
    fn describes_itself(&self) -> bool {
        true
    }
}

const CODEC: Named = Named("raw");

fn seal(value: &[u8], fingerprint: u64) -> Vec<u8> {
    wire::seal(fingerprint, &CODEC, |out| {
        out.extend_from_slice(value);
        Ok(())
    })
    .unwrap()
}

fn lifetime() -> impl Strategy<Value = Option<Duration>> {
    proptest::option::of((any::<u64>(), 0..1_000_000_000u32).prop_map(|(seconds, nanos)| Duration::new(seconds, nanos)))
}

fn entry(largest: usize) -> impl Strategy<Value = Entry> {
    let lifetimes = (lifetime(), lifetime(), lifetime());
    (vec(any::<u8>(), 0..largest), vec((any::<u64>(), any::<u64>()), 0..12), lifetimes).prop_map(
        |(payload, tags, (fresh, keep, idle))| Entry {
            payload,
            tags: tags.into_iter().map(|(tag, stamp)| HeldTag { tag: TagId(tag), stamp: Stamp(stamp) }).collect(),
            lifetimes: Lifetimes { fresh, keep, idle },
        },
    )
}

/// What fails is kept there, to be committed, and is tried first from then on. `PROPTEST_CASES` looks for longer.
fn config() -> ProptestConfig {
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/proptest-regressions/wire.txt");
    let config = ProptestConfig::default();
    let cases = config.cases.max(1000);
    ProptestConfig { cases, failure_persistence: Some(Box::new(FileFailurePersistence::Direct(kept))), ..config }
}

/// All copies with one bit flipped, and all shorter copies.
fn damaged(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let flipped = (0..bytes.len() * 8).map(|bit| {
        let mut copy = bytes.to_vec();
        copy[bit / 8] ^= 1 << (bit % 8);
        copy
    });
    flipped.chain((0..bytes.len()).map(|length| bytes[..length].to_vec()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..config() })]

    #[test]
    fn values_come_back(value in vec(any::<u8>(), 0..300), fingerprint: u64) {
        let payload = seal(&value, fingerprint);
        prop_assert_eq!(wire::open(&payload, fingerprint, &CODEC), Ok(&value[..]));
    }

    #[test]
    fn entries_come_back(entry in entry(300)) {
        let blob = entry.to_bytes();
        prop_assert_eq!(Entry::tags_of(&blob), Ok(entry.tags.clone()));
        prop_assert_eq!(Entry::from_bytes(&blob), Ok(entry));
    }

    #[test]
    fn any_damage_to_a_value_is_noticed(value in vec(any::<u8>(), 0..60), fingerprint: u64, more in vec(any::<u8>(), 1..9)) {
        let payload = seal(&value, fingerprint);
        for copy in damaged(&payload).chain([[&payload[..], &more].concat()]) {
            prop_assert!(wire::open(&copy, fingerprint, &CODEC).is_err());
        }
    }

    #[test]
    fn any_damage_to_an_entry_is_noticed(entry in entry(40), more in vec(any::<u8>(), 1..9)) {
        let blob = entry.to_bytes();
        for copy in damaged(&blob).chain([[&blob[..], &more].concat()]) {
            prop_assert!(Entry::from_bytes(&copy).is_err());
            // The header alone may be in order, but then it is the right one.
            prop_assert!(Entry::tags_of(&copy).is_err() || Entry::tags_of(&copy).as_ref() == Ok(&entry.tags));
        }
    }

    #[test]
    fn random_bytes_are_refused(mut bytes in vec(any::<u8>(), 0..300), known_start: bool, entry: bool) {
        if known_start && bytes.len() > 8 {
            bytes[..8].copy_from_slice(if entry { b"lde\x01\x02\0\0\0" } else { b"ldv\x01\0\0\0\0" });
        }
        prop_assert!(Entry::from_bytes(&bytes).is_err());
        prop_assert!(Entry::tags_of(&bytes).is_err());
        prop_assert!(wire::open(&bytes, 0, &CODEC).is_err());
    }

    #[test]
    fn halves_of_two_entries_are_not_an_entry(a in entry(40), b in entry(40)) {
        let header = |entry: &Entry| {
            let lifetimes = if entry.lifetimes.idle.is_some() { 36 } else { 24 };
            4 + 4 + lifetimes + entry.tags.len() * 16 + 8
        };
        let (a_blob, b_blob) = (a.to_bytes(), b.to_bytes());
        let mixed = [&a_blob[..header(&a)], &b_blob[header(&b)..]].concat();
        prop_assume!(mixed != a_blob && mixed != b_blob);
        prop_assert_eq!(Entry::from_bytes(&mixed), Err(Damage::Checksum));
    }
}

/// A header with a checksum that is right, by someone who knows how to make one.
fn forged(header: &[u8], payload: &[u8]) -> Vec<u8> {
    let checksum = xxh3_64(header);
    let end = xxh3_64_with_seed(payload, checksum);
    [header, &checksum.to_le_bytes(), payload, &end.to_le_bytes()].concat()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn forged_headers_are_bounded_by_their_bytes(
        count in prop_oneof![0..5u32, any::<u32>()],
        lifetimes in vec(any::<u8>(), 24),
        for_ever: bool,
        tags in vec(any::<u8>(), 0..100),
        payload in vec(any::<u8>(), 0..100),
    ) {
        let mut lifetimes = lifetimes;
        if for_ever {
            lifetimes[8..12].fill(0xff);
        }
        let header = [b"lde\x01", &count.to_le_bytes()[..], &lifetimes, &tags].concat();
        let blob = forged(&header, &payload);
        if let Ok(entry) = Entry::from_bytes(&blob) {
            prop_assert_eq!(entry.tags.len(), count as usize);
            prop_assert!(entry.tags.len() * 16 + entry.payload.len() <= blob.len());
            prop_assert_eq!(Entry::tags_of(&blob), Ok(entry.tags.clone()));
            // No other bytes stand for the same entry.
            prop_assert_eq!(entry.to_bytes(), blob);
        }
    }

    #[test]
    fn any_bytes_with_a_right_checksum_are_a_value_of_their_own_type_only(bytes in vec(any::<u8>(), 0..100), other: u64) {
        let payload = seal(&bytes, 7);
        prop_assert_eq!(wire::open(&payload, other, &CODEC).is_ok(), other == 7);
        let sealed = [&bytes[..], &xxh3_64(&bytes).to_le_bytes()].concat();
        prop_assert!(wire::open(&sealed, 7, &CODEC).is_err());
    }
}

#[test]
fn each_damage_has_its_name() {
    let payload = seal(b"value", 7);
    let open = |bytes: &[u8]| wire::open(bytes, 7, &CODEC).map(<[u8]>::to_vec);
    assert_eq!(open(b""), Err(Damage::Truncated));
    assert_eq!(open(&payload[..20]), Err(Damage::Truncated));
    assert_eq!(open(b"something else altogether, and long enough"), Err(Damage::NotOurs));
    assert_eq!(open(b"x"), Err(Damage::NotOurs));
    let mut other = payload.clone();
    other[3] = 2;
    assert_eq!(open(&other), Err(Damage::OtherFormat));
    assert_eq!(open(&other[..5]), Err(Damage::OtherFormat));
    other.clone_from(&payload);
    other[22] ^= 1;
    assert_eq!(open(&other), Err(Damage::Checksum));
    assert_eq!(wire::open(&payload, 8, &CODEC), Err(Damage::OtherValueType));
    assert_eq!(wire::open(&payload, 7, &Named("war")), Err(Damage::OtherValueType));

    let entry = Entry { payload: Vec::new(), tags: Vec::new(), lifetimes: Lifetimes::default() };
    assert_eq!(Entry::from_bytes(&payload), Err(Damage::NotOurs), "a value is no entry");
    assert_eq!(open(&entry.to_bytes()), Err(Damage::NotOurs), "nor the other way round");
}

#[test]
fn a_header_that_announces_more_tags_than_there_are_allocates_nothing() {
    let mut blob = Entry { payload: Vec::new(), tags: Vec::new(), lifetimes: Lifetimes::default() }.to_bytes();
    blob[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(Entry::from_bytes(&blob), Err(Damage::Truncated));
}

#[test]
fn what_write_refuses_is_not_sealed() {
    let error = wire::seal(0, &CODEC, |_| Err(Error::new(ErrorKind::Codec, "no"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Codec);
}

#[test]
fn damage_becomes_an_error_with_its_cause() {
    let error = Error::from(Damage::Checksum);
    assert_eq!(error.kind(), ErrorKind::Codec);
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("changed") && !error.to_string().contains(&cause));
}

/// The form is a promise to other processes: a change must move the version byte.
#[test]
fn the_form_is_pinned() {
    let entry = Entry {
        payload: b"p".to_vec(),
        tags: vec![HeldTag { tag: TagId(1), stamp: Stamp(2) }],
        lifetimes: Lifetimes { fresh: Some(Duration::new(3, 4)), keep: None, idle: None },
    };
    let hex = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(
        hex(entry.to_bytes()),
        "6c646501\
         01000000\
         030000000000000004000000\
         0000000000000000ffffffff\
         01000000000000000200000000000000\
         312ba86489b712cb\
         70\
         ce6003bfbfeee4ea"
    );
    let idle = Entry { lifetimes: Lifetimes { idle: Some(Duration::new(5, 6)), ..entry.lifetimes }, ..entry };
    assert_eq!(
        hex(idle.to_bytes()),
        "6c646502\
         01000000\
         030000000000000004000000\
         0000000000000000ffffffff\
         050000000000000006000000\
         01000000000000000200000000000000\
         95c6899046330332\
         70\
         10001e1a49e4802d"
    );
    assert_eq!(hex(seal(b"v", 5)), "6c6476017eacb3289cc5dd1d050000000000000076cd659de4038fe1c4");
}

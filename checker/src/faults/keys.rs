//! What happens to keys.

use larder_testbed::{Raw, Value};

use super::{Done, raw};
use crate::check::Check;
use crate::random::Random;

/// Patterns of the keys there are.
pub(super) const ENTRIES: &str = "*}:e";
pub(super) const LEASES: &str = "*}:l";
pub(super) const CLOCK: &str = "*:clock";
pub(super) const BUCKETS: &str = "*{t:*}:[0-9a-f][0-9a-f]";

/// What is no number, or not one that can be meant, or only one to somebody who doesn't look closely.
const NO_NUMBERS: &[&str] = &[
    "",
    "x",
    "-1",
    "1e5",
    "0x10",
    " 7",
    "nan",
    "inf",
    "1.5",
    "9007199254740991",
    "9007199254740993",
    "9223372036854775807",
    "99999999999999999999",
];

pub(super) fn any_key(raw: &mut Raw, random: &mut Random, pattern: &str) -> Option<String> {
    random.pick(&raw.keys(pattern)).cloned()
}

/// In the answer.
fn number(answer: &Value) -> Done {
    Ok(if let Value::Number(number) = answer { u64::try_from(*number).unwrap_or(0) } else { 0 })
}

pub(super) fn delete(check: &mut Check, random: &mut Random, pattern: &str) -> Done {
    let mut raw = raw(check)?;
    let Some(key) = any_key(&mut raw, random, pattern) else { return Ok(0) };
    number(&raw.try_command(&["DEL", &key])?)
}

pub(super) fn retype(check: &mut Check, random: &mut Random, pattern: &str) -> Done {
    let mut raw = raw(check)?;
    let Some(key) = any_key(&mut raw, random, pattern) else { return Ok(0) };
    let makes: &[&[&str]] = &[
        &["RPUSH", &key, "a", "b"],
        &["HSET", &key, "field", "value"],
        &["SADD", &key, "member"],
        &["ZADD", &key, "1", "member"],
        &["SET", &key, "text"],
    ];
    // In one step: nobody finds it missing.
    raw.try_command(&["MULTI"])?;
    raw.try_command(&["DEL", &key])?;
    if let Some(make) = random.pick(makes) {
        raw.try_command(make)?;
    }
    Ok(u64::from(raw.try_command(&["EXEC"])?.list().len() == 2))
}

pub(super) fn spoil_entry(check: &mut Check, random: &mut Random) -> Done {
    let mut raw = raw(check)?;
    let Some(key) = any_key(&mut raw, random, ENTRIES) else { return Ok(0) };
    let offset = random.below(200).to_string();
    Ok(u64::from(number(&raw.try_command(&["SETRANGE", &key, &offset, "garbage"])?)? > 0))
}

pub(super) fn no_number(random: &mut Random) -> &'static str {
    random.pick(NO_NUMBERS).copied().unwrap_or_default()
}

pub(super) fn spoil_clock(check: &mut Check, random: &mut Random) -> Done {
    let mut raw = raw(check)?;
    let Some(clock) = any_key(&mut raw, random, CLOCK) else { return Ok(0) };
    raw.try_command(&["SET", &clock, no_number(random)])?;
    Ok(1)
}

pub(super) fn spoil_bucket(check: &mut Check, random: &mut Random) -> Done {
    let (mut raw, mut spoiled) = (raw(check)?, 0);
    for _ in 0..=random.below(4) {
        let Some(bucket) = any_key(&mut raw, random, BUCKETS) else { break };
        // By its bytes, which are no text.
        let keys = raw.try_command(&["HKEYS", &bucket])?.list();
        let fields: Vec<_> =
            keys.iter().filter_map(|key| if let Value::Text(key) = key { Some(key) } else { None }).collect();
        if let Some(field) = random.pick(&fields) {
            raw.try_bytes(&[b"HSET", bucket.as_bytes(), field, no_number(random).as_bytes()])?;
            spoiled += 1;
        }
    }
    Ok(spoiled)
}

pub(super) fn persist_leases(check: &mut Check, random: &mut Random) -> Done {
    let (mut raw, mut endless) = (raw(check)?, 0);
    for _ in 0..=random.below(4) {
        for lease in raw.keys(LEASES) {
            endless += number(&raw.try_command(&["PERSIST", &lease])?)?;
        }
        check.board.prolong_orphans(check.lease)?;
        super::pause(random, 100);
    }
    Ok(endless)
}

/// It has no end, and nobody who would give it back.
pub(super) fn forge_lease(check: &mut Check, random: &mut Random) -> Done {
    let mut raw = raw(check)?;
    let Some(entry) = any_key(&mut raw, random, ENTRIES) else { return Ok(0) };
    check.board.orphans(check.lease)?;
    let lease = entry.strip_suffix('e').unwrap_or(&entry).to_owned() + "l";
    raw.try_command(&["SET", &lease, "somebody"])?;
    check.board.orphans(check.lease)?;
    Ok(1)
}

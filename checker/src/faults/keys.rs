//! What happens to keys, and what others publish.

use std::io;

use larder_testbed::{Raw, Value};

use super::{Done, raw};
use crate::check::Check;
use crate::random::Random;

/// Patterns of the keys there are.
pub(super) const ENTRIES: &str = "*}:e";
pub(super) const LEASES: &str = "*}:l";
pub(super) const CLOCK: &str = "*:clock";
pub(super) const BUCKETS: &str = "*{t:*}:[0-9a-f][0-9a-f]";

/// Of larder, with the prefix that the workers use.
const BUS: &str = "checker:bus:0";

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

fn any_key(raw: &mut Raw, random: &mut Random, pattern: &str) -> Option<String> {
    random.pick(&raw.keys(pattern)).cloned()
}

pub(super) fn delete(check: &mut Check, random: &mut Random, pattern: &str) -> Done {
    let mut raw = raw(check)?;
    if let Some(key) = any_key(&mut raw, random, pattern) {
        raw.try_command(&["DEL", &key])?;
    }
    Ok(())
}

pub(super) fn retype(check: &mut Check, random: &mut Random, pattern: &str) -> Done {
    let mut raw = raw(check)?;
    let Some(key) = any_key(&mut raw, random, pattern) else { return Ok(()) };
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
    raw.try_command(&["EXEC"])?;
    Ok(())
}

pub(super) fn spoil_entry(check: &mut Check, random: &mut Random) -> Done {
    let mut raw = raw(check)?;
    let Some(key) = any_key(&mut raw, random, ENTRIES) else { return Ok(()) };
    let offset = random.below(200).to_string();
    raw.try_command(&["SETRANGE", &key, &offset, "garbage"])?;
    Ok(())
}

fn no_number(random: &mut Random) -> &'static str {
    random.pick(NO_NUMBERS).copied().unwrap_or_default()
}

pub(super) fn spoil_clock(check: &mut Check, random: &mut Random) -> Done {
    let mut raw = raw(check)?;
    if let Some(clock) = any_key(&mut raw, random, CLOCK) {
        raw.try_command(&["SET", &clock, no_number(random)])?;
    }
    Ok(())
}

pub(super) fn spoil_bucket(check: &mut Check, random: &mut Random) -> Done {
    let mut raw = raw(check)?;
    for _ in 0..=random.below(4) {
        let Some(bucket) = any_key(&mut raw, random, BUCKETS) else { return Ok(()) };
        // By its bytes, which are no text.
        let keys = raw.try_command(&["HKEYS", &bucket])?.list();
        let fields: Vec<_> =
            keys.iter().filter_map(|key| if let Value::Text(key) = key { Some(key) } else { None }).collect();
        if let Some(field) = random.pick(&fields) {
            raw.try_bytes(&[b"HSET", bucket.as_bytes(), field, no_number(random).as_bytes()])?;
        }
    }
    Ok(())
}

pub(super) fn persist_leases(check: &mut Check, random: &mut Random) -> Done {
    let mut raw = raw(check)?;
    for _ in 0..=random.below(4) {
        for lease in raw.keys(LEASES) {
            raw.try_command(&["PERSIST", &lease])?;
        }
        super::pause(random, 100);
    }
    Ok(())
}

/// It has no end, and nobody who would give it back.
pub(super) fn forge_lease(check: &mut Check, random: &mut Random) -> Done {
    let mut raw = raw(check)?;
    if let Some(entry) = any_key(&mut raw, random, ENTRIES) {
        check.board.orphans()?;
        let lease = entry.strip_suffix('e').unwrap_or(&entry).to_owned() + "l";
        raw.try_command(&["SET", &lease, "somebody"])?;
        check.board.orphans()?;
    }
    Ok(())
}

pub(super) fn forge_messages(check: &mut Check, random: &mut Random) -> Done {
    let mut raw = raw(check)?;
    for _ in 0..=random.below(20) {
        let message = message(&mut raw, random)?;
        raw.try_bytes(&[b"PUBLISH", BUS.as_bytes(), &message])?;
    }
    Ok(())
}

fn message(raw: &mut Raw, random: &mut Random) -> io::Result<Vec<u8>> {
    let clock = match any_key(raw, random, CLOCK) {
        Some(key) => raw.try_command(&["GET", &key])?.text().parse().unwrap_or(0_u64),
        None => 0,
    };
    let number = match random.below(6) {
        0 => no_number(random).to_owned(),
        // What comes next, what has been, what is far off, and what lies beyond all that is numbered.
        1 => (clock + 1).to_string(),
        2 => clock.saturating_sub(random.below(100)).to_string(),
        3 => (clock + random.below(1 << 30)).to_string(),
        4 => random.next().to_string(),
        _ => 0.to_string(),
    };
    let tags: Vec<u8> = (0..random.below(40)).map(|_| random.next() as u8).collect();
    let author = random.pick(&["x", "", "a.0", "here", "0"]).copied().unwrap_or_default();
    Ok(match random.below(8) {
        0 => tags,
        1 => number.into_bytes(),
        2 => format!("{author} here:{:016x} {number}", random.next()).into_bytes(),
        _ => [format!("{author} {number} ").as_bytes(), &tags].concat(),
    })
}

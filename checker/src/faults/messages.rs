//! What others publish, who know well what larder's messages look like.

use std::io;

use larder_testbed::{Raw, Value};

use super::keys::{CLOCK, LEASES, any_key, no_number};
use super::{Done, pause, raw};
use crate::check::Check;
use crate::random::Random;

/// Of larder, with the prefix that the workers use.
const BUS: &str = "checker:bus:0";
const WAKE: &str = "checker:wake:0";

/// Ends what is listened to.
const END: &[u8] = b"that's all";

/// Counts those that somebody heard.
pub(super) fn forge(check: &mut Check, random: &mut Random) -> Done {
    let (mut raw, mut heard) = (raw(check)?, 0);
    let genuine = listen(check, &mut raw, random)?;
    for _ in 0..=random.below(20) {
        let (channel, message) = match random.below(8) {
            0 => (WAKE, wake(&mut raw, random)),
            1..=3 => (BUS, message(&mut raw, random)?),
            _ => match random.pick(&genuine) {
                Some(genuine) => (BUS, like(genuine, &mut raw, random)?),
                None => (BUS, message(&mut raw, random)?),
            },
        };
        let receivers = raw.try_bytes(&[b"PUBLISH", channel.as_bytes(), &message])?;
        heard += u64::from(matches!(receivers, Value::Number(1..)));
    }
    Ok(heard)
}

/// What is said on the bus for a moment.
fn listen(check: &Check, raw: &mut Raw, random: &mut Random) -> io::Result<Vec<Vec<u8>>> {
    let mut ear = super::raw(check)?.subscribe(BUS);
    pause(random, 100);
    raw.try_bytes(&[b"PUBLISH", BUS.as_bytes(), END])?;
    let mut heard = Vec::new();
    loop {
        match ear.next()?.list().pop() {
            Some(Value::Text(text)) if text == END => return Ok(heard),
            Some(Value::Text(text)) => heard.push(text),
            _ => {}
        }
    }
}

/// Of a lease that is held, if there is one.
fn wake(raw: &mut Raw, random: &mut Random) -> Vec<u8> {
    match any_key(raw, random, LEASES) {
        Some(lease) => lease.chars().skip_while(|c| *c != '{').skip(1).take(32).collect::<String>().into_bytes(),
        None => format!("{:016x}{:016x}", random.next(), random.next()).into_bytes(),
    }
}

fn clock(raw: &mut Raw, random: &mut Random) -> io::Result<u64> {
    Ok(match any_key(raw, random, CLOCK) {
        Some(key) => raw.try_command(&["GET", &key])?.text().parse().unwrap_or(0_u64),
        None => 0,
    })
}

/// The same again, or what its author may say next, or a part of it.
fn like(genuine: &[u8], raw: &mut Raw, random: &mut Random) -> io::Result<Vec<u8>> {
    let mut parts = genuine.splitn(3, |byte| *byte == b' ');
    let (author, _, tags) = (parts.next().unwrap_or_default(), parts.next(), parts.next().unwrap_or_default());
    Ok(match random.below(8) {
        0 => genuine.to_vec(),
        1 => genuine.iter().copied().take(random.below(genuine.len() as u64 + 1) as usize).collect(),
        // Mostly the very next.
        _ => {
            let number = clock(raw, random)?.saturating_add(1 + random.below(6) / 3);
            [author, format!(" {number} ").as_bytes(), tags].concat()
        }
    })
}

fn message(raw: &mut Raw, random: &mut Random) -> io::Result<Vec<u8>> {
    let clock = clock(raw, random)?;
    let number = match random.below(6) {
        0 => no_number(random).to_owned(),
        // What comes next, what has been, what is far off, and what lies beyond all that is numbered.
        1 => clock.saturating_add(1).to_string(),
        2 => clock.saturating_sub(random.below(100)).to_string(),
        3 => clock.saturating_add(random.below(1 << 30)).to_string(),
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

//! What strikes while the processes work.

mod keys;
mod messages;
mod network;

use std::error::Error;
use std::io;
use std::thread;
use std::time::Duration;

use larder_testbed::{Raw, Value};

use crate::check::Check;
use crate::random::Random;

/// How much was done: of what the fault's name says, so many. A fault that meets nothing it could harm does nothing.
type Done = Result<u64, Box<dyn Error>>;
type Strike = fn(&mut Check, &mut Random) -> Done;

/// A kind of fault.
pub(crate) struct Fault {
    name: &'static str,
    /// What is counted of it.
    unit: &'static str,
    /// How often it is picked, compared with the others.
    weight: u64,
    strike: Strike,
    /// It is no cause for two runs of a key to overlap.
    mild: bool,
}

const fn fault(name: &'static str, unit: &'static str, weight: u64, strike: Strike) -> Fault {
    Fault { name, unit, weight, strike, mild: false }
}

/// One that costs no lease, no connection that a command needs, and no message: a process that may not have heard of an
/// invalidation gives the leases of its runs up.
const fn mild(name: &'static str, unit: &'static str, weight: u64, strike: Strike) -> Fault {
    Fault { name, unit, weight, strike, mild: true }
}

const FAULTS: &[Fault] = &[
    fault("a lost release", "requests lost", 10, network::lose_releases),
    fault("CLIENT KILL of one connection", "connections", 10, network::kill_one_client),
    fault("CLIENT KILL of all that command", "connections", 5, |check, _| network::kill(check, &["TYPE", "normal"])),
    fault("CLIENT KILL of all that listen", "connections", 10, |check, _| network::kill(check, &["TYPE", "pubsub"])),
    fault("messages lost, then DEBUG SLEEP", "connections", 5, network::deaf_and_asleep),
    fault("a process that can't listen", "connections", 6, network::keep_deaf),
    fault("a process that may not listen", "connections", 6, network::forbid_to_listen),
    fault("a process that can't connect", "connections", 10, network::refuse_connections),
    mild("notifications switched off", "were on", 6, switch_notifications_off),
    fault("FLUSHALL", "keys", 5, flush),
    fault("DEL of any key", "keys", 15, |check, random| keys::delete(check, random, "*")),
    fault("DEL of the clock", "keys", 5, |check, random| keys::delete(check, random, keys::CLOCK)),
    fault("DEL of a tag bucket", "keys", 10, |check, random| keys::delete(check, random, keys::BUCKETS)),
    fault("DEL of a lease", "keys", 10, |check, random| keys::delete(check, random, keys::LEASES)),
    mild("another type in an entry's place", "keys", 5, |check, random| keys::retype(check, random, keys::ENTRIES)),
    fault("another type in a lease's place", "keys", 5, |check, random| keys::retype(check, random, keys::LEASES)),
    fault("another type in the clock's place", "keys", 3, |check, random| keys::retype(check, random, keys::CLOCK)),
    fault("another type in a bucket's place", "keys", 5, |check, random| keys::retype(check, random, keys::BUCKETS)),
    mild("garbage in an entry", "entries", 5, keys::spoil_entry),
    fault("garbage in the clock", "clocks", 3, keys::spoil_clock),
    fault("garbage in a bucket", "fields", 8, keys::spoil_bucket),
    mild("a lease that doesn't end", "leases", 6, keys::persist_leases),
    fault("a lease of nobody", "leases", 3, keys::forge_lease),
    fault("forged messages", "heard", 10, messages::forge),
    fault("SIGSTOP of a process", "times", 15, stop_worker),
    fault("kill -9 of a process", "times", 4, kill_worker),
    fault("DEBUG SLEEP", "times", 5, sleep),
    fault("SIGSTOP of the server", "times", 5, stop_server),
    fault("the server's clock set back", "times", 6, set_clock_back),
    fault("the server's clock set forward", "times", 4, set_clock_forward),
    fault("restart of the server", "times", 3, restart_server),
];

/// How many kinds there are.
pub(crate) fn count() -> usize {
    FAULTS.len()
}

/// Of a kind, by its number.
pub(crate) fn name(number: usize) -> &'static str {
    FAULTS.get(number).map_or("?", |fault| fault.name)
}

/// What is counted of a kind.
pub(crate) fn unit(number: usize) -> &'static str {
    FAULTS.get(number).map_or("?", |fault| fault.unit)
}

/// The number of a kind; of one that is no cause for overlaps, if only those are wanted.
pub(crate) fn pick(random: &mut Random, only_mild: bool) -> usize {
    let among = || FAULTS.iter().enumerate().filter(|(_, fault)| fault.mild || !only_mild);
    let mut drawn = random.below(among().map(|(_, fault)| fault.weight).sum());
    for (number, fault) in among() {
        if drawn < fault.weight {
            return number;
        }
        drawn -= fault.weight;
    }
    0
}

/// Returns once it is over: how much it did.
pub(crate) fn strike(number: usize, check: &mut Check, random: &mut Random) -> Done {
    check.board.begin(number)?;
    let done = match FAULTS.get(number) {
        Some(fault) => (fault.strike)(check, random)?,
        None => 0,
    };
    check.board.end(number)?;
    Ok(done)
}

fn raw(check: &Check) -> io::Result<Raw> {
    Raw::connect(check.server.port())
}

/// What the server answers, as a number: of an answer that isn't one, whether it is no error.
fn command(check: &Check, arguments: &[&str]) -> Done {
    Ok(match raw(check)?.try_command(arguments)? {
        Value::Number(number) => u64::try_from(number).unwrap_or(0),
        Value::Error(_) => 0,
        _ => 1,
    })
}

/// Up to this, and mostly much less.
fn pause(random: &mut Random, most: u64) {
    let most = random.below(most) + 1;
    thread::sleep(Duration::from_millis(random.below(most)));
}

fn any_worker(check: &Check, random: &mut Random) -> usize {
    random.below(check.workers.len() as u64) as usize
}

fn flush(check: &mut Check, _: &mut Random) -> Done {
    let keys = command(check, &["DBSIZE"])?;
    command(check, &["FLUSHALL"])?;
    Ok(keys)
}

/// Counts only if somebody had switched them on since the last time.
fn switch_notifications_off(check: &mut Check, _: &mut Random) -> Done {
    let mut raw = raw(check)?;
    let before = raw.try_command(&["CONFIG", "GET", "notify-keyspace-events"])?.list();
    raw.try_command(&["CONFIG", "SET", "notify-keyspace-events", ""])?;
    Ok(u64::from(before.last().is_some_and(|flags| !flags.text().is_empty())))
}

fn sleep(check: &mut Check, random: &mut Random) -> Done {
    let milliseconds = random.below(700);
    command(check, &["DEBUG", "SLEEP", &format!("0.{milliseconds:03}")])
}

fn stop_server(check: &mut Check, random: &mut Random) -> Done {
    check.server.stop();
    pause(random, 1200);
    check.server.resume();
    Ok(1)
}

/// By hours, or by less than the leases and lifetimes there are.
fn any_time(random: &mut Random) -> i64 {
    let most = random.pick(&[3, 10_000]).copied().unwrap_or(1);
    1 + random.below(most) as i64
}

fn set_clock_back(check: &mut Check, random: &mut Random) -> Done {
    let time = any_time(random);
    turn_clock(check, -time)
}

fn set_clock_forward(check: &mut Check, random: &mut Random) -> Done {
    let time = any_time(random);
    turn_clock(check, time)
}

/// Within a day. Counts if the server tells another time.
fn turn_clock(check: &mut Check, seconds: i64) -> Done {
    const DAY: i64 = 86_400;
    let mut raw = raw(check)?;
    let before = time(&mut raw)?;
    // The lease of a process that was killed has another end now.
    check.board.prolong_orphans(check.lease)?;
    check.clock = (check.clock + seconds).clamp(-DAY, DAY);
    check.server.set_clock(check.clock);
    check.board.prolong_orphans(check.lease)?;
    let moved = time(&mut raw)? - before;
    Ok(u64::from(if seconds < 0 { moved < 0 } else { moved >= seconds }))
}

fn time(raw: &mut Raw) -> io::Result<i64> {
    Ok(raw.try_command(&["TIME"])?.list().first().map_or(0, Value::number))
}

fn restart_server(check: &mut Check, random: &mut Random) -> Done {
    check.server.kill();
    pause(random, 1000);
    check.server.restart();
    Ok(1)
}

/// For longer than the shorter leases, often.
fn stop_worker(check: &mut Check, random: &mut Random) -> Done {
    let column = any_worker(check, random);
    check.workers[column].process.stop();
    pause(random, 1500);
    check.workers[column].process.resume();
    Ok(1)
}

fn kill_worker(check: &mut Check, random: &mut Random) -> Done {
    let column = any_worker(check, random);
    check.replace_worker(column)?;
    check.board.orphans(check.lease)?;
    Ok(1)
}

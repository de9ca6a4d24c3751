//! What strikes while the processes work.

mod keys;

use std::error::Error;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use larder_testbed::{Kind, Raw};

use crate::check::Check;
use crate::random::Random;

type Done = Result<(), Box<dyn Error>>;
type Strike = fn(&mut Check, &mut Random) -> Done;

/// A kind of fault.
pub(crate) struct Fault {
    name: &'static str,
    /// How often it is picked, compared with the others.
    weight: u64,
    strike: Strike,
}

const fn fault(name: &'static str, weight: u64, strike: Strike) -> Fault {
    Fault { name, weight, strike }
}

const FAULTS: &[Fault] = &[
    fault("CLIENT KILL of one connection", 10, kill_one_client),
    fault("CLIENT KILL of all that command", 5, |check, _| kill_clients(check, &["TYPE", "normal"])),
    fault("CLIENT KILL of all that listen", 10, |check, _| kill_clients(check, &["TYPE", "pubsub"])),
    fault("messages lost, then DEBUG SLEEP", 5, deaf_and_asleep),
    fault("a process that can't listen", 6, keep_deaf),
    fault("a process that may not listen", 6, forbid_to_listen),
    fault("a process that can't connect", 10, refuse_connections),
    fault("notifications switched off", 4, switch_notifications_off),
    fault("FLUSHALL", 5, |check, _| command(check, &["FLUSHALL"])),
    fault("DEL of any key", 15, |check, random| keys::delete(check, random, "*")),
    fault("DEL of the clock", 5, |check, random| keys::delete(check, random, keys::CLOCK)),
    fault("DEL of a tag bucket", 10, |check, random| keys::delete(check, random, keys::BUCKETS)),
    fault("DEL of a lease", 10, |check, random| keys::delete(check, random, keys::LEASES)),
    fault("another type in an entry's place", 5, |check, random| keys::retype(check, random, keys::ENTRIES)),
    fault("another type in a lease's place", 5, |check, random| keys::retype(check, random, keys::LEASES)),
    fault("another type in the clock's place", 3, |check, random| keys::retype(check, random, keys::CLOCK)),
    fault("another type in a bucket's place", 5, |check, random| keys::retype(check, random, keys::BUCKETS)),
    fault("garbage in an entry", 5, keys::spoil_entry),
    fault("garbage in the clock", 3, keys::spoil_clock),
    fault("garbage in a bucket", 8, keys::spoil_bucket),
    fault("a lease that doesn't end", 6, keys::persist_leases),
    fault("a lease of nobody", 3, keys::forge_lease),
    fault("forged messages", 10, keys::forge_messages),
    fault("SIGSTOP of a process", 15, stop_worker),
    fault("kill -9 of a process", 4, kill_worker),
    fault("DEBUG SLEEP", 5, sleep),
    fault("SIGSTOP of the server", 5, stop_server),
    fault("the server's clock set", 6, set_clock),
    fault("restart of the server", 3, restart_server),
];

/// How many kinds there are.
pub(crate) fn count() -> usize {
    FAULTS.len()
}

/// Of a kind, by its number.
pub(crate) fn name(number: usize) -> &'static str {
    FAULTS.get(number).map_or("?", |fault| fault.name)
}

/// The number of a kind.
pub(crate) fn pick(random: &mut Random) -> usize {
    let mut drawn = random.below(FAULTS.iter().map(|fault| fault.weight).sum());
    for (number, fault) in FAULTS.iter().enumerate() {
        if drawn < fault.weight {
            return number;
        }
        drawn -= fault.weight;
    }
    0
}

/// Returns once it is over.
pub(crate) fn strike(number: usize, check: &mut Check, random: &mut Random) -> Done {
    check.board.begin(number)?;
    if let Some(fault) = FAULTS.get(number) {
        (fault.strike)(check, random)?;
    }
    Ok(check.board.end(number)?)
}

fn raw(check: &Check) -> io::Result<Raw> {
    Raw::connect(check.server.port())
}

fn command(check: &Check, arguments: &[&str]) -> Done {
    raw(check)?.try_command(arguments)?;
    Ok(())
}

/// Up to this, and mostly much less.
fn pause(random: &mut Random, most: u64) {
    let most = random.below(most) + 1;
    thread::sleep(Duration::from_millis(random.below(most)));
}

fn any_worker(check: &Check, random: &mut Random) -> usize {
    random.below(check.workers.len() as u64) as usize
}

fn kill_clients(check: &Check, which: &[&str]) -> Done {
    command(check, &[&["CLIENT", "KILL"], which, &["SKIPME", "yes"]].concat())
}

fn kill_one_client(check: &mut Check, random: &mut Random) -> Done {
    let list = raw(check)?.try_command(&["CLIENT", "LIST"])?.text();
    let ids: Vec<_> = list.lines().filter_map(|line| line.strip_prefix("id=")?.split(' ').next()).collect();
    match random.pick(&ids) {
        Some(id) => kill_clients(check, &["ID", id]),
        None => Ok(()),
    }
}

fn deaf_and_asleep(check: &mut Check, random: &mut Random) -> Done {
    for _ in 0..random.below(5) {
        kill_clients(check, &["TYPE", "pubsub"])?;
        pause(random, 100);
    }
    kill_clients(check, &["TYPE", "pubsub"])?;
    sleep(check, random)
}

/// Whenever it has found a connection to listen on, that is cut.
fn keep_deaf(check: &mut Check, random: &mut Random) -> Done {
    let user = check.user(any_worker(check, random));
    let until = Instant::now() + Duration::from_millis(random.below(2_000));
    while Instant::now() < until {
        kill_clients(check, &["TYPE", "pubsub", "USER", &user])?;
        pause(random, 60);
    }
    Ok(())
}

fn forbid_to_listen(check: &mut Check, random: &mut Random) -> Done {
    let user = check.user(any_worker(check, random));
    command(check, &["ACL", "SETUSER", &user, "resetchannels"])?;
    kill_clients(check, &["TYPE", "pubsub", "USER", &user])?;
    pause(random, 2_000);
    command(check, &["ACL", "SETUSER", &user, "allchannels"])
}

/// Leases are held meanwhile, and their runs come to an end.
fn refuse_connections(check: &mut Check, random: &mut Random) -> Done {
    check.proxy.refuse();
    check.proxy.cut(Kind::Commands);
    if random.permille(500) {
        check.proxy.cut(Kind::Messages);
    }
    pause(random, 1_000);
    check.proxy.accept();
    Ok(())
}

fn switch_notifications_off(check: &mut Check, _: &mut Random) -> Done {
    command(check, &["CONFIG", "SET", "notify-keyspace-events", ""])
}

fn sleep(check: &mut Check, random: &mut Random) -> Done {
    let milliseconds = random.below(700);
    command(check, &["DEBUG", "SLEEP", &format!("0.{milliseconds:03}")])
}

fn stop_server(check: &mut Check, random: &mut Random) -> Done {
    check.server.stop();
    pause(random, 1200);
    check.server.resume();
    Ok(())
}

/// By hours, back or forward, or to what is right.
fn set_clock(check: &mut Check, random: &mut Random) -> Done {
    // Leases without an owner have another end now.
    check.board.orphans()?;
    let seconds = random.below(10_000) as i64;
    check.server.set_clock(random.pick(&[0, seconds, -seconds]).copied().unwrap_or_default());
    Ok(check.board.orphans()?)
}

fn restart_server(check: &mut Check, random: &mut Random) -> Done {
    check.server.kill();
    pause(random, 1000);
    check.server.restart();
    Ok(())
}

fn stop_worker(check: &mut Check, random: &mut Random) -> Done {
    let column = any_worker(check, random);
    check.board.orphans()?;
    check.workers[column].process.stop();
    pause(random, 1500);
    check.workers[column].process.resume();
    Ok(check.board.orphans()?)
}

fn kill_worker(check: &mut Check, random: &mut Random) -> Done {
    let column = any_worker(check, random);
    check.replace_worker(column)?;
    Ok(check.board.orphans()?)
}

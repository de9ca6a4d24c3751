//! What strikes while the processes work.

use std::error::Error;
use std::io;
use std::thread;
use std::time::Duration;

use larder_testbed::Raw;

use crate::check::Check;
use crate::random::Random;

type Strike = fn(&mut Check, &mut Random) -> Result<(), Box<dyn Error>>;

/// A kind of fault.
pub(crate) struct Fault {
    pub(crate) name: &'static str,
    /// How often it is picked, compared with the others.
    weight: u64,
    strike: Strike,
}

const FAULTS: &[Fault] = &[
    Fault { name: "CLIENT KILL of one connection", weight: 10, strike: kill_one_client },
    Fault { name: "CLIENT KILL of all that command", weight: 5, strike: |check, _| kill_clients(check, "normal") },
    Fault { name: "CLIENT KILL of all that listen", weight: 10, strike: |check, _| kill_clients(check, "pubsub") },
    Fault { name: "messages lost, then DEBUG SLEEP", weight: 5, strike: deaf_and_asleep },
    Fault { name: "FLUSHALL", weight: 5, strike: flush },
    Fault { name: "DEL of any key", weight: 15, strike: |check, random| delete(check, random, "*") },
    Fault { name: "DEL of the clock", weight: 5, strike: |check, random| delete(check, random, "*:clock") },
    Fault { name: "DEL of a tag bucket", weight: 10, strike: |check, random| delete(check, random, "*{t:*") },
    Fault { name: "DEL of a lease", weight: 10, strike: |check, random| delete(check, random, "*:l") },
    Fault { name: "SIGSTOP of a process", weight: 15, strike: stop_worker },
    Fault { name: "kill -9 of a process", weight: 4, strike: kill_worker },
    Fault { name: "DEBUG SLEEP", weight: 5, strike: sleep },
    Fault { name: "SIGSTOP of the server", weight: 5, strike: stop_server },
    Fault { name: "restart of the server", weight: 3, strike: restart_server },
];

pub(crate) fn pick(random: &mut Random) -> &'static Fault {
    let mut number = random.below(FAULTS.iter().map(|fault| fault.weight).sum());
    for fault in FAULTS {
        if number < fault.weight {
            return fault;
        }
        number -= fault.weight;
    }
    &FAULTS[0]
}

impl Fault {
    pub(crate) fn strike(&self, check: &mut Check, random: &mut Random) -> Result<(), Box<dyn Error>> {
        (self.strike)(check, random)
    }
}

fn raw(check: &Check) -> io::Result<Raw> {
    Raw::connect(check.server.port())
}

/// Up to this, and mostly much less.
fn pause(random: &mut Random, most: u64) {
    let most = random.below(most) + 1;
    thread::sleep(Duration::from_millis(random.below(most)));
}

fn kill_clients(check: &mut Check, kind: &str) -> Result<(), Box<dyn Error>> {
    raw(check)?.try_command(&["CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes"])?;
    Ok(())
}

fn kill_one_client(check: &mut Check, random: &mut Random) -> Result<(), Box<dyn Error>> {
    let mut raw = raw(check)?;
    let list = raw.try_command(&["CLIENT", "LIST"])?.text();
    let ids: Vec<_> = list.lines().filter_map(|line| line.strip_prefix("id=")?.split(' ').next()).collect();
    if let Some(id) = random.pick(&ids) {
        raw.try_command(&["CLIENT", "KILL", "ID", id, "SKIPME", "yes"])?;
    }
    Ok(())
}

fn deaf_and_asleep(check: &mut Check, random: &mut Random) -> Result<(), Box<dyn Error>> {
    for _ in 0..random.below(5) {
        kill_clients(check, "pubsub")?;
        pause(random, 100);
    }
    kill_clients(check, "pubsub")?;
    sleep(check, random)
}

fn flush(check: &mut Check, _: &mut Random) -> Result<(), Box<dyn Error>> {
    raw(check)?.try_command(&["FLUSHALL"])?;
    Ok(())
}

fn delete(check: &mut Check, random: &mut Random, pattern: &str) -> Result<(), Box<dyn Error>> {
    let mut raw = raw(check)?;
    if let Some(key) = random.pick(&raw.keys(pattern)) {
        raw.try_command(&["DEL", key])?;
    }
    Ok(())
}

fn sleep(check: &mut Check, random: &mut Random) -> Result<(), Box<dyn Error>> {
    let milliseconds = random.below(700);
    raw(check)?.try_command(&["DEBUG", "SLEEP", &format!("0.{milliseconds:03}")])?;
    Ok(())
}

fn stop_server(check: &mut Check, random: &mut Random) -> Result<(), Box<dyn Error>> {
    check.server.stop();
    pause(random, 1200);
    check.server.resume();
    Ok(())
}

fn restart_server(check: &mut Check, random: &mut Random) -> Result<(), Box<dyn Error>> {
    check.server.kill();
    pause(random, 1000);
    check.server.restart();
    Ok(())
}

fn stop_worker(check: &mut Check, random: &mut Random) -> Result<(), Box<dyn Error>> {
    let column = random.below(check.workers.len() as u64) as usize;
    check.workers[column].process.stop();
    pause(random, 1500);
    check.workers[column].process.resume();
    Ok(())
}

fn kill_worker(check: &mut Check, random: &mut Random) -> Result<(), Box<dyn Error>> {
    let column = random.below(check.workers.len() as u64) as usize;
    check.replace_worker(column)
}

//! How soon a waiter in another process has the answer after the body's end.
//!
//! The run's process stores the answer and gives its lease back in one step; that is what wakes the waiter, which then
//! reads. So it is two round trips at best, the store's and the read's, and the way of the message between them.

use std::thread::sleep;
use std::time::Duration;

use larder_testbed::Server;

use super::process::Worker;

/// How long the body takes, so that the waiter waits.
const BODY_MILLIS: u64 = 8;

/// A pause before a lone PING, as long as the waiter has been idle.
const IDLE: Duration = Duration::from_millis(BODY_MILLIS);

/// Nanoseconds, one number per round.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// From the body's end to the waiter's answer.
    pub waiter: Vec<f64>,
    /// From the body's end to the answer of the caller in the run's own process: the store is acknowledged.
    pub leader: Vec<f64>,
    /// From there to the waiter's answer: what being woken and reading adds; below 0, the waiter was first.
    pub after: Vec<f64>,
    /// A PING of the waiter's process (fred), after a pause as long as the body.
    pub ping: Vec<f64>,
    /// PINGs right after each other.
    pub pings: Vec<f64>,
    /// Rounds left out, because the waiter came too late to wait.
    pub late: usize,
}

/// Measures this many rounds.
///
/// # Panics
/// If there is no server, or a body runs in both processes.
pub fn measure(rounds: u64) -> Measured {
    let server = Server::start();
    let [leader, waiter] = [Worker::start(&server), Worker::start(&server)];
    let mut measured = Measured::default();
    for key in 0..rounds {
        leader.send(&format!("ask {key} {BODY_MILLIS}"));
        leader.hears("begun");
        waiter.send(&format!("ask {key} {BODY_MILLIS}"));
        let [_, led, ended] = leader.hears("answer")[..] else { panic!("three numbers") };
        let [began, answered, 0] = waiter.hears("answer")[..] else { panic!("it ran twice") };
        sleep(IDLE);
        waiter.send("ping 5");
        let pings = waiter.hears("pong");
        // Time enough to be told to wait before the end.
        if ended < began + BODY_MILLIS * 1_000_000 / 2 {
            measured.late += 1;
            continue;
        }
        measured.waiter.push(answered as f64 - ended as f64);
        measured.leader.push(led as f64 - ended as f64);
        measured.after.push(answered as f64 - led as f64);
        measured.ping.extend(pings.first().map(|nanos| *nanos as f64));
        measured.pings.extend(pings.iter().skip(1).map(|nanos| *nanos as f64));
    }
    measured
}

//! Everybody asks for one cold key at the same moment, in several processes.

use larder_testbed::Server;

use super::process::Worker;
use super::{Commands, now};

/// How many ask in each process, how many processes there are, and how long the body takes.
pub const CALLERS: u64 = 1_000;
/// See [`CALLERS`].
pub const PROCESSES: usize = 4;
/// See [`CALLERS`].
pub const BODY_MILLIS: u64 = 200;

/// One cold key.
#[derive(Clone, Copy, Debug)]
pub struct Crowd {
    /// How many bodies ran, in all processes.
    pub runs: u64,
    /// Nanoseconds from the moment all begin until the last has its answer, less the body's time.
    pub over: f64,
    /// What the server executed for all of them.
    pub commands: i64,
}

/// Measures this many keys.
///
/// # Panics
/// If there is no server to be had.
pub fn measure(keys: u64) -> Vec<Crowd> {
    let server = Server::start();
    let workers = [(); PROCESSES].map(|()| Worker::start(&server));
    let mut raw = server.raw();
    (0..keys)
        .map(|key| {
            let before = Commands::of(&mut raw);
            let begin = now() + 20_000_000;
            for worker in &workers {
                worker.send(&format!("crowd {key} {BODY_MILLIS} {CALLERS} {begin}"));
            }
            let answers = workers.iter().map(|worker| {
                loop {
                    // Whose body ran says so first.
                    let line = worker.next();
                    if let Some(numbers) = line.strip_prefix("crowd ") {
                        let (runs, answered) = numbers.split_once(' ').expect("two numbers");
                        return (runs.parse::<u64>().expect("a number"), answered.parse::<u64>().expect("a number"));
                    }
                }
            });
            let answers: Vec<_> = answers.collect();
            let last = answers.iter().map(|(_, answered)| *answered).max().unwrap_or(begin);
            Crowd {
                runs: answers.iter().map(|(runs, _)| runs).sum(),
                over: (last - begin) as f64 - BODY_MILLIS as f64 * 1e6,
                commands: Commands::of(&mut raw).since(before).executed,
            }
        })
        .collect()
}

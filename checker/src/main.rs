//! Looks for broken promises: several processes call and invalidate at random while faults strike. Every answer is checked
//! against what had been acknowledged before it was asked for (promise 1), no two runs of a key may overlap without a cause
//! (promise 2), and no call may take longer than it must (promises 2 and 3).
//!
//! ```text
//! cargo run --release -p larder-checker -- --operations 10000000 --seed 7 [--minutes 10] [--processes 4]
//! ```
//!
//! It starts a Redis server of its own. Exits with 1 if it finds something. The seed decides what is done; when, is up
//! to the machine.

mod board;
mod check;
mod counts;
mod demand;
mod faults;
mod functions;
mod orders;
mod overlaps;
mod random;
mod records;
mod runs;
mod truth;
mod watch;
mod worker;

use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{env, error};

use check::Plan;
use orders::{Mistake, Orders};

const USAGE: &str =
    "larder-checker [--operations N] [--minutes M] [--seed S] [--processes P] [--mistake forget|slow|twice]";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let done = match Orders::parse(&arguments) {
        Some(orders) => worker::run(orders).map(|()| true),
        None => plan(&arguments).and_then(|plan| check::run(&plan)),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("larder-checker: {error}"));
            ExitCode::from(2)
        }
    }
}

#[allow(clippy::print_stdout, reason = "a tool talks to whoever runs it, a worker to its parent")]
fn say(line: &str) {
    println!("{line}");
}

fn plan(arguments: &[String]) -> Result<Plan, Box<dyn error::Error>> {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let (mut time, mut operations, mut processes, mut mistake) = (None, None, 4, Mistake::None);
    let mut plan = Plan { time: Duration::MAX, operations: u64::MAX, seed, processes: 4, mistake: Mistake::None };
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let value = arguments.next().ok_or(USAGE)?;
        match argument.as_str() {
            "--operations" => operations = Some(value.parse()?),
            "--minutes" => time = Some(Duration::try_from_secs_f64(value.parse::<f64>()? * 60.0)?),
            "--seed" => plan.seed = value.parse()?,
            "--processes" => processes = value.parse::<usize>()?.clamp(1, 32),
            "--mistake" => mistake = Mistake::parse(value).ok_or(USAGE)?,
            _ => return Err(USAGE.into()),
        }
    }
    if operations.is_none() && time.is_none() {
        time = Some(Duration::from_secs(60));
    }
    (plan.time, plan.operations) = (time.unwrap_or(plan.time), operations.unwrap_or(plan.operations));
    (plan.processes, plan.mistake) = (processes, mistake);
    Ok(plan)
}

//! Looks for stale reads: several processes call and invalidate at random while faults strike, and every answer is
//! checked against what had been acknowledged before it was asked for (promise 1).
//!
//! ```text
//! cargo run --release -p larder-checker -- --minutes 10 --seed 7 [--processes 4]
//! ```
//!
//! It starts a Redis server of its own. Exits with 1 if it finds something. The seed decides what is done; when, is up
//! to the machine.

mod check;
mod counts;
mod demand;
mod faults;
mod functions;
mod random;
mod truth;
mod worker;

use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{env, error};

use check::Plan;
use worker::Orders;

const USAGE: &str = "larder-checker --minutes M [--seed S] [--processes N] [--forget]";

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
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let mut plan = Plan { time: Duration::from_secs(60), seed: seconds, processes: 4, forget: false };
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(USAGE);
        match argument.as_str() {
            "--minutes" => plan.time = Duration::try_from_secs_f64(value()?.parse::<f64>()? * 60.0)?,
            "--seed" => plan.seed = value()?.parse()?,
            "--processes" => plan.processes = value()?.parse::<usize>()?.clamp(1, 32),
            "--forget" => plan.forget = true,
            _ => return Err(USAGE.into()),
        }
    }
    Ok(plan)
}

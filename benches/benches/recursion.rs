//! Prints how memoized recursion does against `cached` (no bound, its default store).
//!
//! ```text
//! cargo bench -p larder-benches --bench recursion                 everything
//! cargo bench -p larder-benches --bench recursion -- PATTERN      the lines whose name contains PATTERN
//! ```
//!
//! | variable | meaning |
//! |---|---|
//! | `LARDER_BENCH_QUICK=1` | small sizes and few turns: checks that both sides give the same answers |
//! | `LARDER_BENCH_STATES` | larder isn't asked for cases with more states than this (default: no limit) |
//! | `LARDER_BENCH_SECONDS` | a run that keeps a core busy for longer is ended and counts as too slow (default 30) |
//! | `LARDER_BENCH_MIB` | a run that needs more memory is ended and counts as too large (default 2048) |
//!
//! Each run is a process of its own that starts with empty caches, on a thread with 8 GiB of stack (address space: pages
//! are taken as they are used). Times are of this thread on a core, medians; the ratio is taken turn by turn. Memory is the
//! peak of what is allocated during the run, by `recursion_memory`. A state is a body that ran with `cached`.

#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark prints, and stops if it can't go on"
)]

use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::{Duration, Instant};

use larder_benches::harness::median;
use larder_benches::recursion::{Case, Side, cases, curves, limit_cpu};
use rustix::process::Signal;

/// Before the case, the side and the size that a process is to run.
const RUN: &str = "--run";

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, case, side, size, seconds, ..] = args.as_slice()
        && flag == RUN
    {
        limit_cpu(seconds.parse().expect("a number"));
        return run(case, side, size);
    }
    let pattern = args.iter().find(|arg| !arg.starts_with('-')).cloned().unwrap_or_default();
    let wanted = |case: &Case| case.name.contains(&pattern);
    let options = Options::read();
    head("memoized recursion (goals: time ≤ 4, memory ≤ 4, stack ≤ 3)");
    for case in cases().into_iter().filter(wanted) {
        let size = if options.quick { case.quick } else { case.size };
        line(&format!("{} {size}", case.name), case, size, &options);
    }
    for curve in curves().into_iter().filter(|curve| wanted(&curve.case)) {
        println!();
        head(curve.case.name);
        let sizes = if options.quick { vec![curve.case.quick] } else { curve.sizes };
        for size in sizes {
            line(&format!("  n = {size}"), curve.case, size, &options);
        }
    }
}

/// One run, whose time is printed.
fn run(case: &str, side: &str, size: &str) {
    let case = Case::named(case).expect("a case of this name");
    let side = Side::named(side).expect("a side of this name");
    let ran = case.run(side, size.parse().expect("a number"), || (), || ());
    println!("{} {}", ran.answer, ran.took.as_nanos());
}

struct Options {
    quick: bool,
    states: u64,
    seconds: u64,
    mib: u64,
}

impl Options {
    fn read() -> Self {
        let number = |name| {
            let given = std::env::var(name).ok();
            given.map(|given| given.parse().unwrap_or_else(|_| panic!("{name}={given}: not a number")))
        };
        Self {
            quick: number("LARDER_BENCH_QUICK").is_some_and(|quick: u64| quick > 0),
            states: number("LARDER_BENCH_STATES").unwrap_or(u64::MAX),
            seconds: number("LARDER_BENCH_SECONDS").unwrap_or(30),
            mib: number("LARDER_BENCH_MIB").unwrap_or(2_048),
        }
    }
}

const NAME: usize = 26;

fn head(name: &str) {
    println!("{name}");
    println!(
        "{:<NAME$} {:>9}  {:>9} {:>9} {:>7}  {:>9} {:>9} {:>7}  {:>9} {:>9} {:>7}",
        "", "states", "larder", "cached", "time", "larder", "cached", "memory", "larder", "cached", "stack"
    );
    println!(
        "{:<NAME$} {:>9}  {:>9} {:>9} {:>7}  {:>9} {:>9} {:>7}  {:>9} {:>9} {:>7}",
        "", "", "ns/state", "ns/state", "ratio", "B/state", "B/state", "ratio", "B in all", "B in all", "ratio"
    );
}

/// The numbers that a run of one side under the counting allocator gave.
struct Space {
    answer: u64,
    states: u64,
    bytes: u64,
    stack: u64,
}

fn line(name: &str, case: Case, size: u64, options: &Options) {
    let space = |side: Side| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_recursion_memory"));
        command.args([
            case.name,
            side.name(),
            &size.to_string(),
            &options.seconds.to_string(),
            &options.mib.to_string(),
        ]);
        finish(command).map(|numbers| match numbers.as_slice() {
            [answer, states, bytes, stack] => Space { answer: *answer, states: *states, bytes: *bytes, stack: *stack },
            other => panic!("{name}, {side}: printed {other:?}"),
        })
    };
    let theirs = space(Side::Cached);
    let states = theirs.as_ref().map_or(size, |theirs| theirs.states);
    let ours = if states > options.states { Err("too many states") } else { space(Side::Larder) };
    if let (Ok(ours), Ok(theirs)) = (&ours, &theirs) {
        assert_eq!(ours.answer, theirs.answer, "{name}: larder and cached disagree");
    }
    let times = times(name, case, size, options, ours.is_ok(), theirs.is_ok());
    print!("{name:<NAME$} {states:>9} ");
    let each = |nanos: f64| nanos / states as f64;
    let (our_time, their_time) = (median(times.iter().map(|turn| turn.0)), median(times.iter().map(|turn| turn.1)));
    three(each(our_time), each(their_time), median(times.iter().map(|(ours, theirs)| ours / theirs)));
    let both = |number: fn(&Space) -> u64| {
        let number = |space: &Result<Space, _>| space.as_ref().map_or(f64::NAN, |space| number(space) as f64);
        (number(&ours), number(&theirs))
    };
    let (our_bytes, their_bytes) = both(|space| space.bytes);
    three(each(our_bytes), each(their_bytes), our_bytes / their_bytes);
    if case.wall {
        three(f64::NAN, f64::NAN, f64::NAN);
    } else {
        let (our_stack, their_stack) = both(|space| space.stack);
        three(our_stack, their_stack, our_stack / their_stack);
    }
    match &ours {
        Err(why) => print!("  larder not run: {why} today"),
        Ok(ours) if ours.states != states => print!("  larder ran {} bodies", ours.states),
        Ok(_) if times.iter().any(|(ours, _)| ours.is_nan()) => print!("  larder not timed: too slow today"),
        Ok(_) => {}
    }
    if let Err(why) = &theirs {
        print!("  cached not run: {why}");
    }
    println!();
}

/// Prints three columns.
fn three(ours: f64, theirs: f64, ratio: f64) {
    let short = |number: f64| match number {
        100.0.. => format!("{number:.0}"),
        10.0..100.0 => format!("{number:.1}"),
        number if number.is_finite() => format!("{number:.2}"),
        _ => "-".to_owned(),
    };
    print!(" {:>9} {:>9} {:>7} ", short(ours), short(theirs), short(ratio));
}

/// Nanoseconds of larder and of `cached`, turn by turn; not a number for who can't do it.
fn times(name: &str, case: Case, size: u64, options: &Options, ours: bool, theirs: bool) -> Vec<(f64, f64)> {
    /// A slow case has fewer turns.
    const ENOUGH: Duration = Duration::from_secs(15);
    let time = |side: Side, runs: bool| {
        if !runs {
            return f64::NAN;
        }
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args([RUN, case.name, side.name(), &size.to_string(), &options.seconds.to_string()]);
        finish(command).map_or(f64::NAN, |numbers| match numbers.as_slice() {
            [_, nanos] => *nanos as f64,
            other => panic!("{name}, {side}: printed {other:?}"),
        })
    };
    let began = Instant::now();
    let mut turns = Vec::new();
    while turns.len() < if options.quick { 3 } else { 11 } && (turns.is_empty() || began.elapsed() < ENOUGH) {
        // Who goes first changes.
        turns.push(if turns.len().is_multiple_of(2) {
            let ours = time(Side::Larder, ours);
            (ours, time(Side::Cached, theirs))
        } else {
            let theirs = time(Side::Cached, theirs);
            (time(Side::Larder, ours), theirs)
        });
    }
    turns
}

/// The numbers that a process prints, or why it didn't come to that.
fn finish(mut command: Command) -> Result<Vec<u64>, &'static str> {
    let done = command.output().expect("this program runs again");
    match (done.status.code(), done.status.signal()) {
        (Some(0), _) => {}
        (_, Some(signal)) if [Signal::XCPU, Signal::KILL].map(Signal::as_raw).contains(&signal) => {
            return Err("too slow");
        }
        // An allocation beyond the limit aborts.
        (_, Some(signal)) if signal == Signal::ABORT.as_raw() => return Err("too much memory"),
        _ => panic!("{command:?}: {}: {}", done.status, String::from_utf8_lossy(&done.stderr)),
    }
    let printed = String::from_utf8_lossy(&done.stdout);
    Ok(printed.split_whitespace().map(|number| number.parse().expect("a number")).collect())
}

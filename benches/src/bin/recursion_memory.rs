//! Runs a case of memoized recursion once under an allocator that counts; called by `benches/recursion.rs`.
//!
//! ```text
//! recursion_memory CASE SIDE SIZE SECONDS MIB
//! ```
//!
//! Prints the answer, how many bodies ran, the most bytes that were allocated at once, and the bytes of stack between the
//! first body and the deepest. Ends by a signal if it needs more seconds on a core or more MiB.

#![allow(clippy::print_stdout, clippy::print_stderr, clippy::expect_used, reason = "it is a tool")]

use std::alloc::System;
use std::process::ExitCode;
use std::sync::OnceLock;

use cap::Cap;
use larder_benches::recursion::{Case, Side, limit_cpu, probe};

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let asked = || {
        let [case, side, size, seconds, mib] = args.as_slice() else { return None };
        Some((
            Case::named(case)?,
            Side::named(side)?,
            (size.parse().ok()?, seconds.parse().ok()?, mib.parse::<usize>().ok()?),
        ))
    };
    let Some((case, side, (size, seconds, mib))) = asked() else {
        eprintln!("not CASE SIDE SIZE SECONDS MIB: {args:?}");
        return ExitCode::FAILURE;
    };
    limit_cpu(seconds);
    ALLOCATOR.set_limit(mib << 20).expect("less than that is allocated");
    let (began_with, peak) = (OnceLock::new(), OnceLock::new());
    let before = || {
        probe::start();
        began_with.get_or_init(|| ALLOCATOR.allocated());
    };
    let after = || {
        peak.get_or_init(|| ALLOCATOR.max_allocated());
    };
    let ran = case.run(side, size, before, after);
    // What was allocated before the work, its input above all, is never given back while it goes on.
    let bytes = peak.get().zip(began_with.get()).map_or(0, |(peak, before)| peak.saturating_sub(*before));
    println!("{} {} {bytes} {}", ran.answer, probe::bodies(), probe::stack_bytes());
    ExitCode::SUCCESS
}

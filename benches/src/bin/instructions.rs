//! One case of one peer, so that callgrind can count its instructions; called by `benches/instructions.sh`.
//!
//! ```text
//! instructions                      prints the cases and peers there are
//! instructions CASE PEER COUNT      does the work COUNT times, after setting it up
//! ```

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a tool")]

use std::process::ExitCode;

use larder_benches::{hits, misses};

fn main() -> ExitCode {
    let cases: Vec<_> = hits::cases().into_iter().chain(misses::cases()).collect();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [case, peer, count] = args.as_slice() else {
        for case in &cases {
            for subject in &case.subjects {
                println!("{}\t{}", case.name, subject.peer);
            }
        }
        return ExitCode::SUCCESS;
    };
    let subject = cases
        .iter()
        .filter(|found| found.name == case)
        .flat_map(|found| &found.subjects)
        .find(|subject| subject.peer.name() == peer);
    let (Some(subject), Ok(count)) = (subject, count.parse::<usize>()) else {
        eprintln!("no such case, peer or count: {case:?} {peer:?} {count:?}");
        return ExitCode::FAILURE;
    };
    let mut work = (subject.prepare)();
    work(count);
    ExitCode::SUCCESS
}

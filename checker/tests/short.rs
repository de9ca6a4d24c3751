//! A short run finds nothing; and one with a mistake in it does.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking, and talks")]

use std::process::Command;

fn check(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_larder-checker")).args(arguments).output().unwrap();
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("{report}{}", String::from_utf8_lossy(&output.stderr));
    (output.status.success(), report)
}

#[test]
fn no_promise_is_broken() {
    let (all_well, report) = check(&["--minutes", "0.2", "--seed", "1"]);
    assert!(report.contains("longest wait: "), "{report}");
    assert!(all_well, "{report}");
    assert!(report.contains("violations: 0"), "{report}");
}

#[test]
fn a_number_of_operations_is_enough() {
    let (_, report) = check(&["--operations", "100", "--minutes", "5", "--processes", "1"]);
    assert!(report.contains("operations: "), "{report}");
}

/// It ends with the storm in which the mistake is found: the time is for a machine that is busy with something else, which
/// explains a lot.
fn is_found(mistake: &str, word: &str) {
    let (all_well, report) = check(&["--minutes", "2", "--seed", "1", "--processes", "2", "--mistake", mistake]);
    assert!(!all_well, "{report}");
    assert!(report.contains(word), "{report}");
}

#[test]
fn a_forgotten_invalidation_is_found() {
    is_found("forget", "acknowledged");
}

#[test]
fn a_call_that_takes_too_long_is_found() {
    is_found("slow", "it may take");
}

#[test]
fn a_body_that_runs_twice_is_found() {
    is_found("twice", "began");
}

//! A short run finds nothing; and one with a mistake in it does.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking, and talks")]

use std::process::Command;

fn check(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_larder-checker")).args(arguments).output().unwrap();
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("{report}");
    (output.status.success(), report)
}

#[test]
fn no_answer_is_stale() {
    let (all_well, report) = check(&["--minutes", "0.2", "--seed", "1"]);
    assert!(all_well, "{report}");
    assert!(report.contains("violations: 0"), "{report}");
}

#[test]
fn a_forgotten_invalidation_is_found() {
    let (all_well, report) = check(&["--minutes", "0.05", "--seed", "1", "--forget", "--processes", "2"]);
    assert!(!all_well, "{report}");
    assert!(report.contains("acknowledged"), "{report}");
}

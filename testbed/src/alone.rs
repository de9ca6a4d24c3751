//! Tests that concern the whole process.

use std::env;
use std::process::Command;

/// Runs the test of this name, as the test runner calls it, in a process of its own. True in that process; false in this one,
/// once that is done.
///
/// # Panics
/// If the test fails there, or there is none of this name.
pub fn alone(test: &str) -> bool {
    const NAME: &str = "LARDER_TEST_ALONE";
    if env::var(NAME).is_ok_and(|name| name == test) {
        return true;
    }
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", test, "--test-threads=1"])
        .env(NAME, test)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{test}: {said}");
    false
}

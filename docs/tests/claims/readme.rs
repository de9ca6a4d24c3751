//! The first program of the README, and what the README says it prints.

use std::process::Command;

use crate::support::{blocks, page};

#[test]
fn the_first_program_is_compiled_as_it_stands() {
    let (_, program) = include_str!("../readme.rs").split_once("\n\n").unwrap();
    let readme = page("../README.md");
    assert_eq!(blocks(&readme, "rust").first().map(String::as_str), Some(program));
}

#[test]
fn it_prints_what_the_readme_says() {
    let ran = Command::new(env!("CARGO_BIN_EXE_readme")).output().unwrap();
    assert!(ran.status.success());
    let readme = page("../README.md");
    assert_eq!(blocks(&readme, "text").first().map(String::as_str), Some(&*String::from_utf8(ran.stdout).unwrap()));
}

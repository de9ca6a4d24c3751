//! The program, as an operator runs it, against real servers.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod doctor;
mod invalidate;
mod other_languages;
mod watch;

use std::process::{Command, Output, Stdio};

/// The program with these words. Nobody sits at a terminal.
fn larder(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
    command.args(words).env_remove("LARDER_URL").env_remove("LARDER_PREFIX").stdin(Stdio::null());
    command
}

/// Its output, once it has ended.
fn run(words: &[&str]) -> Output {
    larder(words).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// What it prints where all is well.
#[track_caller]
fn succeeds(words: &[&str]) -> String {
    let output = run(words);
    assert_eq!(output.status.code(), Some(0), "{words:?}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// What it says against it.
#[track_caller]
fn fails(words: &[&str]) -> String {
    let output = run(words);
    assert_eq!(output.status.code(), Some(1), "{words:?}: {}", text(&output.stdout));
    text(&output.stderr)
}

#[test]
fn what_is_wrong_with_a_url_is_said_without_its_password() {
    let server = larder_testbed::Server::start();
    let port = server.port();
    for (url, expected) in [
        ("redis://user:s3cret@127.0.0.1:1".to_owned(), "see that it runs at this address"),
        ("http://user:s3cret@127.0.0.1".to_owned(), "unknown scheme"),
        (format!("rediss://user:s3cret@127.0.0.1:{port}"), "without TLS"),
        (format!("redis://user:s3cret@127.0.0.1:{port}"), "password"),
    ] {
        for command in [&["doctor"][..], &["watch"], &["invalidate", "users", "--yes"]] {
            let said = fails(&[&["--url", &url, "--timeout", "2"], command].concat());
            assert!(said.contains(expected) && !said.contains("s3cret"), "{command:?}: {said}");
        }
    }
}

#[test]
fn wrong_usage_has_a_status_of_its_own() {
    for words in [&["invalidate"][..], &["invalidate", "--yes"], &["invalidate", "--all", "users"], &["dance"], &[]] {
        assert_eq!(run(words).status.code(), Some(2), "{words:?}");
    }
    for (words, expected) in
        [(&["--help"][..], "invalidate"), (&["completions", "bash"], "_larder"), (&["man"], ".TH larder")]
    {
        assert!(succeeds(words).contains(expected), "{words:?}");
    }
}

//! `larder watch`: what it makes of messages, whoever sends them.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use larder_testbed::Server;

use crate::{larder, succeeds, text};

#[test]
fn invalidations_are_shown_as_they_happen_and_nothing_else() {
    let server = Server::start();
    let url = server.url();
    succeeds(&["--url", &url, "--prefix", "shop", "invalidate", "-y", "users"]);
    let mut watching = larder(&["--url", &url, "--prefix", "shop", "watch", "--name", "user/7", "--count", "3"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.next().unwrap(), "watching `shop`");
    let mut raw = server.raw();
    // No messages of larder's, and one of another prefix.
    for garbage in [&b"x"[..], b"", b"x 12 short", &[0xff; 100], b"x nine 12345678"] {
        raw.try_bytes(&[b"PUBLISH", b"shop:bus:0", garbage]).unwrap();
    }
    succeeds(&["--url", &url, "--prefix", "other", "invalidate", "-y", "user/7"]);
    succeeds(&["--url", &url, "--prefix", "shop", "invalidate", "-y", "user/7", "users"]);
    let line = lines.next().unwrap();
    assert!(line.contains(": tag user/7, #"), "{line}");
    // An author who would write on the operator's terminal, and more tags than are shown.
    let number = line.split(' ').next().unwrap();
    raw.try_bytes(&[b"PUBLISH", b"shop:bus:0", format!("\x1b[31mx\x07 {number} ").as_bytes()]).unwrap();
    assert_eq!(lines.next().unwrap(), format!("{number} by [31mx: the numbers begin anew"));
    let many = [format!("x {number} ").into_bytes(), vec![7; 80]].concat();
    raw.try_bytes(&[b"PUBLISH", b"shop:bus:0", &many]).unwrap();
    let line = lines.next().unwrap();
    assert!(line.ends_with(" and 2 more"), "{line}");
    assert!(watching.wait().unwrap().success());
    assert_eq!(lines.next(), None);
}

#[test]
fn as_json() {
    let server = Server::start();
    let url = server.url();
    succeeds(&["--url", &url, "invalidate", "-y", "users"]);
    let mut watching =
        larder(&["--url", &url, "watch", "--json", "--count", "1"]).stdout(Stdio::piped()).spawn().unwrap();
    // Until it listens.
    while server.command(&["PUBSUB", "NUMSUB", "larder:bus:0"]).list().get(1).is_none_or(|count| count.number() == 0) {
        std::thread::yield_now();
    }
    succeeds(&["--url", &url, "invalidate", "-y", "--all"]);
    let mut line = String::new();
    BufReader::new(watching.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(watching.wait().unwrap().success());
    let seen: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert!(seen["number"].is_u64() && seen["at"].is_u64(), "{line}");
    assert_eq!(seen["tags"].as_array().unwrap().len(), 1, "{line}");
    assert!(text(line.as_bytes()).ends_with("}\n"));
}

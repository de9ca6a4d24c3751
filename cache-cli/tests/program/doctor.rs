//! `larder doctor`: each finding provoked on a real server, and a healthy one told healthy.

use larder_testbed::{Cluster, Server};

use crate::{run, text};

const HEALTHY: [&str; 8] = [
    "--maxmemory",
    "64mb",
    "--maxmemory-policy",
    "allkeys-lru",
    "--notify-keyspace-events",
    "Kgxe",
    "--appendonly",
    "yes",
];

/// The findings that aren't `ok`, each with its level and what it is about; and whether the program says that all is well.
fn examined(url: &str) -> (Vec<(String, String)>, bool) {
    let output = run(&["--url", url, "--prefix", "shop", "--json", "doctor"]);
    let findings = text(&output.stdout);
    let field = |finding: &serde_json::Value, name: &str| finding[name].as_str().unwrap().to_owned();
    let findings: Vec<serde_json::Value> = findings.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(!findings.is_empty(), "{}", text(&output.stderr));
    for finding in &findings {
        assert!(finding["level"] == "ok" || finding["remedy"].is_string() || finding["level"] == "note", "{finding}");
    }
    let findings = findings.iter().filter(|finding| finding["level"] != "ok");
    (findings.map(|finding| (field(finding, "level"), field(finding, "about"))).collect(), output.status.success())
}

/// A server on which larder has been used.
fn used(options: &[&str]) -> Server {
    let server = Server::with(&[&HEALTHY[..], options].concat());
    invalidate(&server.url());
    server
}

fn invalidate(url: &str) {
    crate::succeeds(&["--url", url, "--prefix", "shop", "invalidate", "--yes", "users"]);
}

#[track_caller]
fn finds(url: &str, expected: &[(&str, &str)]) {
    let expected: Vec<_> = expected.iter().map(|(level, about)| ((*level).to_owned(), (*about).to_owned())).collect();
    let well = !expected.iter().any(|(level, _)| level == "error");
    let shown = run(&["--url", url, "--prefix", "shop", "doctor"]);
    assert_eq!(examined(url), (expected, well), "{}", text(&shown.stdout));
}

#[test]
fn a_healthy_server_is_healthy() {
    finds(&used(&[]).url(), &[]);
    finds(&Server::with(&HEALTHY).url(), &[("note", "bookkeeping")]);
}

#[test]
fn memory() {
    let server = used(&[]);
    for (option, value, level) in [
        ("maxmemory-policy", "noeviction", "warning"),
        ("maxmemory-policy", "volatile-lru", "warning"),
        ("maxmemory", "0", "warning"),
    ] {
        server.command(&["CONFIG", "SET", option, value]);
        finds(&server.url(), &[(level, "memory")]);
    }
    let server = used(&[]);
    server.command(&["CONFIG", "SET", "maxmemory", "2mb"]);
    let value = "x".repeat(100_000);
    for number in 0..60 {
        server.command(&["SET", &format!("k{number}"), &value]);
    }
    invalidate(&server.url());
    finds(&server.url(), &[("note", "evictions")]);
}

#[test]
fn notifications_and_persistence() {
    let server = used(&[]);
    server.command(&["CONFIG", "SET", "notify-keyspace-events", ""]);
    server.command(&["CONFIG", "SET", "appendonly", "no"]);
    finds(&server.url(), &[("note", "notifications"), ("note", "persistence")]);
    // A snapshot that can't be written.
    server.command(&["CONFIG", "SET", "dbfilename", "dump.rdb"]);
    let directory = server.directory().join("dump.rdb");
    std::fs::create_dir(directory).unwrap();
    server.command(&["CONFIG", "SET", "notify-keyspace-events", "KA"]);
    server.command(&["BGSAVE"]);
    while server.raw().info("persistence", "rdb_last_bgsave_status").as_deref() != Some("err") {
        std::thread::yield_now();
    }
    finds(&server.url(), &[("error", "persistence")]);
}

#[test]
fn replicas() {
    let server = used(&[]);
    let replica = Server::with(&[&HEALTHY[..], &["--replicaof", &format!("127.0.0.1 {}", server.port())]].concat());
    while replica.raw().info("replication", "master_link_status").as_deref() != Some("up") {
        std::thread::yield_now();
    }
    finds(&server.url(), &[("note", "replication")]);
    server.command(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    finds(&server.url(), &[]);
    let found = examined(&replica.url());
    assert!(found.0.contains(&("error".to_owned(), "replication".to_owned())) && !found.1, "{found:?}");
    drop(replica);
    while server.raw().info("replication", "connected_slaves").as_deref() != Some("0") {
        std::thread::yield_now();
    }
    let found = examined(&server.url());
    assert!(found.0.contains(&("error".to_owned(), "replication".to_owned())) && !found.1, "{found:?}");
}

#[test]
fn permissions() {
    let server = used(&[]);
    let needed =
        ["~shop:*", "&shop:*", "+@read", "+@write", "+@scripting", "+@connection", "+@pubsub", "+time", "+info"];
    let config = ["+config|get", "+config|set", "&__keyspace@0__:shop:{*}:l"];
    let set = |rules: &[&str]| {
        server.command(&[&["ACL", "SETUSER", "app", "reset", "on", ">pw"], rules].concat());
    };
    let url = server.url().replace("redis://", "redis://app:pw@");
    set(&[&needed[..], &config].concat());
    finds(&url, &[]);
    // What is good to have.
    set(&needed);
    finds(&url, &[("note", "notifications"), ("note", "notifications")]);
    for (forbidden, expected) in [
        ("-publish", ("error", "permissions")),
        ("-subscribe", ("error", "permissions")),
        ("-eval", ("error", "permissions")),
        ("-set", ("error", "permissions")),
        ("-hmget", ("error", "permissions")),
    ] {
        set(&[&needed[..], &config, &[forbidden]].concat());
        finds(&url, &[expected]);
    }
    set(&[&needed[..], &config, &["-time"]].concat());
    finds(&url, &[("error", "permissions"), ("error", "clock")]);
    set(&[&needed[..], &config, &["-info"]].concat());
    let unknown = ["version", "memory", "replication", "persistence"].map(|about| ("note", about));
    finds(&url, &unknown);
}

#[test]
fn what_others_have_written() {
    let server = used(&[]);
    let clock = server.raw().keys("shop:*:clock").remove(0);
    let before = server.command(&["GET", &clock]).text();
    server.command(&["SET", &clock, "garbage"]);
    finds(&server.url(), &[("error", "bookkeeping")]);
    server.command(&["DEL", &clock]);
    server.command(&["LPUSH", &clock, "garbage"]);
    finds(&server.url(), &[("error", "bookkeeping")]);
    server.command(&["DEL", &clock]);
    server.command(&["SET", &clock, &before]);
    finds(&server.url(), &[]);
    server.command(&["SET", &clock.replace("clock", "7f"), "garbage"]);
    finds(&server.url(), &[("error", "bookkeeping")]);
}

#[test]
fn the_server_s_clock() {
    let server = Server::with_clock(&HEALTHY);
    invalidate(&server.url());
    server.set_clock(3600);
    finds(&server.url(), &[("note", "clock")]);
}

#[test]
fn a_cluster() {
    let cluster = Cluster::start();
    for node in &cluster.nodes {
        for (option, value) in HEALTHY.as_chunks::<2>().0.iter().map(|pair| (pair[0], pair[1])) {
            node.command(&["CONFIG", "SET", option.trim_start_matches('-'), value]);
        }
    }
    let url = cluster.url();
    invalidate(&url);
    finds(&url, &[]);
    cluster.nodes[1].command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    finds(&url, &[("warning", "memory")]);
    cluster.nodes[2].command(&["CONFIG", "SET", "maxmemory", "0"]);
    finds(&url, &[("warning", "memory"), ("warning", "memory")]);
}

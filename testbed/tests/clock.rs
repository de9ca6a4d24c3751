//! A server whose wall clock is set while it runs.
#![allow(clippy::unwrap_used, reason = "this is how tests fail")]

use larder_testbed::Server;

const HOUR: i64 = 3600;

fn seconds(server: &Server) -> i64 {
    server.command(&["TIME"]).list()[0].number()
}

#[test]
fn a_servers_clock_is_set_while_it_runs_and_expiry_follows_it() {
    let mut server = Server::with_clock(&[]);
    let machine = Server::start();
    for ahead in [0, -HOUR, HOUR, 20 * 365 * 24 * HOUR, 0] {
        server.set_clock(ahead);
        let difference = seconds(&server) - seconds(&machine);
        assert!((difference - ahead).abs() < 60, "{difference} instead of {ahead}");
    }
    server.command(&["SET", "key", "value", "PX", "60000"]);
    server.set_clock(-HOUR);
    assert!(server.command(&["PTTL", "key"]).number() > 3_000_000, "Redis keeps the end as a point in time");
    server.set_clock(HOUR);
    assert_eq!(server.command(&["PTTL", "key"]).number(), -2);
    server.kill();
    server.restart();
    assert!((seconds(&server) - seconds(&machine) - HOUR).abs() < 60);
}

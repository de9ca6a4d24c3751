//! Promise 2: what becomes of a key whose leader is killed, frozen, or slow.

use std::time::{Duration, Instant};

use larder_testbed::{Server, Value};

use crate::support::{NO_MEMORY, Options, workers};

const LEASE: Duration = Duration::from_millis(900);

const LEASES: Options = Options { lease: 900, ..NO_MEMORY };

/// For a busy machine; a lease that isn't taken over is caught by the support's own limit.
const SLACK: Duration = Duration::from_secs(5);

#[test]
fn a_killed_leader_is_replaced_within_the_lease() {
    let server = Server::start();
    for options in [LEASES, Options { memory: true, ..LEASES }] {
        let [mut processes @ .., other] = workers::<3>(&server, options);
        let [leader, waiter] = &mut processes;
        let _unanswered = leader.call("item 7");
        let _unended = leader.run();
        let calls: Vec<_> = (0..20).map(|_| waiter.call("item 7")).collect();
        larder_testbed::kill(leader.process.pid());
        let killed = Instant::now();
        let run = waiter.run();
        assert!(killed.elapsed() < LEASE + SLACK, "it took {:?}", killed.elapsed());
        run.ends("value");
        for call in calls {
            assert_eq!(call.answer(), "value");
        }
        assert_eq!(other.hit("item 7"), "value");
        assert_eq!(waiter.drain(), ["item 7"], "one of them ran it");
        other.invalidate("item 7");
    }
}

/// It stores nothing any more: neither over its successor's value, nor while that one still runs, nor over nothing.
#[test]
fn a_frozen_leader_stores_nothing_when_it_thaws() {
    let server = Server::start();
    let [leader, waiter, reader] = workers(&server, LEASES);
    for (what, successor_is_done) in [("item 1", true), ("item 2", false)] {
        let zombie = leader.call(what);
        let run = leader.run();
        leader.process.stop();
        let call = waiter.call(what);
        let successor = waiter.run();
        if successor_is_done {
            successor.ends("new");
            assert_eq!(call.answer(), "new");
            leader.process.resume();
            run.ends("zombie");
            assert_eq!(zombie.answer(), "zombie", "what a body returned is returned");
        } else {
            leader.process.resume();
            run.ends("zombie");
            assert_eq!(zombie.answer(), "zombie");
            successor.ends("new");
            assert_eq!(call.answer(), "new");
        }
        assert_eq!(reader.hit(what), "new");
        assert_eq!(leader.hit(what), "new");
    }

    let zombie = leader.call("item 3");
    let run = leader.run();
    let mut events = events_of_leases(&server);
    leader.process.stop();
    events.until("expired");
    leader.process.resume();
    run.ends("zombie");
    assert_eq!(zombie.answer(), "zombie");
    reader.miss("item 3", "new");
}

#[test]
fn a_long_run_keeps_its_lease() {
    let server = Server::start();
    let [leader, waiter] = workers(&server, LEASES);
    let mut events = events_of_leases(&server);
    let first = leader.call("item 7");
    let run = leader.run();
    let second = waiter.call("item 7");
    // Once when it is taken, then every third of it.
    for _ in 0..10 {
        events.until("expire");
    }
    run.ends("value");
    assert_eq!(first.answer(), "value");
    assert_eq!(second.answer(), "value");
    assert_eq!(waiter.drain(), [""; 0]);
}

struct Events(larder_testbed::Raw);

/// What happens to leases from now on. The processes have switched notifications on; this adds the kinds it needs.
fn events_of_leases(server: &Server) -> Events {
    server.command(&["CONFIG", "SET", "notify-keyspace-events", "KA"]);
    Events(server.raw().subscribe("__keyspace@0__:*:l"))
}

impl Events {
    fn until(&mut self, wanted: &str) {
        loop {
            let message = self.0.next().unwrap().list();
            if message.last().map(Value::text).is_some_and(|what| what == wanted) {
                return;
            }
        }
    }
}

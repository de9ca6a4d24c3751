//! Promise 1: what is invalidated in one process isn't served in another.

use std::time::Duration;

use larder_testbed::Server;

use crate::support::{MEMORY, NO_MEMORY, Options, eventually, workers};

#[test]
fn at_once_from_redis() {
    let server = Server::start();
    let [a] = workers(&server, MEMORY);
    let [b] = workers(&server, NO_MEMORY);
    for key in 0..20 {
        let what = format!("item {key}");
        a.miss(&what, "old");
        assert_eq!(b.hit(&what), "old");
        a.invalidate(if key % 2 == 0 { &what } else { "item" });
        b.miss(&what, "new");
        assert_eq!(a.hit(&what), "new");
    }
}

/// `max_staleness` is two minutes here, the heartbeat comes every forty seconds: the message does it.
#[test]
fn from_memory_as_soon_as_the_message_comes() {
    let server = Server::start();
    let [a, b] = workers(&server, MEMORY);
    a.miss("item 7", "old");
    assert_eq!(b.hit("item 7"), "old");
    b.serves("new");
    a.invalidate("item 7");
    eventually("b has heard of it", || b.ask("item 7") == "new");
    assert_eq!(a.hit("item 7"), "new");
}

/// The classic hole: computed before the invalidation, stored after it.
#[test]
fn a_run_from_before_is_not_stored() {
    let server = Server::start();
    let [a, b] = workers(&server, MEMORY);
    let [c] = workers(&server, NO_MEMORY);
    for (what, tag) in [("item 7", "item 7"), ("item 8", "item")] {
        let call = a.call(what);
        let run = a.run();
        b.invalidate(tag);
        run.ends("old");
        assert_eq!(call.answer(), "old", "whoever asked before may get it");
        c.miss(what, "new");
        eventually("a has heard of it", || a.ask(what) == "new");
        assert_eq!(b.hit(what), "new");
    }
}

/// The one who waits for a run elsewhere asked after the invalidation, the run began before it.
#[test]
fn a_waiter_does_not_get_a_run_from_before() {
    let server = Server::start();
    let [a, b, c] = workers(&server, NO_MEMORY);
    let first = a.call("item 7");
    let run = a.run();
    c.invalidate("item 7");
    let second = b.call("item 7");
    run.ends("old");
    assert_eq!(first.answer(), "old");
    b.run().ends("new");
    assert_eq!(second.answer(), "new");
    assert_eq!(c.hit("item 7"), "new");
}

const BRIEF: Options = Options { max_staleness: 500, ..MEMORY };

fn wait_out_max_staleness() {
    std::thread::sleep(Duration::from_millis(BRIEF.max_staleness));
}

#[test]
fn a_process_that_slept_trusts_nothing() {
    let server = Server::start();
    let [a, b] = workers(&server, BRIEF);
    a.serves("new");
    for key in 0..3 {
        let what = format!("item {key}");
        b.miss(&what, "old");
        assert_eq!(a.hit(&what), "old");
        a.process.stop();
        b.invalidate(&what);
        wait_out_max_staleness();
        let call = a.call(&what);
        a.process.resume();
        assert_eq!(call.answer(), "new");
    }
}

/// Its messages are lost, again and again.
#[test]
fn a_process_that_hears_nothing_trusts_nothing() {
    let server = Server::start();
    let [a, b] = workers(&server, BRIEF);
    let mut raw = server.raw();
    a.serves("new");
    for key in 0..3 {
        let what = format!("item {key}");
        b.miss(&what, "old");
        assert_eq!(a.hit(&what), "old");
        raw.command(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        b.invalidate(&what);
        wait_out_max_staleness();
        assert_eq!(a.ask(&what), "new");
        assert_eq!(b.hit(&what), "new");
    }
}

/// With Redis gone, memory answers no longer than it may.
#[test]
fn without_redis_memory_is_trusted_for_max_staleness() {
    let mut server = Server::start();
    let [a] = workers(&server, Options { timeout: 200, ..BRIEF });
    a.miss("item 7", "old");
    assert_eq!(a.hit("item 7"), "old");
    server.kill();
    wait_out_max_staleness();
    a.miss("item 7", "new");
    assert_ne!(a.try_invalidate("item 7"), "done", "it could not be recorded");
    a.miss("item 7", "newer");
}

//! `prime`, `refresh` and `peek` of what other processes have.

use larder_testbed::Server;

use crate::support::{MEMORY, NO_MEMORY, WaitsForLease, eventually, workers};

#[test]
fn what_one_primes_the_others_find() {
    let server = Server::start();
    let [a, b] = workers(&server, MEMORY);
    assert_eq!(b.ask("peek 7"), "nothing");
    assert_eq!(a.ask("prime 7 given"), "done");
    assert_eq!(b.hit("peek 7"), "given");
    assert_eq!(b.hit("kept 7"), "given");
    assert_eq!(a.hit("kept 7"), "given");
    b.invalidate("kept 7");
    assert_eq!(b.hit("peek 7"), "nothing");
    eventually("a has heard of it", || a.ask("peek 7") == "nothing");
    assert_eq!(a.drain(), [""; 0]);
}

/// The value is there at once, also for who waits for the run, and what that brings doesn't replace it. What is invalidated
/// meanwhile is gone.
#[test]
fn priming_while_another_process_runs() {
    let server = Server::start();
    for options in [NO_MEMORY, MEMORY] {
        let [a, b, c] = workers(&server, options);
        for invalidated in [false, true] {
            let call = b.call("kept 7");
            let run = b.run();
            let waits = WaitsForLease::on(&server);
            let waiter = c.call("kept 7");
            waits.until_it_does();
            assert_eq!(a.ask("prime 7 given"), "done");
            assert_eq!(waiter.answer(), "given");
            assert_eq!(a.hit("kept 7"), "given");
            if invalidated {
                b.invalidate("kept 7");
            }
            run.ends("computed");
            assert_eq!(call.answer(), "computed");
            if invalidated {
                eventually("all have heard of it", || {
                    [&a, &b, &c].into_iter().all(|process| process.ask("peek 7") == "nothing")
                });
            } else {
                assert!([&a, &b, &c].into_iter().all(|process| process.hit("kept 7") == "given"));
                b.invalidate("kept 7");
                eventually("all have heard of it", || {
                    [&a, &b, &c].into_iter().all(|process| process.ask("peek 7") == "nothing")
                });
            }
        }
    }
}

#[test]
fn refreshing_while_another_process_runs() {
    let server = Server::start();
    for options in [NO_MEMORY, MEMORY] {
        let [a, b] = workers(&server, options);
        let call = b.call("kept 7");
        let run = b.run();
        let refresh = a.call("refresh 7");
        a.run().ends("fresh");
        assert_eq!(refresh.answer(), "fresh");
        run.ends("late");
        assert_eq!(call.answer(), "late");
        assert!([&a, &b].into_iter().all(|process| process.hit("kept 7") == "fresh"));
        b.invalidate("kept 7");
        eventually("a has heard of it", || a.ask("peek 7") == "nothing");
    }
}

#[test]
fn what_one_refreshes_the_others_find() {
    let server = Server::start();
    let [a, b] = workers(&server, NO_MEMORY);
    let [other] = workers(&server, MEMORY);
    a.miss("kept 7", "first");
    assert_eq!(b.hit("kept 7"), "first");
    let call = b.call("refresh 7");
    let run = b.run();
    // Who asks meanwhile gets what is there.
    assert_eq!(a.hit("kept 7"), "first");
    run.ends("second");
    assert_eq!(call.answer(), "second");
    for process in [&a, &b, &other] {
        assert_eq!(process.hit("kept 7"), "second");
        assert_eq!(process.hit("peek 7"), "second");
    }
}

#[test]
fn an_invalidation_during_a_refresh_wins() {
    let server = Server::start();
    let [a, b] = workers(&server, MEMORY);
    let [reader] = workers(&server, NO_MEMORY);
    a.miss("kept 7", "first");
    let call = a.call("refresh 7");
    let run = a.run();
    b.invalidate("kept 7");
    run.ends("from before");
    assert_eq!(call.answer(), "from before", "whoever asked before may get it");
    assert_eq!(reader.hit("peek 7"), "nothing");
    eventually("a has heard of it", || a.ask("peek 7") == "nothing");
    reader.miss("kept 7", "new");
    assert_eq!(b.hit("kept 7"), "new");
}

//! Promises 1 and 2: a run that is known to be dead holds up nobody, in no process, and stores nothing.
//!
//! The tests end runs themselves, and leases live longer than anyone is patient: a call that had to wait for a dead run would
//! not be answered.

use std::time::{Duration, Instant};

use larder_testbed::{Raw, Server, Value};

use crate::support::{Call, MEMORY, NO_MEMORY, Options, Run, Worker, eventually, workers};

/// From a call to its run, on a busy machine; a lease is thirty seconds.
const SOON: Duration = Duration::from_secs(8);

/// A call, whose run begins at once. How long that took.
fn runs_at_once(worker: &Worker, what: &str) -> (Call, Run, Duration) {
    let began = Instant::now();
    let call = worker.call(what);
    let run = worker.run();
    assert!(began.elapsed() < SOON, "it waited for {:?}", began.elapsed());
    (call, run, began.elapsed())
}

#[test]
fn a_call_after_an_invalidation_waits_for_no_run_from_before() {
    let server = Server::start();
    let mut longest = Duration::ZERO;
    for options in [MEMORY, NO_MEMORY] {
        let [a, b, c] = workers(&server, options);
        for (key, (by, caller)) in [(&b, &b), (&a, &b), (&b, &a), (&a, &a), (&c, &b)].into_iter().enumerate() {
            let what = &format!("item {key}");
            let dead = a.call(what);
            let run = a.run();
            by.invalidate(what);
            let (call, next, took) = runs_at_once(caller, what);
            longest = longest.max(took);
            // Who comes now waits for the new run.
            let third = c.call(what);
            next.ends("new");
            assert_eq!((call.answer(), third.answer()), ("new".to_owned(), "new".to_owned()));
            run.ends("old");
            assert_eq!(dead.answer(), "old", "whoever asked before may get it");
            for worker in [&a, &b, &c] {
                assert_eq!(worker.hit(what), "new");
            }
        }
        c.invalidate("item");
    }
    println!("the longest wait for a run: {longest:?}");
}

/// The first two of one function overlap, a third doesn't begin beside them, wherever it is called.
#[test]
fn never_three_run_at_once() {
    let server = Server::start();
    let [a, b, c] = workers(&server, NO_MEMORY);
    for first_ends in [true, false] {
        let first = a.call("item 7");
        let run = a.run();
        c.invalidate("item 7");
        let (second, next, _) = runs_at_once(&b, "item 7");
        c.invalidate("item 7");
        // By now b's run has been given up, as far as it can be.
        eventually("b's run is known to be dead", || lease_of(&server).contains('?'));
        let third = c.call("item 7");
        std::thread::sleep(Duration::from_millis(300));
        assert!(c.begun().is_none(), "a third run began beside two");
        let left = if first_ends {
            run.ends("old");
            assert_eq!(first.answer(), "old");
            (next, second)
        } else {
            next.ends("old");
            assert_eq!(second.answer(), "old");
            (run, first)
        };
        c.run().ends("new");
        assert_eq!(third.answer(), "new");
        left.0.ends("older");
        assert_eq!(left.1.answer(), "older");
        assert_eq!(b.hit("item 7"), "new");
        c.invalidate("item 7");
    }
}

fn lease_of(server: &Server) -> String {
    let mut raw = server.raw();
    let leases = raw.keys("app:*:l");
    leases.first().map(|name| raw.command(&["GET", name]).text()).unwrap_or_default()
}

/// A page is made of two items; the second one's run goes on.
#[test]
fn a_run_is_dead_by_what_it_has_used_elsewhere() {
    let server = Server::start();
    let [a, b, c] = workers(&server, NO_MEMORY);
    let dead = a.call("page 3");
    a.run().ends("six");
    let run = a.run();
    c.invalidate("item 6");
    b.serves("new");
    let call = b.call("page 3");
    // It calls for both items; the run of the second one is live, and waited for.
    eventually("b runs the first", || b.drain().contains(&"item 6".to_owned()));
    run.ends("seven");
    assert_eq!(call.answer(), "[new seven]");
    assert_eq!(dead.answer(), "[six seven]");
    assert_eq!(c.hit("page 3"), "[new seven]");
}

/// The ids of the connections that listen.
fn listening(raw: &mut Raw) -> Vec<String> {
    let all = raw.command(&["CLIENT", "LIST", "TYPE", "pubsub"]).text();
    all.lines().filter_map(|line| Some(line.strip_prefix("id=")?.split_once(' ')?.0.to_owned())).collect()
}

/// It hears nothing for a moment, and can't know what it has missed.
#[test]
fn a_run_that_may_be_dead_holds_up_nobody() {
    let server = Server::start();
    let options = Options { max_staleness: 3_000, ..MEMORY };
    let mut raw = server.raw();
    // b hears everything: it must not doubt its own run.
    let b = Worker::start(&server.url(), options);
    let of_b = listening(&mut raw);
    let a = Worker::start(&server.url(), options);
    let dead = a.call("item 7");
    let run = a.run();
    // Until one gets through unheard.
    for _ in 0..20 {
        for connection in listening(&mut raw).iter().filter(|connection| !of_b.contains(*connection)) {
            assert!(!matches!(raw.command(&["CLIENT", "KILL", "ID", connection]), Value::Error(_)));
        }
        b.invalidate("item 7");
    }
    let (call, next, took) = runs_at_once(&b, "item 7");
    println!("it waited for {took:?}");
    next.ends("new");
    assert_eq!(call.answer(), "new");
    run.ends("old");
    assert_eq!(dead.answer(), "old");
    assert_eq!(a.hit("item 7"), "new");
}

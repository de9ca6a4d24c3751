//! Promise 2: one run per key, however many processes ask.

use larder_testbed::Server;

use crate::support::{MEMORY, NO_MEMORY, Worker, workers};

const CALLERS: usize = 50;

fn bodies(workers: &[Worker]) -> Vec<String> {
    workers.iter().flat_map(Worker::drain).collect()
}

#[test]
fn one_run_for_all_callers_of_all_processes() {
    let server = Server::start();
    for options in [MEMORY, NO_MEMORY] {
        let processes: [Worker; 4] = workers(&server, options);
        let first = processes[0].call("item 7");
        let run = processes[0].run();
        let calls: Vec<_> = processes.iter().flat_map(|process| (0..CALLERS).map(|_| process.call("item 7"))).collect();
        // What is asked later is answered meanwhile.
        for process in &processes {
            process.miss("item 1", "another");
            process.invalidate("item 1");
        }
        run.ends("value");
        assert_eq!(first.answer(), "value");
        for call in &calls {
            assert_eq!(call.answer(), "value");
        }
        let runs = bodies(&processes).iter().filter(|body| *body == "item 7").count();
        assert_eq!(runs, 1);
        processes[0].invalidate("item 7");
    }
}

/// Nobody leads when they all come at once.
#[test]
fn one_run_from_a_cold_start() {
    let server = Server::start();
    let processes: [Worker; 4] = workers(&server, MEMORY);
    for process in &processes {
        process.serves("value");
    }
    for key in 0..50 {
        let what = format!("item {key}");
        let calls: Vec<_> = (0..CALLERS).flat_map(|_| processes.iter().map(|process| process.call(&what))).collect();
        for call in &calls {
            assert_eq!(call.answer(), "value");
        }
        assert_eq!(bodies(&processes), [what]);
    }
}

/// A failure is for those who waited in its process. In others, one tries for all who waited there.
#[test]
fn a_failure_is_not_stored() {
    let server = Server::start();
    let [a, b, c] = workers(&server, MEMORY);
    let of_a: Vec<_> = (0..CALLERS).map(|_| a.call("fallible 7")).collect();
    let run = a.run();
    let of_b: Vec<_> = (0..CALLERS).map(|_| b.call("fallible 7")).collect();
    b.miss("item 1", "b waits by now, or comes later");
    run.fails("broken");
    let run = b.run();
    for call in of_a {
        assert_eq!(call.answer(), "error: broken");
    }
    assert_eq!(a.drain(), ["fallible 7"], "one run for all who waited");
    run.ends("mended");
    for call in of_b {
        assert_eq!(call.answer(), "mended");
    }
    let mut of_b = b.drain();
    of_b.sort();
    assert_eq!(of_b, ["fallible 7", "item 1"]);
    assert_eq!(c.hit("fallible 7"), "mended");
    assert_eq!(a.hit("fallible 7"), "mended");
}

/// Each process has one run, and they don't wait for each other's.
#[test]
fn failures_make_no_queue() {
    let server = Server::start();
    let [a, b, c] = workers(&server, MEMORY);
    let of_a = a.call("fallible 7");
    let run = a.run();
    let of_others: Vec<_> = [&b, &b, &c, &c].map(|process| process.call("fallible 7")).into();
    for process in [&b, &c] {
        process.miss("item 1", "it waits by now");
        process.invalidate("item 1");
    }
    run.fails("broken");
    assert_eq!(of_a.answer(), "error: broken");
    for run in [b.run(), c.run()] {
        run.fails("broken too");
    }
    for call in of_others {
        assert_eq!(call.answer(), "error: broken too");
    }
    assert_eq!(a.drain(), ["fallible 7"]);
}

/// After an error that can't be shared each of those who waited runs, all at the same time.
#[test]
fn errors_that_can_t_be_shared_make_no_queue() {
    let server = Server::start();
    let processes: [Worker; 3] = workers(&server, MEMORY);
    let first = processes[0].call("opaque 7");
    let run = processes[0].run();
    let calls: Vec<_> = processes.iter().flat_map(|process| (0..10).map(|_| process.call("opaque 7"))).collect();
    for process in &processes {
        process.miss("item 1", "they wait by now");
        process.invalidate("item 1");
    }
    run.fails("broken");
    assert_eq!(first.answer(), "error: broken");
    let runs: Vec<_> = processes.iter().flat_map(|process| (0..10).map(|_| process.run())).collect();
    for run in runs {
        run.fails("broken too");
    }
    for call in calls {
        assert_eq!(call.answer(), "error: broken too");
    }
}

/// A run that hangs in another process holds up each call for a while only.
#[test]
fn max_wait_holds_across_processes() {
    let server = Server::start();
    for options in [MEMORY, NO_MEMORY] {
        let [a, b] = workers(&server, options);
        let hung = a.call("impatient 7");
        let run = a.run();
        for value in ["own", "own again"] {
            let call = b.call("impatient 7");
            b.run().ends(value);
            assert_eq!(call.answer(), value, "it isn't stored");
        }
        run.ends("late");
        assert_eq!(hung.answer(), "late");
        assert_eq!(b.hit("impatient 7"), "late");
        server.command(&["FLUSHALL"]);
    }
}

/// A panic is over for other processes at once, not when the lease ends.
#[test]
fn a_panic_hands_over() {
    let server = Server::start();
    let [a, b] = workers(&server, MEMORY);
    let _unanswered = a.call("item 7");
    let run = a.run();
    let call = b.call("item 7");
    run.panics();
    b.run().ends("value");
    assert_eq!(call.answer(), "value");
    assert_eq!(a.hit("item 7"), "value");
}

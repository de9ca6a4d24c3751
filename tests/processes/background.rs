//! Runs in the background, for values that are old but serve: one for all processes, fenced like any other, and nothing
//! is made younger by one that fails. (Without memory, who asks during such a run in the same process waits for it.)

use larder_testbed::Server;

use crate::support::{MEMORY, NO_MEMORY, Options, Run, Worker, eventually, workers};

/// `stale_while_revalidate`, and `refresh_ahead`.
const FUNCTIONS: [&str; 2] = ["quote 7", "weather 7"];

/// Asks until the old value is old enough for a run in the background.
fn background_run(worker: &Worker, what: &str) -> Run {
    let mut run = None;
    eventually("a run in the background", || {
        assert_eq!(worker.ask(what), "old");
        run = worker.begun();
        run.is_some()
    });
    run.unwrap()
}

#[test]
fn one_for_all_processes() {
    let server = Server::start();
    let processes: [Worker; 3] = workers(&server, MEMORY);
    let [a, others @ ..] = &processes;
    for what in FUNCTIONS {
        a.miss(what, "old");
        let run = background_run(a, what);
        for _ in 0..20 {
            for process in &processes {
                assert_eq!(process.ask(what), "old");
            }
        }
        run.ends("new");
        for process in &processes {
            eventually("the new value", || process.ask(what) == "new");
        }
        assert_eq!(a.drain(), [what; 2], "the first, and one in the background");
        for other in others {
            assert_eq!(other.drain(), [""; 0]);
            assert_eq!(other.hit(what), "new");
        }
        a.invalidate(what);
    }
}

/// Another process takes it over when that whose run it was is killed.
#[test]
fn the_process_that_runs_it_is_killed() {
    let server = Server::start();
    let [reader] = workers(&server, NO_MEMORY);
    for what in FUNCTIONS {
        let [a, b] = workers(&server, Options { lease: 900, ..MEMORY });
        a.miss(what, "old");
        let _unended = background_run(&a, what);
        larder_testbed::kill(a.process.pid());
        background_run(&b, what).ends("new");
        // In its process at once, elsewhere when it has been stored.
        for worker in [&b, &reader] {
            eventually("the new value", || worker.ask(what) == "new");
        }
        assert_eq!(reader.drain(), [""; 0]);
    }
}

#[test]
fn an_invalidation_by_another_process_wins() {
    let server = Server::start();
    for asked_meanwhile in [false, true] {
        let [a, b] = workers(&server, MEMORY);
        let [reader] = workers(&server, NO_MEMORY);
        for what in FUNCTIONS {
            a.miss(what, "old");
            let run = background_run(&a, what);
            b.invalidate(what);
            // Whoever asks now gets neither the old value nor what this run will bring.
            let call = asked_meanwhile.then(|| reader.call(what));
            run.ends("from before");
            match call {
                Some(call) => {
                    reader.run().ends("new");
                    assert_eq!(call.answer(), "new");
                }
                None => reader.miss(what, "new"),
            }
            assert_eq!(b.hit(what), "new");
            eventually("a has heard of it", || a.ask(what) == "new");
            assert_eq!(a.hit(what), "new");
            assert_eq!(reader.hit(what), "new");
            b.invalidate(what);
        }
    }
}

/// If each failure gave it another life, it would serve for ever.
#[test]
fn one_that_fails_makes_nothing_younger() {
    let server = Server::start();
    let [a, b] = workers(&server, MEMORY);
    let what = "report 7";
    a.miss(what, "old");
    // It is as old as before: the next one who asks tries again, here and elsewhere.
    background_run(&a, what).fails("broken");
    background_run(&a, what).fails("broken");
    background_run(&b, what).fails("broken");
    for worker in [&a, &b] {
        eventually("it is too old", || {
            let call = worker.call(what);
            loop {
                if let Some(run) = worker.begun() {
                    run.fails("still broken");
                }
                if let Some(answer) = call.answered() {
                    assert!(answer == "old" || answer == "error: still broken", "{answer}");
                    return answer != "old";
                }
                std::thread::yield_now();
            }
        });
    }
    a.miss(what, "new");
    assert_eq!(b.hit(what), "new");
}

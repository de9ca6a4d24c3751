//! Promise 3: whatever happens to Redis, functions answer, right and soon; and when it is over, all is as before.

use std::time::Instant;

use larder_testbed::{Server, Value};

use crate::recovery::{IMPATIENT, SOON, answers, is_as_before};
use crate::support::{MEMORY, NO_MEMORY, WaitsForLease, Worker, workers};

#[test]
fn killed_connections() {
    let server = Server::start();
    let [a, b] = workers(&server, MEMORY);
    let mut raw = server.raw();
    for (round, kind) in ["normal", "pubsub"].repeat(3).into_iter().enumerate() {
        let what = format!("item {round}");
        let first = a.call(&what);
        let run = a.run();
        // Either waits for a's run, and is woken though the connection it would be woken by is gone; or its own connection
        // breaks before it knows of a's run, and it runs.
        let second = b.call_with(&what, "b's");
        raw.command(&["CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes"]);
        run.ends("a's");
        assert_eq!(first.answer(), "a's");
        let answer = second.answer();
        assert!(answer == "a's" || answer == "b's", "{answer}");
        is_as_before(&a, &b, 100_000 * (round + 1));
    }
}

/// One that waits is woken, whichever of its connections is lost.
#[test]
fn a_waiter_whose_connections_are_killed() {
    let server = Server::start();
    let [a, b] = workers(&server, NO_MEMORY);
    let mut raw = server.raw();
    for (round, kind) in ["normal", "pubsub"].repeat(2).into_iter().enumerate() {
        let what = format!("item {round}");
        let first = a.call(&what);
        let run = a.run();
        let waits = WaitsForLease::on(&server);
        let second = b.call(&what);
        waits.until_it_does();
        // Before: it may run as soon as its connections are gone.
        b.serves("b's");
        raw.command(&["CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes"]);
        run.ends("a's");
        assert_eq!(first.answer(), "a's");
        let answer = second.answer();
        assert!(answer == "a's" || answer == "b's", "{answer}");
        is_as_before(&a, &b, 100_000 * (round + 1));
    }
}

#[test]
fn a_server_that_is_busy() {
    let server = Server::start();
    let [a, b] = workers(&server, IMPATIENT);
    let (mut sleeper, mut count) = (server.raw(), 0);
    for seconds in ["0.1", "1.5"] {
        let asleep = std::thread::spawn(move || {
            let reply = sleeper.command(&["DEBUG", "SLEEP", seconds]);
            (sleeper, reply)
        });
        while !asleep.is_finished() {
            count += 1;
            answers(&a, &format!("item {}", 1_000 + count));
        }
        let (again, reply) = asleep.join().unwrap();
        assert_eq!(reply, Value::Text(b"OK".to_vec()));
        sleeper = again;
        is_as_before(&a, &b, 100_000 * count);
    }
}

#[test]
fn a_server_that_hangs() {
    let server = Server::start();
    let [a, b] = workers(&server, IMPATIENT);
    let under_way = a.call("item 0");
    let run = a.run();
    server.stop();
    run.ends("value");
    assert_eq!(under_way.answer(), "value");
    for key in 1..4 {
        answers(&a, &format!("item {key}"));
        answers(&b, &format!("item {key}"));
    }
    let asked = Instant::now();
    assert!(a.try_invalidate("item 1").starts_with("error"), "it can't be recorded");
    assert!(asked.elapsed() < SOON);
    answers(&a, "item 1"); // gone from its own memory all the same
    server.resume();
    is_as_before(&a, &b, 100_000);
}

#[test]
fn a_server_that_is_killed_and_comes_back() {
    let mut server = Server::start();
    let [a, b] = workers(&server, IMPATIENT);
    for round in 0..3 {
        let key = |number: usize| format!("item {}", 10 * round + number);
        let under_way = a.call(&key(0));
        let run = a.run();
        let waiting = b.call_with(&key(0), "b's");
        server.kill();
        run.ends("a's");
        assert_eq!(under_way.answer(), "a's");
        let answer = waiting.answer();
        assert!(answer == "a's" || answer == "b's", "{answer}");
        b.holds();
        answers(&a, &key(1));
        answers(&b, &key(1));
        assert!(a.try_invalidate(&key(1)).starts_with("error"), "it can't be recorded");
        answers(&a, &key(1));
        server.restart();
        is_as_before(&a, &b, 100_000 * (round + 1));
    }
}

#[test]
fn a_server_that_is_loading_its_data() {
    if !Server::can_load_slowly() {
        return;
    }
    let mut server = Server::start();
    let [a, b] = workers(&server, IMPATIENT);
    a.miss("item 0", "old");
    assert_eq!(b.hit("item 0"), "old");
    server.save_much();
    server.kill();
    server.restart_loading();
    for key in 1..4 {
        answers(&a, &format!("item {key}"));
        answers(&b, &format!("item {key}"));
    }
    assert!(a.try_invalidate("item 0").starts_with("error"), "it can't be recorded");
    answers(&a, "item 0");
    server.load_fast();
    is_as_before(&a, &b, 100_000);
}

#[test]
fn everything_is_flushed_while_it_is_used() {
    let server = Server::start();
    let processes: [Worker; 3] = workers(&server, MEMORY);
    let mut raw = server.raw();
    for worker in &processes {
        worker.serves("value");
    }
    for round in 0..30 {
        let calls: Vec<_> =
            processes.iter().flat_map(|worker| (0..10).map(move |key| worker.call(&format!("item {key}")))).collect();
        raw.command(&["FLUSHALL"]);
        for call in calls {
            assert_eq!(call.answer(), "value");
        }
        processes[round % 3].invalidate("item");
    }
    for worker in &processes {
        worker.holds();
    }
    is_as_before(&processes[0], &processes[2], 100_000);
}

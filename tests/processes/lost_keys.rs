//! Promise 4: whatever Redis loses, at whatever moment, no invalidated value comes back.

use larder_testbed::{Raw, Server};

use crate::support::{MEMORY, NO_MEMORY, Worker, eventually, workers};

/// Deletes something.
type Loss = dyn Fn(&mut Raw);

/// Each key there is now, all of them, and all with `FLUSHALL`.
fn losses(raw: &mut Raw) -> Vec<(String, Box<Loss>)> {
    let keys = raw.keys("*");
    assert!(keys.len() > 3, "clock, buckets, entries: {keys:?}");
    let delete = |keys: Vec<String>| -> Box<Loss> {
        Box::new(move |raw| {
            for key in &keys {
                raw.command(&["DEL", key]);
            }
        })
    };
    let mut losses: Vec<_> = keys.iter().map(|key| (key.clone(), delete(vec![key.clone()]))).collect();
    losses.push(("all keys".to_owned(), delete(keys)));
    losses.push(("FLUSHALL".to_owned(), Box::new(|raw| drop(raw.command(&["FLUSHALL"])))));
    losses
}

/// Computes `item 7` as "old", and says what can be lost then, a lease included.
fn what_can_be_lost(a: &Worker, raw: &mut Raw) -> Vec<(String, Box<Loss>)> {
    a.miss("item 7", "old");
    a.invalidate("item 7");
    let call = a.call("item 7");
    let run = a.run();
    let losses = losses(raw);
    run.ends("old");
    assert_eq!(call.answer(), "old");
    losses
}

#[test]
fn after_the_invalidation() {
    let server = Server::start();
    let [a] = workers(&server, MEMORY);
    let [b] = workers(&server, NO_MEMORY);
    let mut raw = server.raw();
    for (lost, lose) in what_can_be_lost(&a, &mut raw) {
        a.serves("new");
        a.invalidate("item 7");
        assert_eq!(b.ask_with("item 7", "old"), "old");
        assert_eq!(a.hit("item 7"), "old");
        a.invalidate("item 7");
        lose(&mut raw);
        // Has the same tags: what keeps them comes back before the old entry is looked at.
        assert_eq!(b.ask_with("fallible 7", "new"), "new", "without {lost}");
        assert_eq!(b.ask("item 7"), "new", "without {lost}");
        assert_eq!(a.ask("item 7"), "new", "without {lost}");
        b.invalidate("item 7");
        eventually("a has heard of it", || a.ask_with("item 7", "newer") == "newer");
        assert_eq!(b.hit("item 7"), "newer", "without {lost} things work");
        a.holds();
    }
}

#[test]
fn before_the_invalidation() {
    let server = Server::start();
    let [a, b] = workers(&server, NO_MEMORY);
    let mut raw = server.raw();
    for (lost, lose) in what_can_be_lost(&a, &mut raw) {
        a.invalidate("item 7");
        assert_eq!(a.ask_with("item 7", "old"), "old");
        lose(&mut raw);
        a.invalidate("item 7");
        assert_eq!(b.ask_with("fallible 7", "new"), "new", "without {lost}");
        assert_eq!(b.ask("item 7"), "new", "without {lost}");
        a.holds();
        b.holds();
    }
}

/// The run is from before the invalidation, and is stored after it.
#[test]
fn during_a_run() {
    let server = Server::start();
    let [a, b, c] = workers(&server, NO_MEMORY);
    let mut raw = server.raw();
    for (lost, lose) in what_can_be_lost(&a, &mut raw) {
        for lost_before_the_invalidation in [true, false] {
            a.invalidate("item 7");
            let call = a.call("item 7");
            let run = a.run();
            if lost_before_the_invalidation {
                lose(&mut raw);
                b.invalidate("item 7");
            } else {
                b.invalidate("item 7");
                lose(&mut raw);
            }
            run.ends("old");
            assert_eq!(call.answer(), "old");
            assert_eq!(c.ask_with("item 7", "new"), "new", "without {lost}");
            if !lost.ends_with("clock") && lost != "all keys" && lost != "FLUSHALL" {
                assert_eq!(b.hit("item 7"), "new", "without {lost}");
                continue;
            }
            // The clock is made anew. Processes doubt what they have heard then, and runs under way aren't stored.
            eventually("a result is shared", || {
                let answers = [(&b, "newer"), (&c, "newest")].map(|(worker, value)| worker.ask_with("item 7", value));
                assert!(!answers.contains(&"old".to_owned()), "without {lost}");
                answers[0] == answers[1]
            });
        }
    }
}

/// Nothing was invalidated: it costs at most a run.
#[test]
fn without_an_invalidation() {
    let server = Server::start();
    let [a, b, c] = workers(&server, NO_MEMORY);
    let mut raw = server.raw();
    for (lost, lose) in what_can_be_lost(&a, &mut raw) {
        a.invalidate("item 7");
        let call = a.call("item 7");
        let run = a.run();
        lose(&mut raw);
        let waiting = b.call_with("item 7", "again");
        run.ends("value");
        assert_eq!(call.answer(), "value");
        let answer = waiting.answer();
        assert!(answer == "value" || answer == "again", "without {lost}: {answer}");
        assert!(["value", "again"].contains(&c.ask_with("item 7", "again").as_str()), "without {lost}");
    }
}

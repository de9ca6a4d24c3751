//! Promise 7: what was computed from an answer goes with it, whichever process and layer had it.

use larder_testbed::Server;

use crate::support::{MEMORY, NO_MEMORY, eventually, workers};

fn sorted(mut bodies: Vec<String>) -> Vec<String> {
    bodies.sort();
    bodies
}

#[test]
fn a_leaf_takes_its_ancestors_with_it_and_nothing_else() {
    let server = Server::start();
    for options in [MEMORY, NO_MEMORY] {
        let [a, b] = workers(&server, options);
        let [reader] = workers(&server, NO_MEMORY);
        a.serves("1");
        b.serves("2");
        reader.serves("3");
        // The pages are `a`'s, the site is computed by `b` from what it finds in Redis.
        for page in ["page 0", "page 1", "page 2"] {
            assert_eq!(a.ask(page), "[1 1]");
        }
        assert_eq!(b.ask("site"), "[1 1][1 1][1 1]footer");
        assert_eq!(b.drain(), ["site", "footer"]);
        assert_eq!(a.hit("site"), "[1 1][1 1][1 1]footer");

        a.drain();
        a.invalidate("item 2");
        assert_eq!(reader.ask("site"), "[1 1][3 1][1 1]footer");
        assert_eq!(reader.drain(), ["site", "page 1", "item 2"]);
        eventually("b has heard of it", || b.ask("site") == "[1 1][3 1][1 1]footer");
        assert_eq!(a.hit("site"), "[1 1][3 1][1 1]footer");
        assert_eq!(b.drain(), [""; 0], "nothing ran again");

        reader.invalidate("site");
        assert_eq!(reader.ask("site"), "[1 1][3 1][1 1]footer");
        assert_eq!(reader.drain(), ["site"], "what it was made of is still there");

        b.invalidate("item");
        assert_eq!(reader.ask("site"), "[3 3][3 3][3 3]footer");
        let all: Vec<String> = (0..6).map(|item| format!("item {item}")).collect();
        let bodies = [all, vec!["page 0".into(), "page 1".into(), "page 2".into(), "site".into()]].concat();
        assert_eq!(sorted(reader.drain()), bodies);
        server.command(&["FLUSHALL"]);
    }
}

/// The child was answered a moment too late: its parent, which is stored after the invalidation, dies with it.
#[test]
fn a_parent_of_a_child_from_before_is_not_served() {
    let server = Server::start();
    let [a, b] = workers(&server, NO_MEMORY);
    b.serves("new");
    a.miss("item 0", "old");
    let call = a.call("page 0");
    let run = a.run(); // of item 1; item 0 was answered by Redis
    b.invalidate("item 0");
    run.ends("1");
    assert_eq!(call.answer(), "[old 1]");
    assert_eq!(b.ask("page 0"), "[new 1]");
    assert_eq!(b.drain(), ["page 0", "item 0"]);
}

#[test]
fn what_must_not_be_kept_keeps_its_ancestors_out_of_redis() {
    let server = Server::start();
    let [a, b] = workers(&server, MEMORY);
    a.serves("1");
    b.serves("2");
    assert_eq!(a.ask("draft 0"), "[1 1]comment 0");
    assert_eq!(b.ask("draft 0"), "[1 1]comment 0");
    assert_eq!(b.drain(), ["draft 0"]);
}

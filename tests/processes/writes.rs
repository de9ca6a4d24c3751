//! Promise 9: whatever becomes of a writer, what was stored before its commit is served nowhere once its hold has ended.

use larder_testbed::Server;

use crate::support::{MEMORY, NO_MEMORY, Options, eventually, workers};

#[test]
fn a_write_that_ends_well() {
    let server = Server::start();
    let [a] = workers(&server, MEMORY);
    let [b] = workers(&server, NO_MEMORY);
    a.miss("item 7", "old");
    let write = a.write("item 7");
    let commit = a.run();
    assert_eq!((a.hit("item 7"), b.hit("item 7")), ("old".to_owned(), "old".to_owned()), "readers don't notice");
    commit.ends("written");
    assert_eq!(write.answer(), "written");
    b.miss("item 7", "new");
    assert_eq!(a.hit("item 7"), "new");
}

#[test]
fn a_write_that_fails_may_have_been_committed() {
    let server = Server::start();
    let [a, b] = workers(&server, NO_MEMORY);
    a.miss("item 7", "old");
    let write = a.write("item 7");
    a.run().fails("the answer was lost");
    assert_eq!(write.answer(), "error: the answer was lost");
    // At once, and again for a commit that was on its way.
    b.miss("item 7", "old, too");
    b.serves("new");
    eventually("the end of the hold", || b.ask("item 7") == "new");
}

/// The process is killed between the commit and the invalidation. Memory of others follows within `max_staleness`.
#[test]
fn a_writer_that_is_killed() {
    let server = Server::start();
    let [b] = workers(&server, Options { max_staleness: 600, ..MEMORY });
    let [c] = workers(&server, NO_MEMORY);
    for key in 0..2 {
        let what = format!("item {key}");
        let [a] = workers(&server, MEMORY);
        b.holds();
        b.miss(&what, "old");
        let write = a.write(&what);
        let _commit = a.run();
        assert_eq!(b.hit(&what), "old");
        // The data changes here, and nobody says so.
        larder_testbed::kill(a.process.pid());
        b.serves("new");
        c.serves("new");
        eventually("the end of the hold", || c.ask(&what) == "new");
        eventually("the end of the hold in memory", || b.ask(&what) == "new");
        assert_eq!(write.answered(), None);
    }
}

/// Redis is away when the write ends. Its process serves nothing old from then on, and others once it is recorded.
#[test]
fn redis_is_away_at_the_end() {
    let mut server = Server::with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let [a, b] = workers(&server, Options { timeout: 200, max_staleness: 600, ..NO_MEMORY });
    a.miss("item 7", "old");
    assert_eq!(b.hit("item 7"), "old");
    let write = a.write("item 7");
    let commit = a.run();
    server.kill();
    commit.ends("written");
    assert_eq!(write.answer(), "written", "the write's own result comes back");
    a.serves("new");
    assert_eq!(a.ask("item 7"), "new");
    server.restart();
    b.serves("new");
    // What Redis answers is read after the invalidation was recorded.
    eventually("an answer from Redis", || {
        a.drain();
        assert_eq!(a.ask("item 7"), "new");
        a.drain().is_empty()
    });
    for _ in 0..20 {
        assert_eq!((a.ask("item 7"), b.ask("item 7")), ("new".to_owned(), "new".to_owned()));
    }
}

//! Holds: whatever becomes of a writer, what was stored before its commit is served nowhere once its hold has ended.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "this is how tests fail and talk")]

mod support;

use std::time::Duration;

use cache_core::backend::{Backend, BackendHold, TagId};
use cache_redis::Redis;
use support::*;

/// More than a hold lasts, on the server's clock.
const LATER: i64 = 31;

async fn connect(server: &Server) -> Redis {
    server.builder().prefix("p").connect().await.unwrap()
}

async fn placed(redis: &Redis, tags: &[TagId]) -> Box<dyn BackendHold> {
    let hold = redis.hold(tags).unwrap();
    hold.placed().await.unwrap();
    hold
}

/// A hold whose writer is gone without a word: its handle is closed.
async fn orphaned(server: &Server, tags: &[TagId]) {
    let writer = connect(server).await;
    let hold = placed(&writer, tags).await;
    writer.close().await;
    drop(hold);
}

#[tokio::test]
async fn while_it_lives_nothing_changes_and_its_end_invalidates() {
    let server = Server::start();
    let [writer, reader] = [connect(&server).await, connect(&server).await];
    writer.put(&key("k"), b"old", &[tag(1)]).await;
    let hold = placed(&writer, &[tag(1)]).await;
    assert_eq!(reader.payload(&key("k")).await.unwrap(), b"old");
    reader.put(&key("l"), b"made meanwhile", &[tag(1)]).await;
    assert_eq!(writer.payload(&key("l")).await.unwrap(), b"made meanwhile");
    hold.end().await.unwrap();
    for redis in [&writer, &reader] {
        assert_eq!((redis.payload(&key("k")).await, redis.payload(&key("l")).await), (None, None));
    }
    assert_eq!(server.command(&["ZCARD", "p:{t:p}:holds"]), Value::Number(2), "the sentinel, and what a new set has");
    assert_eq!(server.command(&["HLEN", "p:{t:p}:held"]), Value::Number(0));
}

#[tokio::test]
async fn it_ends_by_itself_when_its_writer_is_gone() {
    let server = Server::with_clock(&[]);
    let reader = connect(&server).await;
    orphaned(&server, &[tag(1)]).await;
    reader.put(&key("k"), b"old", &[tag(1)]).await;
    reader.put(&key("other"), b"other", &[tag(2)]).await;
    assert!(reader.payload(&key("k")).await.is_some());
    server.set_clock(LATER);
    assert_eq!(reader.payload(&key("k")).await, None, "the read settles before it judges");
    assert!(reader.payload(&key("other")).await.is_some(), "nothing else was held");
}

/// As a heartbeat does: whoever listens is told, this process as well, whose script it was.
#[tokio::test]
async fn memory_is_told_when_it_ends() {
    let server = Server::with_clock(&[]);
    let reader = server.builder().prefix("p").max_staleness(Duration::from_millis(300)).connect().await.unwrap();
    let mut listening = Listening::to(&reader);
    listening.trusted().await;
    orphaned(&server, &[tag(1)]).await;
    server.set_clock(LATER);
    listening.until("the end", |heard| *heard == Heard::Invalidated(vec![tag(1)])).await;
}

/// A writer that is dropped while its process lives: at once, and again at the end, as its commit may be on its way.
#[tokio::test]
async fn dropped_with_the_commit_on_its_way() {
    let server = Server::with_clock(&[]);
    let [writer, reader] = [connect(&server).await, connect(&server).await];
    reader.put(&key("k"), b"old", &[tag(1)]).await;
    let mut listening = Listening::to(&reader);
    listening.trusted().await;
    drop(placed(&writer, &[tag(1)]).await);
    listening.until("the drop", |heard| *heard == Heard::Invalidated(vec![tag(1)])).await;
    assert_eq!(reader.payload(&key("k")).await, None);
    reader.put(&key("k"), b"old, too", &[tag(1)]).await;
    server.set_clock(LATER);
    assert_eq!(reader.payload(&key("k")).await, None);
}

#[tokio::test]
async fn left_after_an_error() {
    let server = Server::with_clock(&[]);
    let [writer, reader] = [connect(&server).await, connect(&server).await];
    reader.put(&key("k"), b"old", &[tag(1)]).await;
    placed(&writer, &[tag(1)]).await.leave().await.unwrap();
    assert_eq!(reader.payload(&key("k")).await, None);
    reader.put(&key("k"), b"old, too", &[tag(1)]).await;
    server.set_clock(LATER);
    assert_eq!(reader.payload(&key("k")).await, None);
}

#[tokio::test]
async fn two_writers_of_one_tag() {
    let server = Server::with_clock(&[]);
    let [writer, reader] = [connect(&server).await, connect(&server).await];
    orphaned(&server, &[tag(1)]).await;
    placed(&writer, &[tag(1)]).await.end().await.unwrap();
    reader.put(&key("k"), b"old", &[tag(1)]).await;
    assert!(reader.payload(&key("k")).await.is_some());
    server.set_clock(LATER);
    assert_eq!(reader.payload(&key("k")).await, None, "the other writer's hold was still there");
}

/// Eviction, `DEL`, `FLUSHALL`, and what somebody else wrote there.
#[tokio::test]
async fn lost_holds_are_made_good() {
    let commands: [&[&str]; 3] = [&["DEL", "p:{t:p}:holds"], &["FLUSHALL"], &["SET", "p:{t:p}:holds", "x"]];
    for command in commands {
        let server = Server::with_clock(&[]);
        let reader = connect(&server).await;
        reader.put(&key("k"), b"old", &[tag(1), TagId::EVERYTHING]).await;
        orphaned(&server, &[tag(1)]).await;
        server.command(command);
        assert_eq!(reader.payload(&key("k")).await, None, "{command:?}: at once, as it may have been over");
        reader.put(&key("k"), b"old, too", &[tag(1), TagId::EVERYTHING]).await;
        assert!(reader.payload(&key("k")).await.is_some(), "{command:?}");
        server.set_clock(LATER);
        assert_eq!(reader.payload(&key("k")).await, None, "{command:?}: the lost hold may have lived as long");
        reader.put(&key("k"), b"new", &[tag(1), TagId::EVERYTHING]).await;
        server.set_clock(3 * LATER);
        assert!(reader.payload(&key("k")).await.is_some(), "{command:?}: and then no more");
    }
}

#[tokio::test]
async fn a_hold_whose_tags_are_lost_is_one_on_everything() {
    for command in [&["DEL", "p:{t:p}:held"][..], &["SET", "p:{t:p}:held", "x"]] {
        let server = Server::with_clock(&[]);
        let reader = connect(&server).await;
        orphaned(&server, &[tag(1)]).await;
        server.command(command);
        reader.put(&key("k"), b"old", &[tag(1), TagId::EVERYTHING]).await;
        server.set_clock(LATER);
        assert_eq!(reader.payload(&key("k")).await, None, "{command:?}");
        placed(&reader, &[tag(1)]).await.end().await.unwrap();
    }
}

/// The server's time is set back: the hold ends as late as if it had been placed then.
#[tokio::test]
async fn an_end_too_far_ahead_is_cut() {
    let server = Server::with_clock(&[]);
    let reader = connect(&server).await;
    orphaned(&server, &[tag(1)]).await;
    server.set_clock(-1000);
    reader.put(&key("k"), b"old", &[tag(1)]).await;
    assert!(reader.payload(&key("k")).await.is_some(), "it isn't over");
    server.set_clock(LATER - 1000);
    assert_eq!(reader.payload(&key("k")).await, None);
}

#[tokio::test]
async fn it_is_renewed_and_placed_again() {
    let server = Server::start();
    let writer = server.builder().prefix("p").hold(Duration::from_millis(600)).connect().await.unwrap();
    let reader = connect(&server).await;
    let hold = placed(&writer, &[tag(1)]).await;
    reader.put(&key("k"), b"old", &[tag(1)]).await;
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert!(reader.payload(&key("k")).await.is_some(), "it was renewed");
    server.command(&["DEL", "p:{t:p}:holds"]);
    let mut raw = server.raw();
    eventually("a renewal", || raw.command(&["ZCARD", "p:{t:p}:holds"]) == Value::Number(3)).await;
    within(Duration::from_secs(20), "being told of it", hold.lost()).await;
    hold.end().await.unwrap();
}

#[tokio::test]
async fn its_writer_is_told_when_it_cant_be_renewed() {
    let mut server = Server::start();
    let writer = server.builder().prefix("p").hold(Duration::from_millis(600)).connect().await.unwrap();
    let hold = placed(&writer, &[tag(1)]).await;
    let mut lost = Box::pin(hold.lost());
    assert!(futures_util::poll!(&mut lost).is_pending());
    server.kill();
    within(Duration::from_secs(20), "being told of it", lost).await;
    assert!(hold.end().await.unwrap_err().is_remembered());
    let hold = writer.hold(&[tag(1)]).unwrap();
    assert!(hold.placed().await.is_err());
    within(Duration::from_secs(20), "being told of it", hold.lost()).await;
}

/// It goes on trying, so a write that began without Redis is held as soon as there is one.
#[tokio::test]
async fn it_is_placed_when_redis_is_back() {
    let mut server = Server::start();
    let writer = connect(&server).await;
    server.kill();
    let hold = writer.hold(&[tag(1)]).unwrap();
    assert!(hold.placed().await.is_err());
    server.restart();
    let mut raw = server.raw();
    eventually("its placement", || raw.command(&["HLEN", "p:{t:p}:held"]) == Value::Number(1)).await;
    hold.end().await.unwrap();
}

/// Nobody else knows of it, so its process invalidates by a timer.
#[tokio::test]
async fn one_that_was_never_placed_ends_by_itself_too() {
    let mut server = Server::start();
    let builder = server.builder().prefix("p").hold(Duration::from_secs(5)).max_staleness(Duration::from_millis(300));
    let writer = builder.connect().await.unwrap();
    server.kill();
    let hold = writer.hold(&[tag(1)]).unwrap();
    assert!(hold.placed().await.is_err());
    assert!(hold.leave().await.unwrap_err().is_remembered());
    server.restart();
    eventually("the first one", || writer.health().remembered_invalidations == 0).await;
    let reader = connect(&server).await;
    reader.put(&key("k"), b"old", &[tag(1)]).await;
    let dead = async {
        while reader.payload(&key("k")).await.is_some() {
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    };
    within(Duration::from_secs(20), "the end", dead).await;
}

#[tokio::test]
async fn more_tags_than_go_into_one_script() {
    let server = Server::with_clock(&[]);
    let reader = connect(&server).await;
    let tags: Vec<_> = (0..1200).map(tag).collect();
    orphaned(&server, &tags).await;
    for number in [0, 600, 1199] {
        reader.put(&key(&number.to_string()), b"old", &[tag(number)]).await;
    }
    server.set_clock(LATER);
    for number in [0, 600, 1199] {
        assert_eq!(reader.payload(&key(&number.to_string())).await, None, "{number}");
    }
    placed(&reader, &tags).await.end().await.unwrap();
    assert_eq!(server.command(&["HLEN", "p:{t:p}:held"]), Value::Number(0));
}

/// Under a server without memory nothing new can be held, and what is held ends all the same.
#[tokio::test]
async fn without_memory() {
    let server = Server::with_clock(&["--maxmemory-policy", "noeviction"]);
    let reader = connect(&server).await;
    orphaned(&server, &[tag(1)]).await;
    reader.put(&key("k"), b"old", &[tag(1)]).await;
    server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    let refused = reader.hold(&[tag(2)]).unwrap();
    assert_eq!(refused.placed().await.unwrap_err().kind(), cache_core::ErrorKind::Refused);
    server.set_clock(LATER);
    assert_eq!(reader.payload(&key("k")).await, None);
    server.command(&["CONFIG", "SET", "maxmemory", "0"]);
}

#[tokio::test]
async fn holds_in_a_cluster() {
    let cluster = Cluster::start();
    let connect = async || Redis::builder(cluster.url()).prefix("p").timeout(Duration::from_secs(2)).connect().await;
    let [writer, reader] = [connect().await.unwrap(), connect().await.unwrap()];
    let keys: Vec<_> = (0..20).map(|number| key(&number.to_string())).collect();
    let hold = placed(&writer, &[tag(1)]).await;
    for key in &keys {
        reader.put(key, b"old", &[tag(1)]).await;
    }
    for key in &keys {
        assert!(reader.payload(key).await.is_some());
    }
    hold.end().await.unwrap();
    for key in &keys {
        assert_eq!(reader.payload(key).await, None);
    }
    let short = Redis::builder(cluster.url()).prefix("p").hold(Duration::from_millis(400)).connect().await.unwrap();
    let hold = placed(&short, &[tag(1)]).await;
    short.close().await;
    drop(hold);
    reader.put(&keys[0], b"old", &[tag(1)]).await;
    let dead = async {
        while reader.payload(&keys[0]).await.is_some() {
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    };
    within(Duration::from_secs(20), "the end", dead).await;
}

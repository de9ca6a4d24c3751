//! Keys of ours that hold something else: of another type, or no numbers where there should be some. They count as lost,
//! are replaced, and are counted.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "this is how tests fail and talk")]

mod support;

use std::time::Duration;

use cache_core::backend::{Backend, TagId};
use cache_redis::{Redis, TroubleKind};
use support::*;

const CLOCK: &str = "p:{t:p}:clock";

/// No heartbeats while the test lasts, except those that something gives reason for.
async fn calm(server: &Server) -> Redis {
    server.builder().prefix("p").max_staleness(Duration::from_secs(3000)).connect().await.unwrap()
}

fn bucket(tag: TagId) -> String {
    format!("p:{{t:p}}:{:02x}", tag.0 % 256)
}

fn set_field(raw: &mut Raw, tag: TagId, value: &str) {
    raw.try_bytes(&[b"HSET", bucket(tag).as_bytes(), &tag.0.to_le_bytes(), value.as_bytes()]).unwrap();
}

/// Makes the key hold something of each type but these.
fn types(but: &str) -> impl Iterator<Item = [&'static str; 4]> {
    let all = [
        ["string", "SET", "x", ""],
        ["list", "RPUSH", "x", ""],
        ["hash", "HSET", "f", "x"],
        ["set", "SADD", "x", ""],
        ["zset", "ZADD", "1", "x"],
        ["stream", "XADD", "*", "f"],
    ];
    all.into_iter().filter(move |[name, ..]| *name != but)
}

/// In one step: a heartbeat that comes between would make the key anew.
fn make(raw: &mut Raw, name: &str, [kind, command, first, second]: [&str; 4]) {
    let script =
        "redis.call('DEL', KEYS[1]) redis.call(ARGV[1], KEYS[1], unpack(ARGV, 2)) return redis.call('TYPE', KEYS[1])";
    let mut arguments = vec!["EVAL", script, "1", name, command, first];
    arguments.extend(Some(second).filter(|second| !second.is_empty()));
    if kind == "stream" {
        arguments.push("x");
    }
    assert_eq!(raw.command(&arguments).text(), kind);
}

/// Stored by one, served to all, and to nobody once it was invalidated.
async fn caches(server: &Server, processes: [&Redis; 2], name: &str, what: &str) {
    let newcomer = calm(server).await;
    let all = [processes[0], processes[1], &newcomer];
    // The others may have heard of all that was invalidated, and know better than any record.
    assert_eq!(newcomer.payload(&key(name)).await, None, "{what}");
    processes[0].put(&key(name), b"fresh", &[tag(1), tag(2)]).await;
    for redis in all {
        assert_eq!(redis.payload(&key(name)).await.as_deref(), Some(b"fresh".as_slice()), "{what}");
    }
    processes[1].invalidate(&[tag(1)]).await.unwrap();
    for redis in all {
        assert_eq!(redis.payload(&key(name)).await, None, "{what}, invalidated");
    }
}

#[tokio::test]
async fn a_field_that_is_no_number_counts_as_invalidated() {
    let server = Server::start();
    let mut raw = server.raw();
    let garbage = [
        "",
        "garbage",
        "-1",
        "1e3",
        "0x1",
        "12.5",
        " 7",
        "007",
        "+7",
        "nan",
        "99999999999999999999",
        "4503599627370496",
        "\u{0}",
    ];
    for floor in [false, true] {
        for garbage in garbage {
            let (one, two) = (calm(&server).await, calm(&server).await);
            one.put(&key("k"), b"stale", &[tag(1), tag(2)]).await;
            two.invalidate(&[tag(1)]).await.unwrap();
            if floor {
                raw.command(&["HSET", &bucket(tag(1)), "floor", garbage]);
            } else {
                set_field(&mut raw, tag(1), garbage);
            }
            caches(&server, [&one, &two], "k", &format!("{garbage:?}, floor: {floor}")).await;
            assert!(one.health().count(TroubleKind::WrongType) > 0, "{garbage:?}");
        }
    }
}

/// Without anything that was invalidated since, too: what can't be read may have been an invalidation.
#[tokio::test]
async fn an_unreadable_field_or_floor_is_dead_until_the_tag_is_used_again() {
    let server = Server::start();
    let mut raw = server.raw();
    for (what, field) in [("field", tag(1).0.to_le_bytes().to_vec()), ("floor", b"floor".to_vec())] {
        for value in ["garbage", "4400000000000000"] {
            let one = calm(&server).await;
            one.put(&key("k"), b"v", &[tag(1)]).await;
            raw.try_bytes(&[b"HSET", bucket(tag(1)).as_bytes(), &field, value.as_bytes()]).unwrap();
            // What a newcomer can't tell by what it hears.
            one.invalidate(&[tag(9)]).await.unwrap();
            let (two, three) = (calm(&server).await, calm(&server).await);
            assert_eq!(two.payload(&key("k")).await, None, "{what} {value}");
            // An invalidation of another tag of that bucket fails no more than any other.
            two.invalidate(&[TagId(tag(1).0 ^ 1 << 20)]).await.unwrap();
            assert_eq!(three.payload(&key("k")).await, None, "{what} {value}");
            caches(&server, [&one, &two], "k", &format!("{what} {value}")).await;
        }
    }
}

/// What a process has read of it is forgotten, too, once it is mended.
#[tokio::test]
async fn a_process_that_has_read_damage_and_hears_everything_caches_again() {
    let server = Server::start();
    let mut raw = server.raw();
    let (one, two) = (calm(&server).await, calm(&server).await);
    two.put(&key("k"), b"v", &[tag(1)]).await;
    two.invalidate(&[tag(9)]).await.unwrap();
    set_field(&mut raw, tag(1), "4400000000000000");
    let newcomer = calm(&server).await;
    for redis in [&one, &two, &newcomer] {
        informed(&mut raw, redis).await;
    }
    assert_eq!(newcomer.payload(&key("k")).await, None);
    caches(&server, [&newcomer, &one], "other", "read by who hears").await;
    caches(&server, [&two, &newcomer], "another", "once more").await;
}

/// A bucket that is full is trimmed, whatever is in it.
#[tokio::test]
async fn a_full_bucket_with_damaged_fields_is_forgotten_as_a_whole() {
    let server = Server::start();
    let redis = calm(&server).await;
    let mut raw = server.raw();
    let of_one_bucket = |number: u64| TagId(number << 8 | 7);
    for damage in ["garbage", "9007199254740993", ""] {
        redis.put(&key("old"), b"stale", &[of_one_bucket(1)]).await;
        redis.invalidate(&[of_one_bucket(1)]).await.unwrap();
        let now = raw.command(&["GET", CLOCK]).text();
        for number in 2..=520 {
            set_field(&mut raw, of_one_bucket(number), if number % 100 == 0 { damage } else { &now });
        }
        redis.invalidate(&[of_one_bucket(1000)]).await.unwrap();
        assert!(raw.command(&["HLEN", "p:{t:p}:07"]).number() <= 500);
        let newcomer = calm(&server).await;
        assert_eq!(newcomer.payload(&key("old")).await, None);
        redis.put(&key("new"), b"v", &[of_one_bucket(1), of_one_bucket(100), of_one_bucket(1000)]).await;
        assert!(newcomer.payload(&key("new")).await.is_some());
        newcomer.invalidate(&[of_one_bucket(100)]).await.unwrap();
        assert_eq!(redis.payload(&key("new")).await, None);
    }
}

/// A bucket that somebody has filled isn't gone through by a script: it would stand still for seconds.
#[tokio::test]
async fn a_bucket_that_is_far_too_full_is_deleted() {
    let server = Server::start();
    let redis = calm(&server).await;
    let mut raw = server.raw();
    redis.put(&key("k"), b"v", &[TagId(7)]).await;
    let fields: Vec<String> = (0..5000).map(|number| format!("field {number}")).collect();
    for fields in fields.chunks(500) {
        let mut command = vec!["HSET", "p:{t:p}:07"];
        command.extend(fields.iter().flat_map(|field| [field.as_str(), "1"]));
        raw.command(&command);
    }
    redis.invalidate(&[TagId(1 << 8 | 7)]).await.unwrap();
    assert_eq!(raw.command(&["EXISTS", "p:{t:p}:07"]).number(), 0);
    assert_eq!(calm(&server).await.payload(&key("k")).await, None);
}

#[tokio::test]
async fn an_entry_of_another_type_is_replaced_by_the_next_run() {
    let server = Server::start();
    let mut raw = server.raw();
    let (one, two) = (calm(&server).await, calm(&server).await);
    for other in types("string") {
        one.put(&key("k"), b"v", &[tag(1), tag(2)]).await;
        let name = raw.keys("p:*:e").pop().unwrap();
        make(&mut raw, &name, other);
        let before = one.health().count(TroubleKind::WrongType);
        // Alone, and in company: by other commands.
        let (k, l) = (key("k"), key("l"));
        let (read, beside) = futures_util::join!(two.read(&k), two.read(&l));
        assert!(read.unwrap().live.is_none() && beside.unwrap().live.is_none(), "{other:?}");
        caches(&server, [&one, &two], "k", &format!("{other:?}")).await;
        assert_eq!(one.health().count(TroubleKind::WrongType), before + 1, "{other:?}");
        one.invalidate(&[tag(2)]).await.unwrap();
        raw.command(&["DEL", &name]);
    }
}

#[tokio::test]
async fn a_clock_of_another_type_is_replaced() {
    let server = Server::start();
    let mut raw = server.raw();
    for first in ["stamp", "invalidation", "heartbeat"] {
        for other in types("string") {
            let (one, two) = (calm(&server).await, calm(&server).await);
            one.put(&key("old"), b"stale", &[tag(1), tag(2)]).await;
            make(&mut raw, CLOCK, other);
            match first {
                "stamp" => drop(one.granted(&key("other"), &[tag(1)]).await),
                "invalidation" => drop(one.invalidate(&[tag(1)]).await.unwrap()),
                _ => {
                    // A listener is a reason for one.
                    let mut ear = Listening::to(&one);
                    ear.until("doubt", |heard| *heard == Heard::Doubt).await;
                }
            }
            assert_eq!(raw.command(&["TYPE", CLOCK]).text(), "string", "{first} {other:?}");
            two.invalidate(&[tag(1)]).await.unwrap();
            caches(&server, [&one, &two], "old", &format!("{first} {other:?}")).await;
            // Whoever came first: each has just connected, and compares.
            let counted: u64 = [&one, &two].map(|redis| redis.health().count(TroubleKind::WrongType)).iter().sum();
            assert_eq!(counted, 1, "{first} {other:?}");
            futures_util::join!(one.close(), two.close());
        }
    }
}

#[tokio::test]
async fn a_bucket_of_another_type_is_replaced() {
    let server = Server::start();
    let mut raw = server.raw();
    for first in ["run", "invalidation"] {
        for other in types("hash") {
            let (one, two) = (calm(&server).await, calm(&server).await);
            one.put(&key("k"), b"stale", &[tag(1), tag(2)]).await;
            one.invalidate(&[tag(9)]).await.unwrap();
            make(&mut raw, &bucket(tag(1)), other);
            assert_eq!(calm(&server).await.payload(&key("k")).await, None, "nobody can say");
            if first == "invalidation" {
                one.invalidate(&[tag(1)]).await.unwrap();
            } else {
                two.invalidate(&[tag(2)]).await.unwrap();
            }
            caches(&server, [&one, &two], "k", &format!("{first} {other:?}")).await;
            assert_eq!(one.health().count(TroubleKind::WrongType), 1, "{first} {other:?}");
        }
    }
}

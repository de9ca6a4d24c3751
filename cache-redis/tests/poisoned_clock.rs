//! Numbers that no server has given out: in messages, in the clock's key, from a server whose time was set. None of them
//! stops invalidation, in this process or another, now or later.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "this is how tests fail and talk")]

mod support;

use std::time::Duration;

use cache_core::backend::{Backend, LeaseAnswer, StoreAnswer};
use cache_redis::{Redis, RedisBuilder, TroubleKind};
use support::*;

const CLOCK: &str = "p:{t:p}:clock";
const YEAR: i64 = 365 * 24 * 3600;
const STAMP: &str = concat!(include_str!("../src/scripts/clock.lua"), include_str!("../src/scripts/stamp.lua"));
const INVALIDATE: &str =
    concat!(include_str!("../src/scripts/clock.lua"), include_str!("../src/scripts/invalidate.lua"));
/// The clock stays below: see `scripts/clock.lua`.
const END: u64 = 1 << 52;

fn builder(server: &Server) -> RedisBuilder {
    server.builder().prefix("p")
}

/// No heartbeats while the test lasts, except those that something gives reason for.
async fn calm(server: &Server) -> Redis {
    builder(server).max_staleness(Duration::from_secs(3000)).connect().await.unwrap()
}

fn clock(raw: &mut Raw) -> u64 {
    raw.command(&["GET", CLOCK]).text().parse().unwrap_or(0)
}

/// Every process stores, invalidates and hears: what is stored is served to all, and once it was invalidated to nobody,
/// also not to a process that comes later.
async fn order_works(server: &Server, processes: &[&Redis], what: &str) {
    for (number, invalidates) in processes.iter().enumerate() {
        let newcomer = builder(server).connect().await.unwrap();
        // A healing that another process makes meanwhile costs misses.
        within(Duration::from_secs(20), what, async {
            for stores in processes.iter().cycle() {
                stores.put(&key("k"), b"v", &[tag(1)]).await;
                let mut served = true;
                for redis in processes.iter().chain([&&newcomer]) {
                    served &= redis.payload(&key("k")).await.is_some();
                }
                if served {
                    break;
                }
            }
        })
        .await;
        invalidates.invalidate(&[tag(1)]).await.unwrap_or_else(|error| panic!("{what}, {number}: {error}"));
        let later = builder(server).connect().await.unwrap();
        for redis in processes.iter().chain([&&newcomer, &&later]) {
            assert_eq!(redis.payload(&key("k")).await, None, "{what}, invalidated by {number}");
        }
    }
    let now = clock(&mut server.raw());
    assert!(now > 0 && now < END, "{what}: {now}");
}

#[tokio::test]
async fn a_message_with_any_number_stops_no_invalidation_and_never_becomes_the_clock() {
    let server = Server::start();
    let (one, two) = (calm(&server).await, calm(&server).await);
    let mut raw = server.raw();
    let mut ear = Listening::to(&one);
    ear.trusted().await;
    let now = clock(&mut raw);
    let year = YEAR as u64 * 1_000_000;
    let far =
        [(1 << 53) - 1, 1 << 53, u64::MAX, END - 1, END, END + 1, now + 50 * year, now + year / 2, now + (2 << 20)];
    for number in far {
        let expected = clock(&mut raw);
        raw.command(&["PUBLISH", "p:bus:0", &format!("x {number} 12345678")]);
        one.invalidate(&[tag(5)]).await.unwrap();
        one.put(&key("other"), b"v", &[tag(6)]).await;
        two.invalidate(&[tag(6)]).await.unwrap();
        assert_eq!(one.payload(&key("other")).await, None, "{number}");
        let now = clock(&mut raw);
        assert!(now < expected + 1000, "{number}: the clock went from {expected} to {now}");
        order_works(&server, &[&one, &two], &format!("message {number}")).await;
    }
    // One that could be true costs what is stored, and nothing else.
    for ahead in [2, 1000, 1 << 19] {
        let number = clock(&mut raw) + ahead;
        raw.command(&["PUBLISH", "p:bus:0", &format!("x {number} 12345678")]);
        order_works(&server, &[&one, &two], &format!("message {ahead} ahead")).await;
    }
}

/// The log of what was heard is of use again.
#[tokio::test]
async fn messages_with_any_number_leave_no_lasting_trace() {
    let server = Server::start();
    let (one, two) = (calm(&server).await, calm(&server).await);
    let mut raw = server.raw();
    informed(&mut raw, &one).await;
    for number in [END - 1, clock(&mut raw) + (1 << 30)] {
        // As many as are remembered, to tell duplicates.
        for serial in 0..5000 {
            raw.command(&["PUBLISH", "p:bus:0", &format!("x {} {serial:08}", number - serial)]);
        }
        informed(&mut raw, &one).await;
        let mut ear = Listening::to(&one);
        ear.trusted().await;
        ear.drain();
        for number in 0..20 {
            two.invalidate(&[tag(number)]).await.unwrap();
            ear.until("invalidation", |heard| *heard == Heard::Invalidated(vec![tag(number)])).await;
        }
        assert!(!ear.drain().contains(&Heard::Doubt));
        assert_eq!(one.health().count(TroubleKind::ClockWentBack), 0);
    }
}

/// A process that has only heard of an invalidation notices that the server has lost it: see `failclosed.rs` and `bus.rs`
/// for the others.
#[tokio::test]
async fn what_was_only_heard_is_missed_when_a_failover_has_lost_it() {
    let server = Server::start();
    let (one, two) = (calm(&server).await, calm(&server).await);
    let mut raw = server.raw();
    let stamp = one.put(&key("k"), b"stale", &[tag(1)]).await;
    let mut ear = Listening::to(&one);
    ear.trusted().await;
    let before = raw.command(&["GET", CLOCK]).text();
    two.invalidate(&[tag(1)]).await.unwrap();
    ear.until("invalidation", |heard| *heard == Heard::Invalidated(vec![tag(1)])).await;
    two.close().await;
    let bucket = format!("p:{{t:p}}:{:02x}", tag(1).0 % 256);
    raw.command(&["SET", CLOCK, &before]);
    raw.try_bytes(&[b"HDEL", bucket.as_bytes(), &tag(1).0.to_le_bytes()]).unwrap();
    let newcomer = calm(&server).await;
    assert!(newcomer.payload(&key("k")).await.is_some(), "nobody told it");
    assert_eq!(one.payload(&key("k")).await, None);
    assert!(one.put(&key("l"), b"v", &[tag(1)]).await > stamp);
    assert_eq!(one.health().count(TroubleKind::ClockWentBack), 1);
    for redis in [&one, &newcomer] {
        assert_eq!(redis.payload(&key("k")).await, None);
    }
}

/// Whatever stands in the clock's key: the next use of it drops everything, and goes on.
#[tokio::test]
async fn a_clock_that_was_overwritten_heals_by_dropping_everything() {
    let server = Server::start();
    let mut raw = server.raw();
    let year = YEAR as u64 * 1_000_000;
    let now = {
        calm(&server).await;
        clock(&mut raw)
    };
    let numbers =
        [(1 << 53) + 1, 1 << 53, (1 << 53) - 1, (1 << 53) - 2, END + 1, END, END - 1, END - 2, u64::MAX, 0, 1]
            .into_iter()
            .chain([now + 2 * year, now + 80 * year, now + year / 2])
            .map(|number: u64| number.to_string());
    let garbage = [
        "garbage",
        "",
        "-5",
        "1e15",
        "1.7e15",
        "0x10",
        "nan",
        "inf",
        " 17",
        "17 ",
        "017",
        "+17",
        "17.0",
        "99999999999999999999999",
    ];
    for value in numbers.chain(garbage.map(str::to_owned)) {
        let (one, two) = (calm(&server).await, calm(&server).await);
        for redis in [&one, &two] {
            redis.put(&key("old"), b"stale", &[tag(1)]).await;
        }
        raw.command(&["SET", CLOCK, &value]);
        // One process has seen it; and one has stored something with what it gave.
        let _ = two.payload(&key("old")).await;
        let under = two.try_lease(&key("under"), &[tag(2)]).await.unwrap();
        if let LeaseAnswer::Granted(lease) = under {
            let stamp = lease.stamp();
            two.store(&key("under"), lease, entry(b"stale", &[tag(2)], stamp)).await.unwrap();
        }
        for redis in [&one, &two] {
            redis.invalidate(&[tag(1), tag(2)]).await.unwrap_or_else(|error| panic!("{value:?}: {error}"));
        }
        for redis in [&one, &two, &calm(&server).await] {
            for name in ["old", "under"] {
                assert_eq!(redis.payload(&key(name)).await, None, "{name}, {value:?}");
            }
        }
        order_works(&server, &[&one, &two], &format!("clock {value:?}")).await;
        for redis in [&one, &two, &calm(&server).await] {
            for name in ["old", "under"] {
                assert_eq!(redis.payload(&key(name)).await, None, "{name}, {value:?}, later");
            }
        }
        for redis in [&one, &two] {
            redis.close().await;
        }
        raw.command(&["FLUSHALL"]);
    }
}

/// The processes that have seen a number just below the end don't push the clock there again.
#[tokio::test]
async fn processes_that_have_seen_a_poisoned_clock_forget_it() {
    let server = Server::start();
    let mut raw = server.raw();
    let (one, two, three) = (calm(&server).await, calm(&server).await, calm(&server).await);
    one.put(&key("k"), b"v", &[tag(1)]).await;
    raw.command(&["SET", CLOCK, &(END - 3).to_string()]);
    for redis in [&one, &two, &three] {
        let _ = redis.payload(&key("k")).await;
        assert_eq!(redis.known_stamp().unwrap().0, END - 3);
    }
    for _ in 0..5 {
        one.invalidate(&[tag(1)]).await.unwrap();
    }
    assert!(clock(&mut raw) < END / 2);
    order_works(&server, &[&one, &two, &three], "after the end").await;
    let healed = clock(&mut raw);
    assert!(healed < END / 2, "{healed}");
    for redis in [&one, &two, &three] {
        assert!(redis.known_stamp().unwrap().0 <= healed);
        assert!(redis.health().count(TroubleKind::ClockWentBack) + redis.health().count(TroubleKind::WrongType) > 0);
    }
}

/// Stamps of before and after can't be compared, so the least of them isn't the oldest.
#[tokio::test]
async fn a_run_from_before_the_clock_restarted_lower_stores_nothing() {
    let server = Server::start();
    let mut raw = server.raw();
    let (one, two) = (calm(&server).await, calm(&server).await);
    raw.command(&["SET", CLOCK, &(END - 3).to_string()]);
    let (parent, leaf) = (one.granted(&key("parent"), &[tag(1)]).await, one.granted(&key("leaf"), &[tag(2)]).await);
    assert_eq!(parent.stamp().0, END - 3);
    // The parent has used the leaf, which is invalidated; the clock comes to its end and restarts.
    for _ in 0..3 {
        two.invalidate(&[tag(2)]).await.unwrap();
    }
    drop(leaf);
    // It uses it again, and so has both stamps for it: the lower one is the later one.
    let leaf = one.granted(&key("leaf"), &[tag(2)]).await;
    let later = leaf.stamp();
    assert!(later.0 < END / 2);
    let answer = one.store(&key("parent"), parent, entry(b"of both", &[tag(1), tag(2)], later)).await.unwrap();
    assert_eq!(answer, StoreAnswer::LeaseLost);
    assert_eq!(two.payload(&key("parent")).await, None);
    let stored = one.store(&key("leaf"), leaf, entry(b"v", &[tag(2)], later)).await.unwrap();
    assert_eq!(stored, StoreAnswer::Stored, "what began afterwards is stored");
    assert!(two.payload(&key("leaf")).await.is_some());
    assert!(matches!(one.try_lease(&key("parent"), &[]).await.unwrap(), LeaseAnswer::Granted(_)), "it was given back");
}

/// The server's time is set, by little and by much, while the clock is there or is lost at the same moment.
#[tokio::test]
async fn time_that_is_set_never_brings_back_what_was_invalidated() {
    let server = Server::with_clock(&[]);
    let mut raw = server.raw();
    let lost: [&[&str]; 4] = [&["PING"], &["DEL", CLOCK], &["SET", CLOCK, "garbage"], &["FLUSHALL"]];
    for years in [0, -10, 10, -40, 0, 30, 200, 0] {
        for lose in lost {
            server.set_clock(0);
            raw.command(&["FLUSHALL"]);
            let (one, two) = (calm(&server).await, calm(&server).await);
            // What a new prefix begins with; it would end as the time is set.
            raw.command(&["ZREM", "p:{t:p}:holds", "*"]);
            one.put(&key("old"), b"stale", &[tag(1)]).await;
            let (held, before) = (one.granted(&key("run"), &[tag(1)]).await, clock(&mut raw));
            server.set_clock(years * YEAR);
            raw.command(lose);
            let what = format!("{years} years, {lose:?}");
            two.invalidate(&[tag(1)]).await.unwrap();
            if lose[0] == "PING" {
                assert_eq!(clock(&mut raw), before + 1, "{what}: it goes on counting");
            }
            let stamp = held.stamp();
            let _ = one.store(&key("run"), held, entry(b"stale", &[tag(1)], stamp)).await.unwrap();
            order_works(&server, &[&one, &two], &what).await;
            for redis in [&one, &two, &calm(&server).await] {
                for name in ["old", "run"] {
                    assert_eq!(redis.payload(&key(name)).await, None, "{name}, {what}");
                }
            }
        }
    }
}

/// A process that was refused because the clock went back has it made anew, even if the clock has been counted up to the
/// same number while the refusal was on its way. Otherwise an entry with that number would outlive its invalidation.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_went_back_and_has_caught_up_when_the_refusal_arrives() {
    for script in [INVALIDATE, STAMP] {
        let server = Server::start();
        let proxy = Proxy::to(server.port());
        let patient = |builder: RedisBuilder| {
            builder.prefix("p").timeout(Duration::from_secs(60)).max_staleness(Duration::from_secs(3000))
        };
        let one = patient(Redis::builder(proxy.url())).connect().await.unwrap();
        Listening::to(&one).trusted().await;
        // Makes the record of the tag, which says nothing from after what is lost.
        one.put(&key("first"), b"v", &[tag(5)]).await;
        for _ in 0..2 {
            one.invalidate(&[tag(7)]).await.unwrap();
        }
        one.put(&key("k"), b"old", &[tag(5)]).await;
        let mut raw = server.raw();
        let before = clock(&mut raw);
        raw.command(&["SET", CLOCK, &(before - 2).to_string()]);
        // It doesn't hear of the others.
        proxy.hold(Kind::Messages);
        proxy.next_reply(raw.command(&["SCRIPT", "LOAD", script]).text().as_bytes(), Fate::Held);
        let refused = async {
            if script == INVALIDATE {
                one.invalidate(&[tag(8)]).await.unwrap();
            } else {
                one.granted(&key("other"), &[]).await;
            }
        };
        let meanwhile = async {
            proxy.wait_for_fates(1);
            let newcomer = calm(&server).await;
            for number in [5, 8] {
                newcomer.invalidate(&[tag(number)]).await.unwrap();
            }
            assert_eq!(clock(&mut raw), before);
            proxy.release();
        };
        tokio::join!(refused, meanwhile);
        assert_eq!(calm(&server).await.payload(&key("k")).await, None);
    }
}

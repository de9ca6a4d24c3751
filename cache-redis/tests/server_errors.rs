//! Servers that answer, but don't do what they are asked: out of memory, replicas, wrong passwords, missing permissions,
//! not ready, no Redis at all. Errors are honest, each trouble is reported once, and it is over when its cause is.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "this is how tests fail and talk")]

mod support;

use std::io::{BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use cache_core::ErrorKind;
use cache_core::backend::Backend;
use cache_redis::{Redis, TroubleKind};
use support::operations::*;
use support::*;

#[tokio::test]
async fn out_of_memory() {
    let server = Server::with(&["--maxmemory-policy", "noeviction"]);
    let troubles = Troubles::default();
    let redis = server.builder().timeout(TIMEOUT).on_error(troubles.hook()).connect().await.unwrap();
    recovers(&redis).await;
    server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    for _ in 0..50 {
        // Reading works, and invalidating by forgetting.
        let [read, lease, invalidate] = all_operations(&redis).await;
        assert_eq!((read, lease, invalidate), (Ok(()), Err(ErrorKind::Refused), Ok(())));
    }
    // The heartbeat may have met it too.
    assert!(redis.health().count(TroubleKind::OutOfMemory) >= 50);
    assert!(redis.health().connected);
    server.command(&["CONFIG", "SET", "maxmemory", "0"]);
    recovers(&redis).await;
    assert_eq!(troubles.kinds(), [TroubleKind::OutOfMemory], "{}", troubles.text());
}

#[tokio::test]
async fn a_replica_is_refused() {
    let primary = Server::start();
    let redis = primary.builder().timeout(TIMEOUT).max_staleness(Duration::from_millis(600)).connect().await.unwrap();
    recovers(&redis).await;
    let replica = Server::with(&["--replicaof", "127.0.0.1", &primary.port().to_string()]);
    let mut raw = replica.raw();
    eventually("replication", || raw.info("replication", "master_link_status").as_deref() == Some("up")).await;
    let error = replica.builder().connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error:?}");
    assert!(error.to_string().contains("replica"), "{error}");

    // A primary that becomes a replica is noticed, also by those who only read.
    let other = Server::start();
    primary.command(&["REPLICAOF", "127.0.0.1", &other.port().to_string()]);
    within(Duration::from_secs(10), "notice", async {
        while redis.read(&key("k")).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert_eq!(redis.read(&key("k")).await.unwrap_err().kind(), ErrorKind::Refused);
    primary.command(&["REPLICAOF", "NO", "ONE"]);
    recovers(&redis).await;
}

/// Such a primary may have been replaced, on the other side of a split network.
#[tokio::test]
async fn a_primary_without_the_replicas_it_must_have() {
    let server = Server::start();
    let troubles = Troubles::default();
    let builder = server.builder().timeout(TIMEOUT).max_staleness(Duration::from_millis(600));
    let redis = builder.on_error(troubles.hook()).connect().await.unwrap();
    redis.put(&key("k"), b"v", &[tag(2)]).await;
    server.command(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    // Also by those who only read.
    within(Duration::from_secs(10), "notice", async {
        while redis.read(&key("k")).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    for _ in 0..50 {
        let error = redis.read(&key("k")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("min-replicas-to-write"), "{error}");
    }
    server.command(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
    recovers(&redis).await;
    assert_eq!(redis.payload(&key("k")).await.unwrap(), b"v");
    assert_eq!(troubles.kinds(), [TroubleKind::NotReady], "{}", troubles.text());
}

#[tokio::test]
async fn wrong_passwords_and_missing_permissions() {
    let server = Server::start();
    let mut raw = server.raw();
    raw.command(&["CONFIG", "SET", "requirepass", "secret-pass"]);
    raw.command(&["AUTH", "secret-pass"]);
    raw.command(&["ACL", "SETUSER", "app", "on", ">app-pass", "~p:*", "&*", "+@all"]);
    raw.command(&["ACL", "SETUSER", "reader", "on", ">app-pass", "~*", "&*", "+@all", "-@write"]);
    raw.command(&["ACL", "SETUSER", "scriptless", "on", ">app-pass", "~*", "&*", "+@all", "-@scripting"]);
    let url = |auth: &str| format!("redis://{auth}127.0.0.1:{}", server.port());
    for (auth, what) in
        [("", "none"), (":wrong-pass@", "wrong"), ("app:wrong-pass@", "wrong"), ("nobody:wrong-pass@", "no user")]
    {
        let troubles = Troubles::default();
        let error = Redis::builder(url(auth)).prefix("p").on_error(troubles.hook()).connect().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused, "{what}: {error:?}");
        assert!(!format!("{error} {error:?} {}", troubles.text()).contains("wrong-pass"));
    }
    for auth in [":secret-pass@", "app:app-pass@"] {
        let builder = Redis::builder(url(auth)).prefix("p").timeout(Duration::from_secs(2));
        assert!(!format!("{builder:?}").contains("-pass"));
        let redis = builder.connect().await.unwrap();
        assert!(!format!("{redis:?}").contains("-pass"));
        recovers(&redis).await;
    }
    let builder =
        Redis::builder(url("")).prefix("p").username("app").password("app-pass").timeout(Duration::from_secs(2));
    recovers(&builder.connect().await.unwrap()).await;
    // Keys that aren't ours.
    let error = Redis::builder(url("app:app-pass@")).prefix("q").connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error:?}");
    for user in ["reader", "scriptless"] {
        let troubles = Troubles::default();
        let builder = Redis::builder(url(&format!("{user}:app-pass@"))).prefix("p").timeout(TIMEOUT);
        let error = builder.clone().connect().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused, "{user}: {error:?}");
        let redis = builder.timeout(Duration::from_secs(1)).on_error(troubles.hook()).connect_lazy().unwrap();
        eventually("the connection", || redis.health().connected).await;
        for round in 0..20 {
            let [read, lease, invalidate] = all_operations(&redis).await;
            assert_eq!((lease, invalidate), (Err(ErrorKind::Refused), Err(ErrorKind::Refused)), "{user}");
            // What was invalidated in the first round has to be recorded before anything is read.
            assert_eq!(read, if round == 0 { Ok(()) } else { Err(ErrorKind::Refused) }, "{user}");
        }
        eventually("the report", || !troubles.kinds().is_empty()).await;
        assert_eq!(troubles.kinds(), [TroubleKind::Denied], "{}", troubles.text());
        assert!(redis.health().count(TroubleKind::Denied) >= 40);
    }
}

/// A server that answers everything with this error.
fn fake(reply: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream);
                while read_command(&mut reader).is_some() {
                    if reader.get_mut().write_all(format!("{reply}\r\n").as_bytes()).is_err() {
                        break;
                    }
                }
            });
        }
    });
    port
}

fn read_command(reader: &mut BufReader<TcpStream>) -> Option<()> {
    use std::io::BufRead;
    let mut number = |prefix: char| -> Option<(usize, Vec<u8>)> {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let number: usize = line.trim_end().strip_prefix(prefix)?.parse().ok()?;
        let mut bytes = vec![0; if prefix == '$' { number + 2 } else { 0 }];
        reader.read_exact(&mut bytes).ok()?;
        Some((number, bytes))
    };
    let (args, _) = number('*')?;
    for _ in 0..args {
        number('$')?;
    }
    Some(())
}

#[tokio::test]
async fn servers_that_are_not_ready() {
    for reply in
        ["-LOADING Redis is loading the dataset in memory", "-MASTERDOWN Link with MASTER is down", "-BUSY script"]
    {
        let url = format!("redis://127.0.0.1:{}", fake(reply));
        let error = Redis::builder(&url).connect().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
        let redis = Redis::builder(&url).timeout(TIMEOUT).connect_lazy().unwrap();
        is_quick(&redis).await;
        assert!(redis.health().count(TroubleKind::NotReady) > 0);
    }
}

#[tokio::test]
async fn what_is_no_redis_at_all() {
    let url = format!("redis://127.0.0.1:{}", fake("HTTP/1.1 400 Bad Request"));
    let began = Instant::now();
    Redis::builder(&url).connect().await.unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(6));
    // Accepts and says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://127.0.0.1:{}", listener.local_addr().unwrap().port());
    let error = Redis::builder(&url).connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn options_that_make_no_sense() {
    let config = |builder: cache_redis::RedisBuilder| {
        let error = builder.connect_lazy().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        error.to_string()
    };
    let url = "redis://localhost";
    assert!(config(Redis::builder("nonsense")).contains("redis://"));
    assert!(config(Redis::builder(url).timeout(Duration::ZERO)).contains("timeout"));
    assert!(config(Redis::builder(url).lease(Duration::ZERO)).contains("lease"));
    assert!(config(Redis::builder(url).max_staleness(Duration::ZERO)).contains("max_staleness"));
    assert!(config(Redis::builder(url).ttl(Duration::ZERO)).contains("ttl"));
    assert!(config(Redis::builder(url).pool_size(0)).contains("pool_size"));
    assert!(config(Redis::builder("redis-cluster://localhost").database(1)).contains("database"));
    assert!(config(Redis::builder(url).username("u")).contains("password"));
}

/// What the crate's docs ask for, and no more.
#[tokio::test]
async fn the_documented_permissions_suffice() {
    let server = Server::start();
    let mut args = vec!["ACL", "SETUSER", "app", "on", ">pw", "~p:*", "resetchannels", "&p:*", "-@all"];
    args.extend(["+@read", "+@write", "+@scripting", "+@connection", "+@pubsub", "+time"]);
    server.command(&args);
    let troubles = Troubles::default();
    let builder = server.builder().prefix("p").username("app").password("pw").on_error(troubles.hook());
    let (one, two) = (builder.clone().connect().await.unwrap(), builder.clone().connect().await.unwrap());
    assert!(one.health().listening && !one.health().keyspace_notifications);
    recovers(&one).await;
    let held = one.granted(&key("k"), &[]).await;
    let busy = two.busy(&key("k")).await;
    drop(held);
    within(Duration::from_secs(5), "the wake", two.wait(&key("k"), busy)).await.unwrap();
    // With notifications.
    server.command(&["ACL", "SETUSER", "app", "+config|get", "+config|set", "&__keyspace@0__:p:{*}:l"]);
    let one = builder.connect().await.unwrap();
    assert!(one.health().keyspace_notifications);
    assert_eq!(troubles.kinds(), [], "{}", troubles.text());
}

/// Where an entry should be, someone has put something else: that is a miss, and no trouble of the connection's.
#[tokio::test]
async fn a_key_of_another_type() {
    let server = Server::start();
    let redis = server.builder().prefix("p").timeout(TIMEOUT).connect().await.unwrap();
    redis.put(&key("spoilt"), b"v", &[tag(1)]).await;
    let mut raw = server.raw();
    let names = raw.keys("p:{*}:e");
    let [name] = &names[..] else { panic!("{names:?}") };
    redis.put(&key("other"), b"v", &[tag(1)]).await;
    raw.command(&["DEL", name]);
    raw.command(&["RPUSH", name, "x"]);
    for _ in 0..20 {
        assert_eq!(redis.payload(&key("spoilt")).await, None);
        assert!(redis.payload(&key("other")).await.is_some());
    }
    assert!(redis.health().connected);
    assert_eq!(redis.health().count(TroubleKind::Unreachable), 0);
    redis.put(&key("spoilt"), b"again", &[tag(1)]).await;
    assert_eq!(redis.payload(&key("spoilt")).await.unwrap(), b"again");
}

//! Never worse than no cache: whatever is wrong with Redis, calls end soon, errors are honest, each trouble is reported
//! once, and all is well again by itself when Redis is.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "this is how tests fail and talk")]

mod support;

use std::io::{BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cache_core::ErrorKind;
use cache_core::backend::{Backend, LeaseRequest};
use cache_redis::{Redis, TroubleKind};
use support::*;

const TIMEOUT: Duration = Duration::from_millis(200);
/// For a slow machine with much to do.
const SLACK: Duration = Duration::from_millis(800);

/// All operations end in time; how they ended.
async fn all_operations(redis: &Redis) -> [Result<(), ErrorKind>; 3] {
    let k = key("outage");
    let request = LeaseRequest { duration: None, seen: NOTHING_SEEN, tags: &[tag(1)] };
    let limit = TIMEOUT + SLACK;
    let kind = |error: cache_core::Error| error.kind();
    [
        within(limit, "read", redis.read(&k)).await.map(drop).map_err(kind),
        within(limit, "lease", redis.lease(&k, request)).await.map(drop).map_err(kind),
        within(limit, "invalidate", redis.invalidate(&[tag(1)])).await.map_err(kind),
    ]
}

const UNAVAILABLE: [Result<(), ErrorKind>; 3] = [Err(ErrorKind::Unavailable); 3];

/// Until all operations succeed.
async fn recovers(redis: &Redis) {
    within(Duration::from_secs(20), "recovery", async {
        while all_operations(redis).await != [Ok(()); 3] {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    redis.put(&key("after"), b"v", &[tag(7)]).await;
    assert!(redis.payload(&key("after")).await.is_some());
    redis.invalidate(&[tag(7)]).await.unwrap();
}

/// Calls cost nothing while the breaker is open.
async fn is_quick(redis: &Redis) {
    let began = Instant::now();
    for _ in 0..100 {
        assert_eq!(all_operations(redis).await, UNAVAILABLE);
    }
    assert!(began.elapsed() < SLACK, "{:?}", began.elapsed());
}

#[tokio::test]
async fn absent_at_the_start() {
    let mut server = Server::start();
    server.kill();
    let began = Instant::now();
    let error = server.builder().connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(began.elapsed() < Duration::from_secs(2));
    let troubles = Troubles::default();
    let redis = server.builder().timeout(TIMEOUT).on_error(troubles.hook()).connect_lazy().unwrap();
    assert_eq!(all_operations(&redis).await, UNAVAILABLE);
    is_quick(&redis).await;
    assert!(!redis.health().connected);
    server.restart();
    recovers(&redis).await;
    assert!(redis.health().connected);
    assert_eq!(troubles.kinds().first(), Some(&TroubleKind::Unreachable), "{}", troubles.text());
    assert!(troubles.kinds().len() <= 2, "{}", troubles.text());
}

#[tokio::test]
async fn killed_and_restarted() {
    let mut server = Server::start();
    let troubles = Troubles::default();
    let redis = server.builder().timeout(TIMEOUT).on_error(troubles.hook()).connect().await.unwrap();
    recovers(&redis).await;
    for round in 1..=2 {
        server.kill();
        assert_eq!(all_operations(&redis).await, UNAVAILABLE);
        is_quick(&redis).await;
        server.restart();
        recovers(&redis).await;
        eventually("the end of the episode", || redis.health().listening).await;
        eventually("the report", || {
            troubles.kinds().contains(&TroubleKind::Unreachable) && troubles.kinds().len() >= round
        })
        .await;
    }
    // On a busy machine a call may have timed out besides.
    let unreachable = troubles.kinds().iter().filter(|kind| **kind == TroubleKind::Unreachable).count();
    assert_eq!(unreachable, 2, "{}", troubles.text());
    assert!(redis.health().count(TroubleKind::Unreachable) > 100);
}

#[tokio::test]
async fn hung() {
    let server = Server::start();
    let troubles = Troubles::default();
    let redis = server.builder().timeout(TIMEOUT).on_error(troubles.hook()).connect().await.unwrap();
    recovers(&redis).await;
    server.stop();
    // The first few pay the timeout, then nobody does.
    assert_eq!(all_operations(&redis).await, UNAVAILABLE);
    eventually("the breaker", || !redis.health().connected).await;
    is_quick(&redis).await;
    server.resume();
    recovers(&redis).await;
    assert!(troubles.kinds().contains(&TroubleKind::Timeout), "{}", troubles.text());
    assert!(troubles.kinds().len() <= 3, "{}", troubles.text());
}

#[tokio::test]
async fn a_hang_is_noticed_by_those_who_wait() {
    let server = Server::start();
    let builder =
        server.builder().timeout(TIMEOUT).lease(Duration::from_secs(60)).max_staleness(Duration::from_secs(1));
    let (one, two) = (builder.clone().connect().await.unwrap(), builder.connect().await.unwrap());
    let held = one.granted(&key("k"), &[]).await;
    let busy = two.busy(&key("k")).await;
    let (waited, ()) =
        tokio::join!(async { within(Duration::from_secs(5), "the wait", two.wait(&key("k"), busy)).await }, async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            server.stop();
        });
    assert_eq!(waited.unwrap_err().kind(), ErrorKind::Unavailable);
    server.resume();
    drop(held);
}

#[tokio::test]
async fn connections_that_are_cut() {
    let server = Server::start();
    let redis = server.builder().timeout(TIMEOUT).pool_size(2).connect().await.unwrap();
    for _ in 0..5 {
        server.command(&["CLIENT", "KILL", "TYPE", "normal"]);
        recovers(&redis).await;
    }
    assert!(redis.health().reconnects >= 5);
}

/// Passes bytes on, late.
struct Proxy {
    port: u16,
    delay_ms: Arc<AtomicU64>,
}

impl Proxy {
    fn to(server: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, to) = (listener.local_addr().unwrap().port(), server.port);
        let delay_ms = Arc::new(AtomicU64::new(0));
        let delay = Arc::clone(&delay_ms);
        std::thread::spawn(move || {
            for from in listener.incoming().flatten() {
                let Ok(to) = TcpStream::connect(("127.0.0.1", to)) else { continue };
                pass_on(from.try_clone().unwrap(), to.try_clone().unwrap(), Arc::default());
                pass_on(to, from, Arc::clone(&delay));
            }
        });
        Self { port, delay_ms }
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, delay_ms: Arc<AtomicU64>) {
    std::thread::spawn(move || {
        let mut buffer = [0; 16384];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            std::thread::sleep(Duration::from_millis(delay_ms.load(Ordering::Relaxed)));
            if to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(std::net::Shutdown::Both);
        let _ = from.shutdown(std::net::Shutdown::Both);
    });
}

#[tokio::test]
async fn slow() {
    let server = Server::start();
    let proxy = Proxy::to(&server);
    let url = format!("redis://127.0.0.1:{}", proxy.port);
    let redis = Redis::builder(url).timeout(TIMEOUT).connect().await.unwrap();
    recovers(&redis).await;
    // Slower than the timeout, but alive: connecting succeeds again and again.
    proxy.delay_ms.store(400, Ordering::Relaxed);
    let began = Instant::now();
    let mut calls = 0;
    while began.elapsed() < Duration::from_secs(4) {
        assert_eq!(all_operations(&redis).await, UNAVAILABLE);
        calls += 3;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // Without the breaker it would be twenty.
    assert!(calls > 200, "{calls}");
    proxy.delay_ms.store(0, Ordering::Relaxed);
    recovers(&redis).await;
}

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
    let replica = Server::with(&["--replicaof", &format!("127.0.0.1 {}", primary.port)]);
    let mut raw = replica.raw();
    eventually("replication", || raw.info("replication", "master_link_status").as_deref() == Some("up")).await;
    let error = replica.builder().connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error:?}");
    assert!(error.to_string().contains("replica"), "{error}");

    // A primary that becomes a replica is noticed, also by those who only read.
    let other = Server::start();
    primary.command(&["REPLICAOF", "127.0.0.1", &other.port.to_string()]);
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

#[tokio::test]
async fn wrong_passwords_and_missing_permissions() {
    let server = Server::start();
    let mut raw = server.raw();
    raw.command(&["CONFIG", "SET", "requirepass", "secret-pass"]);
    raw.command(&["AUTH", "secret-pass"]);
    raw.command(&["ACL", "SETUSER", "app", "on", ">app-pass", "~p:*", "&*", "+@all"]);
    raw.command(&["ACL", "SETUSER", "reader", "on", ">app-pass", "~*", "&*", "+@all", "-@write"]);
    raw.command(&["ACL", "SETUSER", "scriptless", "on", ">app-pass", "~*", "&*", "+@all", "-@scripting"]);
    let url = |auth: &str| format!("redis://{auth}127.0.0.1:{}", server.port);
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
        for _ in 0..20 {
            let [read, lease, invalidate] = all_operations(&redis).await;
            assert_eq!((read, lease, invalidate), (Ok(()), Err(ErrorKind::Refused), Err(ErrorKind::Refused)), "{user}");
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

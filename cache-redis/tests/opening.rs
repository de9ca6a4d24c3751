//! Connecting ends in time whatever answers at the address, and says what answers there.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "this is how tests fail and talk")]

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cache_core::backend::Backend;
use cache_core::{Error, ErrorKind};
use cache_redis::{Redis, RedisBuilder, TroubleKind};
use support::*;

/// Something that isn't Redis, for as long as it lives.
struct Stranger {
    port: u16,
    /// Open connections, so that nothing is closed.
    held: Arc<Mutex<Vec<TcpStream>>>,
}

/// It gets each connection, and may keep it open by handing it back.
fn stranger(answer: impl Fn(TcpStream) -> Option<TcpStream> + Send + Sync + 'static) -> Stranger {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let held = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&held);
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (keep, answer) = (Arc::clone(&keep), Arc::clone(&answer));
            std::thread::spawn(move || keep.lock().unwrap().extend(answer(stream)));
        }
    });
    Stranger { port, held }
}

fn silent() -> Stranger {
    stranger(Some)
}

/// Answers the first command and nothing more.
fn stalling() -> Stranger {
    stranger(|mut stream| {
        let _ = stream.read(&mut [0; 100]);
        let _ = stream.write_all(b"+PONG\r\n");
        Some(stream)
    })
}

/// Says this when it is asked something, or at once.
fn says(text: &'static [u8], at_once: bool) -> Stranger {
    stranger(move |mut stream| {
        if !at_once {
            let _ = stream.read(&mut [0; 100]);
        }
        let _ = stream.write_all(text);
        Some(stream)
    })
}

async fn fails(builder: RedisBuilder) -> (Error, Duration) {
    let began = Instant::now();
    let error = builder.connect().await.unwrap_err();
    (error, began.elapsed())
}

/// Every kind of URL, as far as it can be written without further files.
fn urls(port: u16) -> [String; 3] {
    [
        format!("redis://127.0.0.1:{port}"),
        format!("redis-cluster://127.0.0.1:{port}"),
        format!("redis-sentinel://127.0.0.1:{port}?service=main"),
    ]
}

#[tokio::test]
async fn a_port_that_accepts_and_never_answers() {
    let silent = silent();
    let timeout = Duration::from_secs(2);
    for url in urls(silent.port) {
        let (error, took) = fails(Redis::builder(&url).timeout(timeout)).await;
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
        assert!(error.to_string().contains("did not answer within the timeout"), "{error:?}");
        assert!(took >= timeout && took < timeout * 2, "{url}: {took:?}");
    }
    // Opening takes several round trips: a second is granted however short the timeout.
    let (_, took) = fails(Redis::builder(urls(silent.port)[0].as_str()).timeout(Duration::from_millis(50))).await;
    assert!(took < timeout, "{took:?}");
    assert!(!silent.held.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_socket_that_accepts_and_never_answers() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("silent.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let timeout = Duration::from_secs(2);
    let (error, took) = fails(Redis::builder(format!("redis+unix://{}", path.display())).timeout(timeout)).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(took >= timeout && took < timeout * 2, "{took:?}");
}

#[tokio::test]
async fn a_port_that_answers_once_and_no_more() {
    let stalling = stalling();
    let timeout = Duration::from_secs(2);
    let (error, took) = fails(Redis::builder(urls(stalling.port)[0].as_str()).timeout(timeout)).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(took < timeout * 3, "{took:?}");
}

/// Each round trip stays within the timeout; all of them together take longer.
#[tokio::test]
async fn a_server_that_answers_slowly_is_no_stranger() {
    let server = Server::start();
    let proxy = Proxy::to(server.port());
    proxy.delay(Duration::from_millis(400));
    let redis = Redis::builder(proxy.url()).timeout(Duration::from_secs(2)).connect().await.unwrap();
    redis.read(&key("k")).await.unwrap();
}

#[tokio::test]
async fn sentinels_and_nodes_that_hang_are_passed_over() {
    let silent = silent();
    let sentinel = Sentinel::start();
    let port = sentinel.sentinels[0].port();
    let url = format!(
        "redis-sentinel://127.0.0.1:{}?service=mymaster&node=127.0.0.1:{port}&node=127.0.0.1:{port}",
        silent.port
    );
    let redis = Redis::builder(url).connect().await.unwrap();
    // It begins with the one that has answered.
    let before = silent.held.lock().unwrap().len();
    for _ in 0..3 {
        let reconnects = redis.health().reconnects;
        sentinel.primary.command(&["CLIENT", "KILL", "TYPE", "normal"]);
        within(Duration::from_secs(10), "a new connection", async {
            while redis.read(&key("k")).await.is_err() || redis.health().reconnects == reconnects {
                tokio::time::sleep(Duration::from_millis(3)).await;
            }
        })
        .await;
    }
    assert_eq!(silent.held.lock().unwrap().len(), before);
    let cluster = Cluster::start();
    let url = format!("redis-cluster://127.0.0.1:{}?node=127.0.0.1:{}", silent.port, cluster.nodes[0].port());
    Redis::builder(url).connect().await.unwrap();
}

#[tokio::test]
async fn what_is_no_redis_is_named() {
    let http = says(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", false);
    let http_at_once = says(b"HTTP/1.1 408 Request Timeout\r\n\r\n", true);
    let ssh = says(b"SSH-2.0-OpenSSH_9.2\r\n", true);
    let mysql = says(b"J\0\0\0\n8.0.3\0", true);
    let noise = says(&[0, 255, 3, 7, 9, 13, 10, 200], true);
    let closing = stranger(|stream| {
        drop(stream);
        None
    });
    for (port, kind, words) in [
        (http.port, ErrorKind::Refused, "what answers there is an HTTP server; check host and port"),
        (http_at_once.port, ErrorKind::Refused, "what answers there is an HTTP server; check host and port"),
        (ssh.port, ErrorKind::Refused, "speaks neither Redis's protocol nor TLS; check host and port"),
        (mysql.port, ErrorKind::Refused, "speaks neither Redis's protocol nor TLS; check host and port"),
        (noise.port, ErrorKind::Refused, "speaks neither Redis's protocol nor TLS; check host and port"),
        (closing.port, ErrorKind::Unavailable, "accepts connections and closes them at once"),
    ] {
        for url in urls(port) {
            let (error, took) = fails(Redis::builder(&url)).await;
            assert_eq!(error.kind(), kind, "{url}: {error:?}");
            assert!(error.to_string().contains(words), "{url}: {error:?}");
            assert!(error.to_string().contains(&format!("127.0.0.1:{port}")), "{url}: {error:?}");
            assert!(took < Duration::from_secs(3), "{url}: {took:?}");
        }
    }
}

#[tokio::test]
async fn what_redis_says_instead_of_answering_is_explained() {
    let protected = says(b"-DENIED Redis is running in protected mode because protected mode is enabled\r\n", true);
    let full = says(b"-ERR max number of clients reached\r\n", true);
    let pong = stalling();
    for (port, kind, words) in [
        (protected.port, ErrorKind::Refused, ["protected mode", "`requirepass`"]),
        (full.port, ErrorKind::Unavailable, ["as many clients as it may have", "`maxclients`"]),
    ] {
        for url in urls(port) {
            let (error, _) = fails(Redis::builder(&url)).await;
            assert_eq!(error.kind(), kind, "{url}: {error:?}");
            assert!(words.iter().all(|words| error.to_string().contains(words)), "{url}: {error:?}");
        }
    }
    let (error, _) = fails(Redis::builder(urls(pong.port)[2].as_str())).await;
    assert!(error.to_string().contains("no sentinel"), "{error:?}");
    let (error, _) = fails(Redis::builder("redis://no.such.host.invalid")).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("no address is known for this name"), "{error:?}");
}

/// Who doesn't wait for the connection is told the same.
#[tokio::test]
async fn reports_name_what_is_no_redis() {
    let http = says(b"HTTP/1.1 400 Bad Request\r\n\r\n", false);
    let troubles = Troubles::default();
    let url = format!("redis://user:secret@127.0.0.1:{}", http.port);
    let redis = Redis::builder(url).on_error(troubles.hook()).connect_lazy().unwrap();
    eventually("the report", || troubles.kinds().contains(&TroubleKind::Unreachable)).await;
    let text = troubles.text();
    assert!(text.contains("HTTP server") && !text.contains("secret"), "{text}");
    let error = redis.read(&key("k")).await.unwrap_err();
    assert!(error.to_string().contains("HTTP server"), "{error:?}");
}

//! Servers that aren't what the URL says: the error says what to write instead.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "this is how tests fail and talk")]

mod support;

use std::io::Write;
use std::net::TcpListener;

use cache_core::ErrorKind;
use cache_redis::Redis;
use support::*;

#[track_caller]
fn says(error: &cache_core::Error, words: &[&str]) {
    assert_eq!(error.kind(), ErrorKind::Refused, "{error:?}");
    for word in words {
        assert!(error.to_string().contains(word), "no `{word}` in: {error:?}");
    }
}

async fn refused(url: &str) -> cache_core::Error {
    Redis::builder(url).connect().await.unwrap_err()
}

#[tokio::test]
async fn databases() {
    let server = Server::start();
    says(&refused(&format!("{}/200", server.url())).await, &["no database of this number", "`databases`"]);
    let node = Server::with(&["--cluster-enabled", "yes"]);
    says(&refused(&format!("{}/1", node.url())).await, &["database 0", "`redis-cluster://`"]);
}

#[tokio::test]
async fn clusters_and_single_servers() {
    let server = Server::start();
    let url = server.url().replace("redis://", "redis-cluster://");
    says(&refused(&url).await, &["isn't part of a cluster", "`redis://`"]);
    let cluster = Cluster::start();
    let clock = "p:{t:p}:clock";
    let other = (cluster.owner(clock) + 1) % cluster.ports().len();
    let url = format!("redis://127.0.0.1:{}", cluster.ports()[other]);
    let error = Redis::builder(url).prefix("p").connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "it may be rearranging itself: {error:?}");
    assert!(error.to_string().contains("`redis-cluster://`"), "{error:?}");
}

#[tokio::test]
async fn sentinels_and_single_servers() {
    let server = Server::start();
    let url = server.url().replace("redis://", "redis-sentinel://") + "?service=main";
    says(&refused(&url).await, &["no sentinel", "`redis://`"]);
    let sentinel = Server::sentinel();
    says(&refused(&sentinel.url()).await, &["`redis-sentinel://`"]);
    let url = sentinel.url().replace("redis://", "redis-sentinel://") + "?service=nobody";
    says(&refused(&url).await, &["service", "`sentinel monitor`"]);
}

#[tokio::test]
async fn other_programs() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    says(&refused(&url).await, &["HTTP server", "check host and port"]);
}

#[test]
fn options_of_urls() {
    for (url, words) in [
        ("redis://localhost?db=1", ["`db=`", "none"]),
        ("redis-cluster://localhost?nodes=b", ["`nodes=`", "`node=`"]),
        ("redis-sentinel://localhost?master=a", ["`master=`", "`service=`"]),
        ("redis+unix:///a.sock?database=1", ["`database=`", "`db=`"]),
    ] {
        let error = Redis::builder(url).connect_lazy().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(words.iter().all(|word| error.to_string().contains(word)), "{error}");
    }
}

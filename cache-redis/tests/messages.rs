//! What errors and reports say: with whom, what is wrong, and what to do about it. Never a password.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "this is how tests fail and talk")]

mod support;

use std::net::TcpListener;
use std::time::Duration;

use cache_core::ErrorKind;
use cache_core::backend::Backend;
use cache_redis::{Redis, TroubleKind};
use support::operations::TIMEOUT;
use support::*;

/// The error of connecting, which doesn't show what is secret.
async fn refused(url: &str) -> cache_core::Error {
    let error = Redis::builder(url).prefix("p").connect().await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
    error
}

#[tokio::test]
async fn who_can_t_be_reached() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let named = format!("Redis (127.0.0.1:{port})");
    let url = format!("redis://user:secret@127.0.0.1:{port}");
    // It accepts and says nothing.
    let error = refused(&url).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().starts_with(&format!("{named} did not answer within the timeout")), "{error}");
    drop(listener);
    let error = refused(&url).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().starts_with(&format!("{named} can't be reached")), "{error}");

    let troubles = Troubles::default();
    let redis = Redis::builder(&url).timeout(TIMEOUT).on_error(troubles.hook()).connect_lazy().unwrap();
    for error in [redis.read(&key("k")).await.unwrap_err(), redis.invalidate(&[tag(1)]).await.unwrap_err()] {
        assert!(error.to_string().starts_with(&format!("{named} can't be reached")), "{error}");
    }
    eventually("the report", || troubles.kinds().contains(&TroubleKind::Unreachable)).await;
    assert!(troubles.text().contains(&named) && !troubles.text().contains("secret"), "{}", troubles.text());
}

#[tokio::test]
async fn who_does_not_answer_in_time() {
    let server = Server::start();
    let troubles = Troubles::default();
    let redis = server.builder().timeout(TIMEOUT).on_error(troubles.hook()).connect().await.unwrap();
    server.command(&["CLIENT", "PAUSE", "3000", "ALL"]);
    let named = format!("Redis (127.0.0.1:{}) did not answer", server.port());
    let error = redis.read(&key("k")).await.unwrap_err();
    assert!(error.to_string().starts_with(&named), "{error}");
    eventually("the report", || troubles.kinds().contains(&TroubleKind::Timeout)).await;
    assert!(troubles.text().contains(&named), "{}", troubles.text());
}

#[tokio::test]
async fn passwords_and_permissions() {
    let server = Server::start();
    let url = |auth: &str| format!("redis://{auth}127.0.0.1:{}", server.port());
    let mut raw = server.raw();
    raw.command(&["CONFIG", "SET", "requirepass", "secret"]);
    raw.command(&["AUTH", "secret"]);
    raw.command(&["ACL", "SETUSER", "reader", "on", ">secret", "~*", "&*", "+@all", "-@write"]);
    for (auth, words) in [
        ("", "Redis wants a password; put it into the URL"),
        (":secret-and-wrong@", "user name or password are wrong"),
        ("reader:secret@", "isn't permitted to do that; give it the permissions listed"),
    ] {
        let error = refused(&url(auth)).await;
        assert_eq!(error.kind(), ErrorKind::Refused, "{error:?}");
        assert!(error.to_string().contains(words), "{error:?}");
    }
}

#[tokio::test]
async fn reports_say_what_to_do() {
    let server = Server::with(&["--maxmemory-policy", "noeviction"]);
    let troubles = Troubles::default();
    let redis = server.builder().timeout(Duration::from_secs(1)).on_error(troubles.hook()).connect().await.unwrap();
    server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    let error = redis.try_lease(&key("k"), &[tag(1)]).await.unwrap_err();
    assert!(error.to_string().contains("raise `maxmemory`"), "{error}");
    eventually("the report", || troubles.kinds().contains(&TroubleKind::OutOfMemory)).await;
    let text = troubles.text();
    assert!(text.contains("OOM command not allowed") && text.contains("; raise `maxmemory`"), "{text}");
    server.command(&["CONFIG", "SET", "maxmemory", "0"]);
}

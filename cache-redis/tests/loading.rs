//! A server that is loading its data answers, but does nothing: calls end at once, it is reported once, and all is well by
//! itself when it has loaded. What it had not saved is not served.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "this is how tests fail and talk")]

mod support;

use cache_core::ErrorKind;
use cache_core::backend::Backend;
use cache_redis::TroubleKind;
use support::operations::*;
use support::*;

#[tokio::test]
async fn a_server_that_is_loading() {
    if !Server::can_load_slowly() {
        return;
    }
    let mut server = Server::start();
    let reports = Reports::default();
    let builder = server.builder().prefix("p").timeout(TIMEOUT);
    let redis = reports.of(builder.clone()).connect().await.unwrap();
    for name in ["kept", "invalidated"] {
        redis.put(&key(name), b"v", &[tag(1), tag(2)]).await;
    }
    server.save_much();
    // It won't know of this one.
    redis.invalidate(&[tag(1)]).await.unwrap();
    server.kill();
    server.restart_loading();
    eventually("notice", || redis.health().count(TroubleKind::NotReady) > 0).await;
    is_quick(&redis).await;
    assert!(!redis.health().connected);
    let error = builder.connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("isn't ready"), "{error}");
    assert!(matches!(server.command(&["GET", "any"]), Value::Error(text) if text.starts_with("LOADING")));
    eventually("the report", || reports.begun(TroubleKind::NotReady) > 0).await;
    assert!(redis.health().is_ongoing(TroubleKind::NotReady));
    server.load_fast();
    recovers(&redis).await;
    eventually("the end", || !reports.ended(TroubleKind::NotReady).is_empty()).await;
    assert_eq!(reports.begun(TroubleKind::NotReady), 1, "{:?}", reports.all());
    // The saved clock was behind what we had seen of it.
    assert_eq!(redis.payload(&key("invalidated")).await, None);
    assert!(redis.health().count(TroubleKind::ClockWentBack) > 0);
    eventually("listening", || redis.health().connected && redis.health().listening).await;
}

//! What reaches an application's log. larder writes nothing there; of an outage that it handles, its client (fred) says one
//! line for each connection that was lost, whatever else happens, under a target of its own.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "this is how tests fail and talk")]

mod support;

use std::sync::Mutex;
use std::time::Duration;

use cache_core::backend::Backend;
use log::{Level, LevelFilter, Log, Metadata, Record};
use support::operations::*;
use support::*;

/// Lines at WARN or above, as an application's logger gets them: their target and text.
struct Collector(Mutex<Vec<(String, String)>>);

static LOGGED: Collector = Collector(Mutex::new(Vec::new()));

impl Log for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Warn
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            self.0.lock().unwrap().push((record.target().to_owned(), record.args().to_string()));
        }
    }

    fn flush(&self) {}
}

/// Since the last call.
fn logged() -> Vec<(String, String)> {
    std::mem::take(&mut *LOGGED.0.lock().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_leaves_one_line_a_connection() {
    // The only test in this process.
    log::set_logger(&LOGGED).unwrap();
    log::set_max_level(LevelFilter::Trace);
    let mut server = Server::start();
    let redis = server.builder().timeout(TIMEOUT).pool_size(2).connect().await.unwrap();
    recovers(&redis).await;
    assert_eq!(logged(), []);
    // Two for commands, one that listens.
    let connections = 3;
    for _ in 0..2 {
        let calls: Vec<_> = (0..50)
            .map(|_| {
                let redis = redis.clone();
                tokio::spawn(async move {
                    while redis.read(&key("k")).await.is_ok() {}
                    for _ in 0..20 {
                        let _ = redis.invalidate(&[tag(1)]).await;
                    }
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(50)).await;
        server.kill();
        for call in calls {
            call.await.unwrap();
        }
        // Attempts to connect fail meanwhile.
        tokio::time::sleep(Duration::from_secs(1)).await;
        server.restart();
        recovers(&redis).await;
        eventually("listening", || redis.health().listening).await;
        let logged = logged();
        assert!(logged.iter().all(|(target, _)| target.starts_with("fred::")), "{logged:?}");
        assert!(logged.len() <= connections, "{logged:#?}");
    }
    // A server that hangs is given up by larder itself.
    server.stop();
    while redis.health().connected {
        redis.read(&key("k")).await.unwrap_err();
    }
    server.resume();
    recovers(&redis).await;
    redis.close().await;
    let logged = logged();
    assert!(logged.len() <= 1, "the connection that listens may have been closed by the server: {logged:#?}");
}

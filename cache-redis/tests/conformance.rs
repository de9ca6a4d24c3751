//! The public suite every backend passes: on one server, woken by notifications and by messages; on a cluster; behind
//! sentinels; with compression.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "this is how tests fail and talk")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cache_core::conformance::{Conformance, Subject};
use cache_redis::RedisBuilder;
use support::*;

/// What a test can do to every server of a deployment.
type Raws = Arc<dyn Fn() -> Vec<Raw> + Send + Sync>;

fn suite(builder: impl Fn() -> RedisBuilder + Send + Sync + 'static, raws: Raws) -> Conformance {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let builder = Arc::new(builder);
    let make = move || {
        let (builder, raws) = (Arc::clone(&builder), Arc::clone(&raws));
        async move {
            let prefix = format!("suite{}", NEXT.fetch_add(1, Ordering::Relaxed));
            let connect = async |prefix: &str| builder().prefix(prefix).connect().await;
            let (one, two) = (connect(&prefix).await?, connect(&prefix).await?);
            let stranger = connect(&format!("{prefix}0")).await?;
            let delete = |pattern: &str| {
                let (pattern, raws) = (format!("{prefix}:{pattern}"), Arc::clone(&raws));
                move || {
                    raws().iter_mut().for_each(|raw| raw.delete(&pattern));
                    async {}
                }
            };
            let lose_leases = {
                let (raws, prefix) = (Arc::clone(&raws), prefix.clone());
                move || {
                    for raw in &mut raws() {
                        for lease in raw.keys(&format!("{prefix}:*:l")) {
                            raw.command(&["DEL", &lease]);
                            // For those who don't get notifications: as whoever took the lease away would.
                            let hash = lease.split(['{', '}']).nth(1).unwrap();
                            raw.command(&["PUBLISH", &format!("{prefix}:wake:0"), hash]);
                        }
                    }
                    async {}
                }
            };
            let damage = {
                let (raws, prefix) = (Arc::clone(&raws), prefix.clone());
                move || {
                    for raw in &mut raws() {
                        for entry in raw.keys(&format!("{prefix}:*:e")) {
                            raw.command(&["SETRANGE", &entry, "60", "damaged"]);
                        }
                    }
                    async {}
                }
            };
            Ok(Subject::new(one, two)
                .stranger(stranger)
                .lose_tag_records(delete("{t:*}:[0-9a-f][0-9a-f]"))
                .lose_clock(delete("{t:*}:clock"))
                .lose_leases(lose_leases)
                .damage_entries(damage))
        }
    };
    Conformance::new(make, |time| Box::pin(tokio::time::sleep(time))).patience(Duration::from_secs(5))
}

async fn passes(suite: Conformance) {
    match suite.all().await {
        Ok(report) => assert!(report.skipped().is_empty(), "{report}"),
        Err(failure) => panic!("{failure}"),
    }
}

fn one(server: &Server) -> Raws {
    let port = server.port();
    Arc::new(move || vec![Raw::connect(port).unwrap()])
}

#[tokio::test]
async fn with_notifications() {
    let server = Server::start();
    let url = server.url();
    passes(suite(move || cache_redis::Redis::builder(&url).timeout(Duration::from_secs(2)), one(&server))).await;
}

#[tokio::test]
async fn with_messages() {
    let server = Server::start();
    let url = server.url();
    let builder = move || cache_redis::Redis::builder(&url).timeout(Duration::from_secs(2)).without_notifications();
    passes(suite(builder, one(&server))).await;
}

#[cfg(feature = "compression")]
#[tokio::test]
async fn with_compression() {
    let server = Server::start();
    let url = server.url();
    let builder = move || cache_redis::Redis::builder(&url).timeout(Duration::from_secs(2)).compress_above(10);
    passes(suite(builder, one(&server))).await;
}

#[tokio::test]
async fn on_a_cluster() {
    let cluster = Cluster::start();
    let (url, ports) = (cluster.url(), cluster.ports());
    let builder = move || cache_redis::Redis::builder(&url).timeout(Duration::from_secs(2));
    passes(suite(builder, Arc::new(move || ports.iter().map(|port| Raw::connect(*port).unwrap()).collect()))).await;
}

#[tokio::test]
async fn behind_sentinels() {
    let sentinel = Sentinel::start();
    let (url, port) = (sentinel.url(), sentinel.primary.port());
    let builder = move || cache_redis::Redis::builder(&url).timeout(Duration::from_secs(2));
    passes(suite(builder, Arc::new(move || vec![Raw::connect(port).unwrap()]))).await;
}

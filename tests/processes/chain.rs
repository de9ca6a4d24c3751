//! A server that some processes share, before one that all share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use larder::{Cache, Redis, cached};
use larder_testbed::Server;

/// Whatever takes longer has failed.
const LONG: Duration = Duration::from_secs(30);

/// Each counts as a process. `max_staleness` is so long that messages do it.
async fn redis(server: &Server) -> Redis {
    let builder = Redis::builder(server.url()).prefix("app").timeout(LONG).lease(LONG * 4).max_staleness(LONG * 40);
    builder.connect().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_invalidate_reaches_a_server_they_do_not_share() {
    static DATA: AtomicU64 = AtomicU64::new(1);
    #[cached(tags = ["data"])]
    async fn data() -> u64 {
        DATA.load(Ordering::SeqCst)
    }
    let (near, far) = (Server::start(), Server::start());
    let mut processes = Vec::new();
    for _ in 0..2 {
        let builder = Cache::builder().without_memory().backend(redis(&near).await).backend(redis(&far).await);
        processes.push(builder.build().unwrap());
    }
    let other = Cache::builder().backend(redis(&far).await).build().unwrap();
    for round in 1..=5 {
        for process in &processes {
            let answers = async {
                while process.with(data()).await != round {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(LONG, answers).await.expect("the message arrives");
            assert_eq!(process.with(data()).await, round, "and it stays so");
        }
        DATA.store(round + 1, Ordering::SeqCst);
        other.invalidate_tag("data").await.unwrap();
        assert_eq!(other.with(data()).await, round + 1);
    }
    // And the nearer one is in use.
    let (process, reads) = (&processes[0], || far.raw().info("commandstats", "cmdstat_get"));
    let answers = async {
        loop {
            let before = reads();
            assert_eq!(process.with(data()).await, 6);
            if reads() == before {
                return;
            }
        }
    };
    tokio::time::timeout(LONG, answers).await.expect("the nearer one answers");
}

//! What it costs to invalidate a tag, by how many entries carry it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use larder::{Cache, cached};
use larder_testbed::Server;
use tokio::task::JoinSet;

use super::{Commands, runtime, without_memory};

/// How many entries are stored at once.
const TASKS: u64 = 128;

static RUNS: AtomicU64 = AtomicU64::new(0);

#[cached(name = "of_kind", tags = [("kind", kind)])]
async fn of_kind(kind: u64, id: u64) -> u64 {
    RUNS.fetch_add(1, Ordering::Relaxed);
    id ^ kind
}

/// A tag, invalidated again and again.
#[derive(Clone, Copy, Debug)]
pub struct Invalidation {
    /// How many entries carry it.
    pub entries: u64,
    /// Nanoseconds of the first time, when all of them lose their worth.
    pub first: f64,
    /// The median of the times after it.
    pub median: f64,
    /// What the server executes for one, with what the script calls.
    pub commands: f64,
    /// How long it took to store the entries, in seconds.
    pub filling: f64,
}

/// Stores so many entries on a server of their own, and invalidates their tag so often.
///
/// # Panics
/// If there is no server, or an entry is found that must be gone.
pub fn measure(entries: u64, times: usize) -> Invalidation {
    let server = Server::start();
    let runtime = runtime();
    let cache = runtime.block_on(without_memory(&server));
    let measured = runtime.block_on(one(&server, &cache, entries, times));
    runtime.block_on(cache.close());
    measured
}

async fn one(server: &Server, cache: &Cache, entries: u64, times: usize) -> Invalidation {
    let kind = entries;
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for first in 0..TASKS.min(entries) {
        let cache = cache.clone();
        tasks.spawn(async move {
            let ids = (first..entries).step_by(TASKS as usize);
            cache
                .with(async {
                    for id in ids {
                        of_kind(kind, id).await;
                    }
                })
                .await;
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("no panic");
    }
    let filling = began.elapsed().as_secs_f64();
    // Some of them, before and after.
    let sample = || {
        cache.with(async {
            for id in (0..entries).step_by(1_000) {
                of_kind(kind, id).await;
            }
        })
    };
    let runs = RUNS.load(Ordering::Relaxed);
    sample().await;
    assert_eq!(RUNS.load(Ordering::Relaxed), runs, "all are stored");
    let mut raw = server.raw();
    let before = Commands::of(&mut raw);
    let mut nanos = Vec::with_capacity(times);
    for _ in 0..times {
        let began = Instant::now();
        cache.invalidate_tag(("kind", kind)).await.expect("the server answers");
        nanos.push(began.elapsed().as_nanos() as f64);
    }
    let commands = Commands::of(&mut raw).since(before).executed as f64 / times as f64;
    sample().await;
    assert_eq!(RUNS.load(Ordering::Relaxed), runs + entries.div_ceil(1_000), "all are worthless");
    let (first, rest) = nanos.split_first().expect("once at least");
    Invalidation { entries, first: *first, median: super::quantile(rest, 0.5), commands, filling }
}

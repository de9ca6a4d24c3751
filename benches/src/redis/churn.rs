//! What is left in Redis of entries with short lives and of tags that are invalidated: the clock and the tag buckets, which
//! remember up to 500 tags each before they are trimmed. So a second round may leave a little more than the first.

use std::thread::sleep;
use std::time::{Duration, Instant};

use larder::{Cache, cached};
use larder_testbed::{Raw, Server, Value};
use tokio::task::JoinSet;

use super::{runtime, without_memory};

/// How many entries a round stores, and how many tags they have, each of which is invalidated once.
pub const ENTRIES: u64 = 200_000;
/// See [`ENTRIES`].
pub const TAGS: u64 = 20_000;

/// How many are stored at once.
const TASKS: u64 = 128;

/// Redis takes away what has expired bit by bit.
const PATIENCE: Duration = Duration::from_secs(120);

/// There are never so many keys but for entries and leases: the clock and 256 buckets.
const BOOKKEEPING: i64 = 258;

#[cached(name = "short", ttl = "30s", tags = [("group", tag)])]
async fn short(tag: u64, id: u64) -> u64 {
    id ^ tag
}

/// What the server holds.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// When.
    pub when: &'static str,
    /// How many keys there are.
    pub keys: i64,
    /// Bytes (`used_memory`).
    pub bytes: f64,
}

impl Held {
    fn now(when: &'static str, raw: &mut Raw) -> Self {
        let bytes = raw.info("memory", "used_memory").and_then(|bytes| bytes.parse().ok());
        Self { when, keys: keys(raw), bytes: bytes.unwrap_or(f64::NAN) }
    }
}

fn keys(raw: &mut Raw) -> i64 {
    match raw.command(&["DBSIZE"]) {
        Value::Number(number) => number,
        _ => 0,
    }
}

/// Two rounds, with tags of their own.
///
/// # Panics
/// If there is no server to be had.
pub fn measure() -> Vec<Held> {
    let server = Server::start();
    let runtime = runtime();
    let cache = runtime.block_on(without_memory(&server));
    let mut raw = server.raw();
    let mut held = vec![Held::now("before", &mut raw)];
    for (round, (top, after)) in
        [("first round, at its end", "  after the ttl"), ("second round", "  after the ttl")].into_iter().enumerate()
    {
        runtime.block_on(churn(&cache, round as u64));
        held.push(Held::now(top, &mut raw));
        let deadline = Instant::now() + PATIENCE;
        while keys(&mut raw) > BOOKKEEPING && Instant::now() < deadline {
            sleep(Duration::from_millis(100));
        }
        held.push(Held::now(after, &mut raw));
    }
    runtime.block_on(cache.close());
    held
}

async fn churn(cache: &Cache, round: u64) {
    let mut tasks = JoinSet::new();
    for first in 0..TASKS {
        let cache = cache.clone();
        tasks.spawn(async move {
            for id in (first..ENTRIES).step_by(TASKS as usize) {
                cache.with(short(round * TAGS + id % TAGS, id)).await;
                // Each once, somewhere on the way.
                if id / TAGS == id % TAGS % (ENTRIES / TAGS) {
                    let tag = ("group", round * TAGS + id % TAGS);
                    cache.invalidate_tag(tag).await.expect("the server answers");
                }
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("no panic");
    }
}

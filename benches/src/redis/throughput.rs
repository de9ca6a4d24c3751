//! Hits of 64 tasks at once, all answered by the server: larder, its client by hand, and the peers.
//!
//! Each task has keys of its own, so that nobody shares another's answer. Everybody has one connection. The client by
//! hand asks for the very bytes that larder has stored, once by `GET` alone, once by all that larder sends for
//! a hit by itself.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use cached::AsyncRedisCache;
use cached::macros::concurrent_cached;
use fred::prelude::{Builder, Client, ClientLike, Config, KeysInterface};
use fred::types::{ClusterHash, CustomCommand};
use hitbox::policy::PolicyConfig;
use hitbox_redis::{ConnectionMode, RedisBackend};
use larder::Cache;
use larder_testbed::Server;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::{Commands, runtime, without_memory};
use crate::harness::median;

/// How many ask at once.
pub const TASKS: usize = 64;

/// How many entries each asks for, one after the other.
const KEYS: usize = 16;

/// What the value consists of; all store the same.
const VALUE: usize = 200;

/// How long a turn takes: so long that how it begins and ends, with fewer tasks than that, doesn't count.
const TURN: Duration = Duration::from_millis(300);

/// How many bodies have run, everybody's.
static RUNS: AtomicU64 = AtomicU64::new(0);

fn value(id: u64) -> String {
    RUNS.fetch_add(1, Ordering::Relaxed);
    format!("{id:0VALUE$}")
}

/// Whose hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A function without tags of its own.
    Larder,
    /// A function with a tag each, and one for all.
    LarderTagged,
    /// fred: `GET` of an entry of larder's.
    Get,
    /// fred: the commands that larder sends for one hit, as one pipeline: what gathering them spares.
    Pipeline,
    /// `cached::AsyncRedisCache`, by its attribute.
    Cached,
    /// `hitbox-redis`, by `hitbox_fn::cached`.
    Hitbox,
}

impl Peer {
    /// In the order of the table's lines.
    pub const ALL: [Self; 6] =
        [Self::Larder, Self::LarderTagged, Self::Get, Self::Pipeline, Self::Cached, Self::Hitbox];

    /// As in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Larder => "larder",
            Self::LarderTagged => "larder, two tags",
            Self::Get => "fred, GET",
            Self::Pipeline => "fred, larder's commands",
            Self::Cached => "cached, async Redis",
            Self::Hitbox => "hitbox-redis",
        }
    }
}

#[larder::cached(name = "item")]
async fn item(id: u64) -> String {
    value(id)
}

#[larder::cached(name = "tagged", tags = ["all", ("item", id)])]
async fn tagged(id: u64) -> String {
    value(id)
}

static URL: OnceLock<String> = OnceLock::new();

#[concurrent_cached(
    map_error = "|error| error.to_string()",
    ty = "AsyncRedisCache<u64, String>",
    create = r#"{
        let cache = AsyncRedisCache::builder("cached").connection_string(URL.get().expect("set before"));
        cache.build().await.expect("the server has just been started")
    }"#
)]
async fn peers_item(id: u64) -> Result<String, String> {
    Ok(value(id))
}

#[hitbox_fn::cached(prefix = "hitbox")]
async fn boxed_item(id: u64) -> String {
    value(id)
}

type Boxed = hitbox_fn::Cache<RedisBackend>;

/// Everybody, connected to one server, with all entries stored.
struct Peers {
    cache: Cache,
    client: Client,
    /// The names of larder's entries.
    entries: Arc<[String]>,
    boxed: Arc<Boxed>,
}

impl Peers {
    async fn connect(server: &Server) -> Self {
        let url = server.url();
        let _ = URL.set(url.clone());
        let client = Builder::from_config(Config::from_url(&url).expect("a URL")).build().expect("good options");
        client.init().await.expect("the server has just been started");
        let backend = RedisBackend::builder().connection(ConnectionMode::single(&url)).build().expect("good options");
        let policy = PolicyConfig::builder().ttl(Duration::from_secs(36_000)).build();
        let boxed = Arc::new(hitbox_fn::Cache::builder().backend(backend).policy(policy).build());
        let mut peers = Self { cache: without_memory(server).await, client, entries: Arc::default(), boxed };
        peers.ask(Peer::Larder, KEYS).await;
        peers.entries = server.raw().keys("bench:{*}:e").into();
        assert_eq!(peers.entries.len(), TASKS * KEYS, "an entry each");
        for peer in Peer::ALL {
            peers.ask(peer, KEYS).await;
        }
        peers
    }

    /// Lets all tasks ask this often.
    async fn ask(&self, peer: Peer, times: usize) {
        let mut tasks = JoinSet::new();
        for task in 0..TASKS {
            let ids = move || (0..times).map(move |turn| (task * KEYS + turn % KEYS) as u64);
            match peer {
                Peer::Larder => {
                    let cache = self.cache.clone();
                    tasks.spawn(async move {
                        cache
                            .with(async {
                                for id in ids() {
                                    black_box(item(id).await);
                                }
                            })
                            .await;
                    });
                }
                Peer::LarderTagged => {
                    let cache = self.cache.clone();
                    tasks.spawn(async move {
                        cache
                            .with(async {
                                for id in ids() {
                                    black_box(tagged(id).await);
                                }
                            })
                            .await;
                    });
                }
                Peer::Get => {
                    let (client, entries) = (self.client.clone(), Arc::clone(&self.entries));
                    tasks.spawn(async move {
                        for id in ids() {
                            let found: Option<fred::bytes::Bytes> =
                                client.get(entries[id as usize].as_str()).await.expect("an answer");
                            black_box(found.expect("it is stored"));
                        }
                    });
                }
                Peer::Pipeline => {
                    let (client, entries) = (self.client.clone(), Arc::clone(&self.entries));
                    tasks.spawn(async move {
                        for id in ids() {
                            black_box(pipeline(&client, &entries[id as usize]).await);
                        }
                    });
                }
                Peer::Cached => drop(tasks.spawn(async move {
                    for id in ids() {
                        black_box(peers_item(id).await.expect("an answer"));
                    }
                })),
                Peer::Hitbox => {
                    let boxed = Arc::clone(&self.boxed);
                    tasks.spawn(async move {
                        for id in ids() {
                            black_box(boxed_item(id).cache(&*boxed).await);
                        }
                    });
                }
            }
        }
        while let Some(ended) = tasks.join_next().await {
            ended.expect("no panic");
        }
    }
}

/// What larder sends for a hit that has no company.
async fn pipeline(client: &Client, entry: &str) -> Vec<fred::types::Value> {
    let pipeline = client.pipeline();
    let _: () = pipeline.get("bench:{t:bench}:clock").await.expect("queued");
    let _: () = pipeline.get(entry).await.expect("queued");
    let time = CustomCommand::new_static("TIME", ClusterHash::FirstKey, false);
    let _: () = pipeline.custom(time, Vec::<String>::new()).await.expect("queued");
    pipeline.all().await.expect("answers")
}

/// Calls per second, turn by turn.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Whose.
    pub peer: Peer,
    /// In the order of the turns.
    pub rates: Vec<f64>,
    /// What the server executes for a call.
    pub commands: f64,
}

impl Measured {
    /// The median turn.
    pub fn median(&self) -> f64 {
        median(self.rates.iter().copied())
    }

    /// The median of the ratios turn by turn: this over the other.
    pub fn over(&self, other: &Self) -> f64 {
        median(self.rates.iter().zip(&other.rates).map(|(a, b)| a / b))
    }
}

/// Lets everybody take turns on one server.
///
/// # Panics
/// If there is no server to be had, or something ran that was stored.
pub fn measure(turns: usize) -> Vec<Measured> {
    let server = Server::start();
    let runtime: Runtime = runtime();
    let peers = runtime.block_on(Peers::connect(&server));
    let stored = RUNS.load(Ordering::Relaxed);
    let mut raw = server.raw();
    let mut measured = Peer::ALL.map(|peer| {
        let before = Commands::of(&mut raw);
        let rate = rate(&runtime, &peers, peer, 20 * KEYS);
        let commands = Commands::of(&mut raw).since(before).executed as f64 / (20 * KEYS * TASKS) as f64;
        let times = (rate * TURN.as_secs_f64()) as usize / TASKS + 1;
        (Measured { peer, rates: Vec::new(), commands }, times)
    });
    for turn in 0..turns {
        // Who goes first changes, so that nobody always comes right after the same neighbour.
        for place in 0..measured.len() {
            let next = (turn + place) % measured.len();
            let (measured, times) = &mut measured[next];
            measured.rates.push(rate(&runtime, &peers, measured.peer, *times));
        }
    }
    assert_eq!(RUNS.load(Ordering::Relaxed), stored, "hits only");
    runtime.block_on(peers.cache.close());
    measured.into_iter().map(|(measured, _)| measured).collect()
}

/// Calls per second of the wall clock.
fn rate(runtime: &Runtime, peers: &Peers, peer: Peer, times: usize) -> f64 {
    let began = Instant::now();
    runtime.block_on(peers.ask(peer, times));
    (times * TASKS) as f64 / began.elapsed().as_secs_f64()
}

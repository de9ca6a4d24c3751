//! Promises 1 and 3 while connections are cut, torn, held, refused and slow at random: every call is answered, and every
//! answer is at least as new as what had been invalidated before it was asked for.
//!
//! Three caches on one server, each behind a proxy of its own. The seed is printed; `LARDER_SEED` and `LARDER_STEPS`
//! choose the schedule.

use std::env;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use larder::{Cache, Redis, cached};
use larder_testbed::{Fate, Kind, Proxy, Server};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

const KEYS: usize = 6;
const CACHES: usize = 3;
const MAX_STALENESS: Duration = Duration::from_millis(900);
/// Who hasn't answered by then hangs.
const LONG: Duration = Duration::from_secs(30);

/// The data.
static VERSIONS: [AtomicU64; KEYS] = [const { AtomicU64::new(0) }; KEYS];
static RUNS: AtomicU64 = AtomicU64::new(0);

#[cached(tags = [("number", key)])]
async fn number(key: usize) -> u64 {
    RUNS.fetch_add(1, Ordering::Relaxed);
    let version = VERSIONS[key].load(Ordering::SeqCst);
    // What it has read grows old meanwhile.
    sleep(Duration::from_millis(version % 7)).await;
    version
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// An invalidation that has returned `Ok`.
struct Acknowledged {
    key: usize,
    version: u64,
    by: usize,
    at: Instant,
}

struct Process {
    cache: Cache,
    proxy: Proxy,
    /// Without memory, whoever joins a run under way gets what this process could know, as from memory. So that the rest
    /// can be held to what Redis knows, calls of a key wait for each other there.
    alone: Option<[tokio::sync::Mutex<()>; KEYS]>,
}

struct World {
    processes: Vec<Process>,
    acknowledged: Mutex<Vec<Acknowledged>>,
}

impl World {
    async fn on(server: &Server) -> Arc<Self> {
        let mut processes = Vec::new();
        for number in 0..CACHES {
            let proxy = Proxy::to(server.port());
            let redis = Redis::builder(proxy.url()).lease(Duration::from_millis(600));
            let redis = redis.timeout(Duration::from_millis(150)).max_staleness(MAX_STALENESS).connect_lazy().unwrap();
            let alone = (number == 0).then(Default::default);
            let builder = Cache::builder().backend(redis);
            let builder = if alone.is_some() { builder.without_memory() } else { builder };
            processes.push(Process { cache: builder.build().unwrap(), proxy, alone });
        }
        Arc::new(Self { processes, acknowledged: Mutex::default() })
    }

    /// What an answer to a call that begins now must not be older than.
    fn due(&self, process: usize, key: usize) -> u64 {
        let counts = |known: &&Acknowledged| {
            // Others' memory may be behind for so long.
            let at_once = known.by == process || self.processes[process].alone.is_some();
            known.key == key && (at_once || known.at.elapsed() >= MAX_STALENESS)
        };
        let acknowledged = self.acknowledged.lock().unwrap();
        acknowledged.iter().filter(counts).map(|known| known.version).max().unwrap_or(0)
    }

    async fn call(self: Arc<Self>, process: usize, key: usize) {
        let Process { cache, alone, .. } = &self.processes[process];
        let _alone = match alone {
            Some(keys) => Some(keys[key].lock().await),
            None => None,
        };
        let due = self.due(process, key);
        let answer = timeout(LONG, cache.with(number(key))).await;
        let answer = answer.unwrap_or_else(|_| panic!("process {process} doesn't answer {key}"));
        assert!(answer >= due, "process {process} was told {answer} of {key}, {due} was due");
    }

    async fn change(self: Arc<Self>, by: usize, key: usize) {
        let version = VERSIONS[key].fetch_add(1, Ordering::SeqCst) + 1;
        let invalidated = timeout(LONG, self.processes[by].cache.invalidate_tag(("number", key as u64))).await;
        if invalidated.unwrap_or_else(|_| panic!("process {by} doesn't end invalidating {key}")).is_ok() {
            self.acknowledged.lock().unwrap().push(Acknowledged { key, version, by, at: Instant::now() });
        }
    }

    fn harm(&self, process: usize, random: &mut Random) {
        let proxy = &self.processes[process].proxy;
        let kind = if random.below(2) == 0 { Kind::Commands } else { Kind::Messages };
        match random.below(8) {
            0 => proxy.cut(kind),
            1 => proxy.hold(kind),
            2 => proxy.refuse(),
            3 => proxy.delay(Duration::from_millis(random.below(200))),
            4..=6 => {
                let fate = [Fate::Lost, Fate::Torn, Fate::Held][random.below(3) as usize];
                let to = ["\r\nEVALSHA\r\n", "\r\nEVALSHA\r\n", "\r\nGET\r\n"][random.below(3) as usize];
                proxy.next_reply(to.as_bytes(), fate);
            }
            _ => self.heal(process),
        }
    }

    fn heal(&self, process: usize) {
        let proxy = &self.processes[process].proxy;
        proxy.accept();
        proxy.delay(Duration::ZERO);
        proxy.forget_fates();
        proxy.release();
    }

    /// What one computes the others find.
    async fn serves(&self) {
        let shared = async |key: usize| {
            if self.processes[1].cache.invalidate_tag(("number", key as u64)).await.is_err() {
                return false;
            }
            self.processes[1].cache.with(number(key)).await;
            let before = RUNS.load(Ordering::Relaxed);
            self.processes[0].cache.with(number(key)).await;
            self.processes[2].cache.with(number(key)).await;
            RUNS.load(Ordering::Relaxed) == before
        };
        let all = async {
            for key in 0..KEYS {
                while !shared(key).await {
                    sleep(Duration::from_millis(5)).await;
                }
            }
        };
        timeout(LONG, all).await.expect("they share again");
    }
}

fn number_from(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_harmed_at_random() {
    let random_seed = || std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0) % 1_000_000;
    let seed = number_from("LARDER_SEED").unwrap_or_else(random_seed);
    let steps = number_from("LARDER_STEPS").unwrap_or(1500);
    println!("LARDER_SEED={seed} LARDER_STEPS={steps}");
    let mut random = Random(seed);
    let server = Server::start();
    let world = World::on(&server).await;
    world.serves().await;
    let mut work = JoinSet::new();
    for _ in 0..steps {
        let (process, key) = (random.below(CACHES as u64) as usize, random.below(KEYS as u64) as usize);
        match random.below(100) {
            0..70 => drop(work.spawn(Arc::clone(&world).call(process, key))),
            70..90 => drop(work.spawn(Arc::clone(&world).change(process, key))),
            90..96 => world.harm(process, &mut random),
            _ => world.heal(process),
        }
        sleep(Duration::from_micros(random.below(4000))).await;
        while let Some(done) = work.try_join_next() {
            done.unwrap();
        }
    }
    (0..CACHES).for_each(|process| world.heal(process));
    while let Some(done) = work.join_next().await {
        done.unwrap();
    }
    world.serves().await;
    let acknowledged = world.acknowledged.lock().unwrap().len();
    println!("{} runs, {acknowledged} invalidations recorded", RUNS.load(Ordering::Relaxed));
    assert!(acknowledged > 0);
}

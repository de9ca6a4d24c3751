//! Servers from the test bed, and what tests do with a backend on them.
#![allow(dead_code, unused_imports, unreachable_pub, reason = "each test file uses a part of it")]

pub mod looks;
pub mod operations;
pub mod shards;

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cache_core::backend::{
    Backend, BootInstant, Entry, EntryKey, HeldTag, Lease, LeaseAnswer, LeaseRequest, Lifetimes, Listener,
    ListenerHandle, Seen, Stamp, StoreAnswer, TagId,
};
use cache_redis::{Redis, RedisBuilder};
pub use larder_testbed::{Cluster, Fate, Kind, Proxy, Raw, Sentinel, Server, Value, free_port};

/// A server, and the library connected to it.
pub trait Connect {
    /// Options with generous times, for tests that aren't about time.
    fn builder(&self) -> RedisBuilder;
    fn connect(&self) -> impl Future<Output = Redis>;
}

impl Connect for Server {
    fn builder(&self) -> RedisBuilder {
        Redis::builder(self.url()).timeout(Duration::from_secs(2))
    }

    async fn connect(&self) -> Redis {
        self.builder().connect().await.unwrap()
    }
}

pub fn key(name: &str) -> EntryKey {
    EntryKey::new(name.as_bytes())
}

/// Spread over the buckets like real ones.
pub fn tag(number: u64) -> TagId {
    TagId(number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

pub fn entry(payload: &[u8], tags: &[TagId], stamp: Stamp) -> Entry {
    let mut tags: Vec<_> = tags.iter().map(|tag| HeldTag { tag: *tag, stamp }).collect();
    tags.sort_unstable_by_key(|held| held.tag);
    tags.dedup_by_key(|held| held.tag);
    Entry { payload: payload.to_vec(), tags, lifetimes: Lifetimes::default() }
}

/// What tests do with a backend, in short.
pub trait Shortcuts {
    fn try_lease(&self, key: &EntryKey, tags: &[TagId])
    -> impl Future<Output = Result<LeaseAnswer, cache_core::Error>>;
    fn granted(&self, key: &EntryKey, tags: &[TagId]) -> impl Future<Output = Box<dyn Lease>>;
    fn busy(&self, key: &EntryKey) -> impl Future<Output = cache_core::backend::Busy>;
    fn put(&self, key: &EntryKey, payload: &[u8], tags: &[TagId]) -> impl Future<Output = Stamp>;
    fn payload(&self, key: &EntryKey) -> impl Future<Output = Option<Vec<u8>>>;
}

impl Shortcuts for Redis {
    async fn try_lease(&self, key: &EntryKey, tags: &[TagId]) -> Result<LeaseAnswer, cache_core::Error> {
        let seen = self.read(key).await?.seen;
        self.lease(key, LeaseRequest { duration: None, seen, tags, take_over: false }).await
    }

    async fn granted(&self, key: &EntryKey, tags: &[TagId]) -> Box<dyn Lease> {
        match self.try_lease(key, tags).await.unwrap() {
            LeaseAnswer::Granted(lease) => lease,
            other => panic!("{other:?} instead of a lease"),
        }
    }

    async fn busy(&self, key: &EntryKey) -> cache_core::backend::Busy {
        match self.try_lease(key, &[]).await.unwrap() {
            LeaseAnswer::Busy(busy) => busy,
            other => panic!("{other:?} instead of a busy lease"),
        }
    }

    async fn put(&self, key: &EntryKey, payload: &[u8], tags: &[TagId]) -> Stamp {
        let lease = self.granted(key, tags).await;
        let stamp = lease.stamp();
        assert_eq!(self.store(key, lease, entry(payload, tags, stamp)).await.unwrap(), StoreAnswer::Stored);
        stamp
    }

    async fn payload(&self, key: &EntryKey) -> Option<Vec<u8>> {
        self.read(key).await.unwrap().live.map(|live| live.entry.payload)
    }
}

/// Looks every few milliseconds; for what only the server can be asked about.
pub async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: not within 20 s");
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
}

/// Fails if it takes longer.
pub async fn within<T>(limit: Duration, what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(limit, work).await {
        Ok(done) => done,
        Err(_) => panic!("{what} took longer than {limit:?}"),
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    Invalidated(Vec<TagId>),
    Doubt,
    Trusted(Duration),
}

/// A listener that keeps what it hears.
#[derive(Debug)]
pub struct Ear {
    sender: tokio::sync::mpsc::UnboundedSender<Heard>,
}

impl Listener for Ear {
    fn invalidated(&self, tags: &[TagId]) {
        let _ = self.sender.send(Heard::Invalidated(tags.to_vec()));
    }

    fn doubt(&self) {
        let _ = self.sender.send(Heard::Doubt);
    }

    fn trusted_until(&self, deadline: BootInstant) {
        let left = deadline.saturating_duration_since(BootInstant::now());
        let _ = self.sender.send(Heard::Trusted(left));
    }
}

/// Listens for as long as it lives.
pub struct Listening {
    pub heard: tokio::sync::mpsc::UnboundedReceiver<Heard>,
    _ear: Arc<Ear>,
}

impl Listening {
    pub fn to(redis: &Redis) -> Self {
        let (sender, heard) = tokio::sync::mpsc::unbounded_channel();
        let ear = Arc::new(Ear { sender });
        let weak: std::sync::Weak<Ear> = Arc::downgrade(&ear);
        redis.attach(ListenerHandle::new(weak));
        Self { heard, _ear: ear }
    }

    /// Skips until this is heard.
    pub async fn until(&mut self, what: &str, mut wanted: impl FnMut(&Heard) -> bool) -> Heard {
        within(Duration::from_secs(20), what, async {
            loop {
                let heard = self.heard.recv().await.unwrap();
                if wanted(&heard) {
                    return heard;
                }
            }
        })
        .await
    }

    pub async fn trusted(&mut self) {
        self.until("trust", |heard| matches!(heard, Heard::Trusted(_))).await;
    }

    /// What has been heard by now.
    pub fn drain(&mut self) -> Vec<Heard> {
        std::iter::from_fn(|| self.heard.try_recv().ok()).collect()
    }
}

/// What `on_error` said.
#[derive(Clone, Default)]
pub struct Troubles(Arc<Mutex<Vec<cache_redis::Trouble>>>);

impl Troubles {
    pub fn hook(&self) -> impl Fn(&cache_redis::Trouble) + Send + Sync + 'static {
        let troubles = Arc::clone(&self.0);
        move |trouble| troubles.lock().unwrap().push(trouble.clone())
    }

    pub fn kinds(&self) -> Vec<cache_redis::TroubleKind> {
        self.0.lock().unwrap().iter().map(|trouble| trouble.kind).collect()
    }

    /// The first, as a user would print it.
    pub fn first(&self) -> Option<String> {
        self.0.lock().unwrap().first().map(ToString::to_string)
    }

    pub fn text(&self) -> String {
        format!("{:?}", self.0.lock().unwrap())
    }
}

/// What `on_error` and `on_recovery` said, in order.
#[derive(Clone, Default)]
pub struct Reports(Arc<Mutex<Vec<Report>>>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    Begins(cache_redis::TroubleKind),
    Ends(cache_redis::Recovery),
}

impl Reports {
    pub fn of(&self, builder: RedisBuilder) -> RedisBuilder {
        let (begins, ends) = (Arc::clone(&self.0), Arc::clone(&self.0));
        builder
            .on_error(move |trouble| begins.lock().unwrap().push(Report::Begins(trouble.kind)))
            .on_recovery(move |recovery| ends.lock().unwrap().push(Report::Ends(recovery.clone())))
    }

    pub fn all(&self) -> Vec<Report> {
        self.0.lock().unwrap().clone()
    }

    /// How often trouble of this kind began.
    pub fn begun(&self, kind: cache_redis::TroubleKind) -> usize {
        self.all().iter().filter(|report| **report == Report::Begins(kind)).count()
    }

    /// The ends of trouble of this kind.
    pub fn ended(&self, kind: cache_redis::TroubleKind) -> Vec<cache_redis::Recovery> {
        let end = |report| match report {
            Report::Ends(recovery) if recovery.kind == kind => Some(recovery),
            _ => None,
        };
        self.all().into_iter().filter_map(end).collect()
    }
}

/// How often the server has executed this command.
pub fn executed(raw: &mut Raw, command: &str) -> i64 {
    let info = raw.command(&["INFO", "commandstats"]).text();
    let calls = |line: &str| line.strip_prefix(&format!("cmdstat_{command}:calls="))?.split(',').next()?.parse().ok();
    info.lines().find_map(calls).unwrap_or(0)
}

/// Until what this process has heard of invalidations is complete, and it needn't ask for tags.
pub async fn informed(raw: &mut Raw, redis: &Redis) {
    let k = key("warm");
    within(Duration::from_secs(20), "the log", async {
        loop {
            if redis.payload(&k).await.is_none() {
                redis.put(&k, b"warm", &[tag(0)]).await;
            }
            let before = executed(raw, "hmget");
            if redis.payload(&k).await.is_some() && executed(raw, "hmget") == before {
                return;
            }
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    })
    .await;
}

pub const NOTHING_SEEN: Seen = Seen(0);

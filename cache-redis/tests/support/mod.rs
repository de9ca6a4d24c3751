//! Real servers for tests: each on a free loopback port, in a directory of its own, stopped by its process id.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

pub mod deployments;

use std::future::Future;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use cache_core::backend::{
    Backend, Entry, EntryKey, HeldTag, Lease, LeaseAnswer, LeaseRequest, Lifetimes, Listener, ListenerHandle, Seen,
    Stamp, StoreAnswer, TagId,
};
use cache_redis::{Redis, RedisBuilder};
use tempfile::TempDir;

/// A running `redis-server`. Dropping it stops it.
pub struct Server {
    child: Child,
    pub port: u16,
    pub directory: TempDir,
    args: Vec<String>,
}

impl Server {
    /// With the options every test wants.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// With further options, e.g. `["--maxmemory", "2mb"]`.
    pub fn with(args: &[&str]) -> Self {
        Self::launch(|port, directory| {
            let directory = directory.to_str().unwrap();
            let mut all: Vec<String> = Vec::new();
            // Further options may say otherwise: the last counts.
            all.extend(["--port".to_owned(), port.to_string()]);
            all.extend(
                ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--daemonize", "no"].map(str::to_owned),
            );
            all.extend(["--dir".to_owned(), directory.to_owned()]);
            all.extend(args.iter().map(|arg| arg.replace("{dir}", directory).replace("{port}", &port.to_string())));
            all
        })
    }

    fn launch(args: impl Fn(u16, &std::path::Path) -> Vec<String>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        // Someone may take the port between our look and the server's bind.
        for _ in 0..20 {
            let port = free_port();
            let args = args(port, directory.path());
            if let Some(child) = spawn(&args) {
                return Self { child, port, directory, args };
            }
        }
        panic!("redis-server doesn't start");
    }

    /// A sentinel that watches nothing yet.
    pub fn sentinel() -> Self {
        Self::launch(|port, directory| {
            let file = directory.join("sentinel.conf");
            std::fs::write(&file, format!("port {port}\nbind 127.0.0.1\ndir {}\n", directory.display())).unwrap();
            vec![file.to_str().unwrap().to_owned(), "--sentinel".to_owned()]
        })
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Options with generous times, for tests that aren't about time.
    pub fn builder(&self) -> RedisBuilder {
        Redis::builder(self.url()).timeout(Duration::from_secs(2))
    }

    pub async fn connect(&self) -> Redis {
        self.builder().connect().await.unwrap()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `kill -STOP`: it accepts connections and never answers.
    pub fn stop(&self) {
        signal(self.pid(), "STOP");
    }

    pub fn resume(&self) {
        signal(self.pid(), "CONT");
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Again on the same port, after [`kill`](Self::kill).
    pub fn restart(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            if let Some(child) = spawn(&self.args) {
                self.child = child;
                return;
            }
        }
        panic!("redis-server doesn't start again");
    }

    /// A raw connection, so that tests see the server without the code under test.
    pub fn raw(&self) -> Raw {
        Raw::connect(self.port)
    }

    pub fn command(&self, args: &[&str]) -> Value {
        self.raw().command(args)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.resume();
        self.kill();
    }
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub fn signal(pid: u32, name: &str) {
    let _ = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).stderr(Stdio::null()).status();
}

/// `None` if it ends before it accepts connections.
fn spawn(args: &[String]) -> Option<Child> {
    #[allow(clippy::zombie_processes, reason = "`Server` waits for it")]
    let mut child =
        Command::new("redis-server").args(args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    loop {
        line.clear();
        if lines.read_line(&mut line).unwrap_or(0) == 0 {
            let _ = child.wait();
            return None;
        }
        if line.contains("Ready to accept connections") || line.contains("Sentinel ID is") {
            // Keep reading, or the server blocks once the pipe is full.
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut lines, &mut std::io::sink());
            });
            return Some(child);
        }
    }
}

/// A plain RESP2 connection.
pub struct Raw {
    reader: BufReader<TcpStream>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Nil,
    Number(i64),
    Text(Vec<u8>),
    Error(String),
    List(Vec<Value>),
}

impl Value {
    pub fn text(&self) -> String {
        match self {
            Self::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            other => panic!("{other:?} is no text"),
        }
    }

    pub fn number(&self) -> i64 {
        match self {
            Self::Number(number) => *number,
            Self::Text(_) => self.text().parse().unwrap(),
            other => panic!("{other:?} is no number"),
        }
    }

    pub fn list(self) -> Vec<Self> {
        match self {
            Self::List(list) => list,
            other => panic!("{other:?} is no list"),
        }
    }
}

impl Raw {
    pub fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { reader: BufReader::new(stream) }
    }

    pub fn command(&mut self, args: &[&str]) -> Value {
        let args: Vec<&[u8]> = args.iter().map(|arg| arg.as_bytes()).collect();
        self.bytes(&args)
    }

    pub fn bytes(&mut self, args: &[&[u8]]) -> Value {
        let mut out = format!("*{}\r\n", args.len()).into_bytes();
        for arg in args {
            out.extend(format!("${}\r\n", arg.len()).bytes());
            out.extend(*arg);
            out.extend(b"\r\n");
        }
        self.reader.get_mut().write_all(&out).unwrap();
        self.reply()
    }

    fn reply(&mut self) -> Value {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        let (kind, rest) = line.trim_end().split_at(1);
        match kind {
            "+" => Value::Text(rest.as_bytes().to_vec()),
            "-" => Value::Error(rest.to_owned()),
            ":" => Value::Number(rest.parse().unwrap()),
            "$" => match rest.parse::<i64>().unwrap() {
                -1 => Value::Nil,
                length => {
                    let mut bytes = vec![0; length as usize + 2];
                    self.reader.read_exact(&mut bytes).unwrap();
                    bytes.truncate(length as usize);
                    Value::Text(bytes)
                }
            },
            "*" => match rest.parse::<i64>().unwrap() {
                -1 => Value::Nil,
                length => Value::List((0..length).map(|_| self.reply()).collect()),
            },
            other => panic!("unexpected reply {other}{rest}"),
        }
    }

    /// All keys that match. Tests may; the library doesn't.
    pub fn keys(&mut self, pattern: &str) -> Vec<String> {
        let mut keys: Vec<_> = self.command(&["KEYS", pattern]).list().iter().map(Value::text).collect();
        keys.sort();
        keys
    }

    pub fn delete(&mut self, pattern: &str) {
        for key in self.keys(pattern) {
            self.command(&["DEL", &key]);
        }
    }

    /// A field of `INFO`.
    pub fn info(&mut self, section: &str, field: &str) -> Option<String> {
        let info = self.command(&["INFO", section]).text();
        info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':').map(|value| value.trim().to_owned()))
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
        self.lease(key, LeaseRequest { duration: None, seen, tags }).await
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

    fn trusted_until(&self, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now());
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

    pub fn text(&self) -> String {
        format!("{:?}", self.0.lock().unwrap())
    }
}

pub const NOTHING_SEEN: Seen = Seen(0);

//! Another process: this program once more, driven by lines.
//!
//! ```text
//! parent → process                      process → parent
//! ask KEY MILLIS                        begun                       this call's body runs here, and takes so long
//!                                       answer BEGAN ANSWERED ENDED 0 if the body ended elsewhere
//! crowd KEY MILLIS CALLERS AT           crowd RUNS ANSWERED         all have their answer
//! ping COUNT                            pong NANOS ..
//! ```
//! Points in time are nanoseconds of the clock that processes share.

#![allow(clippy::print_stdout, reason = "processes talk by their stdout")]

use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use std::{env, io, process};

use fred::prelude::{Builder, Client, ClientLike, Config};
use larder::{Cache, cached};
use larder_testbed::{Process, Server};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::{connect, now, runtime};

/// The first argument of a process that is not the benchmark itself; the second is the server's URL.
pub const ROLE: &str = "--process";

/// Whatever takes longer has failed.
const LONG: Duration = Duration::from_secs(60);

/// One of them, as the benchmark sees it. Dropping it ends it.
#[derive(Debug)]
pub struct Worker {
    process: Process,
    said: Receiver<String>,
}

impl Worker {
    /// Returns once it is connected.
    ///
    /// # Panics
    /// If it doesn't start.
    pub fn start(server: &Server) -> Self {
        let mut command = Command::new(env::current_exe().expect("a program"));
        command.args([ROLE, &server.url()]);
        let (says, said) = channel();
        let process = Process::spawn(&mut command, move |line| drop(says.send(line.to_owned())));
        let worker = Self { process, said };
        worker.hears("ready");
        worker
    }

    /// Gives an order.
    ///
    /// # Panics
    /// If it has ended.
    pub fn send(&self, order: &str) {
        self.process.send(order).expect("the process lives");
    }

    /// The next thing it says.
    ///
    /// # Panics
    /// If that is nothing for a minute.
    pub fn next(&self) -> String {
        self.said.recv_timeout(LONG).expect("the process answers")
    }

    /// The numbers of the next thing it says, which must be that.
    ///
    /// # Panics
    /// If it says something else, or nothing for a minute.
    pub fn hears(&self, what: &str) -> Vec<u64> {
        let line = self.next();
        let mut words = line.split(' ');
        assert_eq!(words.next(), Some(what), "the process said {line:?}");
        words.map(|number| number.parse().expect("a number")).collect()
    }
}

static RUNS: AtomicU64 = AtomicU64::new(0);
static ENDED: AtomicU64 = AtomicU64::new(0);

#[cached(name = "slow")]
async fn slow(key: u64, millis: u64) -> u64 {
    RUNS.fetch_add(1, Ordering::Relaxed);
    println!("begun");
    sleep(Duration::from_millis(millis)).await;
    ENDED.store(now(), Ordering::Relaxed);
    key
}

/// The process's side: what it does until its stdin ends.
///
/// # Panics
/// If the server isn't there, and at orders it doesn't know.
pub fn serve(url: &str) -> ! {
    let runtime = runtime();
    let client = runtime.block_on(async {
        let cache = Cache::builder().backend(connect(url).await).build().expect("good options");
        cache.install().expect("the only one");
        let client = Builder::from_config(Config::from_url(url).expect("a URL")).build().expect("good options");
        client.init().await.expect("the server is there");
        client
    });
    println!("ready");
    for line in io::stdin().lines().map_while(Result::ok) {
        let (order, numbers) = line.split_once(' ').unwrap_or((&line, ""));
        let numbers: Vec<u64> = numbers.split(' ').map(|number| number.parse().expect("a number")).collect();
        match (order, &numbers[..]) {
            ("ask", &[key, millis]) => drop(runtime.spawn(ask(key, millis))),
            ("crowd", &[key, millis, callers, at]) => drop(runtime.spawn(crowd(key, millis, callers, at))),
            ("ping", &[count]) => drop(runtime.spawn(ping(client.clone(), count))),
            _ => panic!("what is {line:?}?"),
        }
    }
    process::exit(0);
}

async fn ask(key: u64, millis: u64) {
    ENDED.store(0, Ordering::Relaxed);
    let began = now();
    assert_eq!(slow(key, millis).await, key);
    let answered = now();
    println!("answer {began} {answered} {}", ENDED.load(Ordering::Relaxed));
}

async fn crowd(key: u64, millis: u64, callers: u64, at: u64) {
    let before = RUNS.load(Ordering::Relaxed);
    sleep(Duration::from_nanos(at.saturating_sub(now()))).await;
    let mut calls = JoinSet::new();
    for _ in 0..callers {
        calls.spawn(slow(key, millis));
    }
    while let Some(answer) = calls.join_next().await {
        assert_eq!(answer.expect("no panic"), key);
    }
    let answered = now();
    println!("crowd {} {answered}", RUNS.load(Ordering::Relaxed) - before);
}

async fn ping(client: Client, count: u64) {
    let mut nanos = String::new();
    for _ in 0..count {
        let began = now();
        let _: String = client.ping(None).await.expect("an answer");
        nanos.push_str(&format!(" {}", now() - began));
    }
    println!("pong{nanos}");
}

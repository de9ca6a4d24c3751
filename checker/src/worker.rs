//! A process that calls and invalidates at random, and checks its answers.
//!
//! ```text
//! parent → worker: quit             worker → parent: ready, count <numbers>, violation <text>, bye
//! ```

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{fmt, io, thread};

use larder::{Cache, Redis, TroubleKind};

use crate::board::Board;
use crate::counts::{Counters, Counts};
use crate::demand::{Demands, Reader};
use crate::functions::{self, LONGEST, Value, truth};
use crate::orders::{Mistake, Orders};
use crate::random::Random;
use crate::runs::{self, Noted, What};
use crate::truth::{Acknowledged, GROUP, GROUPS, ITEMS, Nanos, Truth, now};
use crate::watch::{Watch, nanos};

/// Short, so that a short run meets its end often.
pub(crate) const MAX_STALENESS: Duration = Duration::from_millis(300);
/// Of functions that don't say otherwise.
pub(crate) const LEASE: Duration = Duration::from_secs(4);
const TIMEOUT: Duration = Duration::from_millis(150);

/// How old what lives for a moment may be: its run, its lifetime, and what may hold up its store.
const OLDEST: Duration = Duration::from_secs(5);

const TASKS: u64 = 12;

/// The number of the function that is made of two groups.
const PAIR: u64 = 11;

struct Worker {
    orders: Orders,
    demands: Demands,
    counters: Counters,
    redis: Redis,
    with_memory: Cache,
    without_memory: Cache,
    /// Calls without memory are made one by one in each group: who joins the flight of another caller may get what that
    /// one read from Redis a moment before.
    one_by_one: [tokio::sync::Mutex<()>; GROUPS],
    /// The last version of this process's column of each item.
    versions: Mutex<Vec<u64>>,
    watch: Watch,
    ends: AtomicBool,
}

/// Until the parent says so, or is gone.
pub(crate) fn run(orders: Orders) -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    functions::set_up(Truth::open(&orders.truth, orders.columns)?, orders.seed);
    runs::set_up(&orders.runs)?;
    let redis = Redis::builder(&orders.url).prefix("checker").lease(LEASE).timeout(TIMEOUT);
    let redis = redis.max_staleness(MAX_STALENESS).connect_lazy()?;
    let worker = Arc::new(Worker {
        demands: Demands::new(orders.column, orders.columns, MAX_STALENESS),
        counters: Counters::default(),
        with_memory: Cache::builder().backend(redis.clone()).build()?,
        without_memory: Cache::builder().without_memory().backend(redis.clone()).build()?,
        redis,
        one_by_one: Default::default(),
        versions: Mutex::new(versions(&orders)?),
        watch: Watch::new(orders.column, Board::open(&orders.board, orders.columns)?, LEASE),
        ends: AtomicBool::new(false),
        orders,
    });
    say("ready");
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let worker = Arc::clone(&worker);
            let random = Random::new(worker.orders.seed ^ (task << 32));
            runtime.spawn(async move { worker.work(random).await })
        })
        .collect();
    let listener = Arc::clone(&worker);
    thread::spawn(move || {
        // The first line is `quit`; and the end of our input is the end of the parent.
        let _ = io::stdin().read_line(&mut String::new());
        listener.ends.store(true, Ordering::Relaxed);
    });
    let over = Arc::new(AtomicBool::new(false));
    let watcher = thread::spawn({
        let (worker, over) = (Arc::clone(&worker), Arc::clone(&over));
        move || {
            let violation = |what: &str| say(&format!("violation {what}"));
            let slow = |what: &str| say(&format!("slow {what}"));
            let (ends, unanswered) = (|| over.load(Ordering::Relaxed), || worker.unanswered());
            if let Err(error) = worker.watch.pulse(ends, unanswered, slow) {
                violation(&format!("no access to the board: {error}"));
            }
        }
    });
    runtime.block_on(async {
        while !worker.ends.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(100)).await;
            worker.say_counts();
        }
        for task in tasks {
            if let Err(error) = task.await {
                say(&format!("violation a task panicked: {error}"));
            }
        }
    });
    over.store(true, Ordering::Relaxed);
    let _ = watcher.join();
    worker.say_counts();
    say("bye");
    Ok(())
}

#[allow(clippy::print_stdout, reason = "the parent listens")]
fn say(line: &str) {
    println!("{line}");
}

fn one(value: Option<Value>) -> Option<Vec<Value>> {
    value.map(|value| vec![value])
}

/// How long the bodies of a call may take, and what Redis may cost beside each.
fn bodies(function: u64) -> Nanos {
    let bodies = match function {
        PAIR => 2 * (GROUP as u32 + 1),
        9.. => GROUP as u32 + 1,
        _ => 1,
    };
    nanos(bodies * (LONGEST + TIMEOUT))
}

/// Goes on where a predecessor was killed.
fn versions(orders: &Orders) -> io::Result<Vec<u64>> {
    (0..ITEMS).map(|item| Ok(truth().value(item)?[orders.column])).collect()
}

impl Worker {
    fn counts(&self) -> Counts {
        let mut counts = self.counters.read();
        for cache in [&self.with_memory, &self.without_memory] {
            for function in cache.stats().functions {
                counts.runs += function.runs;
                counts.memory_hits += function.memory_hits;
                counts.backend_hits += function.backend_hits;
                counts.coalesced += function.coalesced;
                counts.damaged += function.damaged;
                counts.errors += function.backend_errors;
            }
        }
        let health = self.redis.health();
        counts.reconnects = health.reconnects;
        counts.missed = health.count(TroubleKind::MissedMessages);
        counts.clock_back = health.count(TroubleKind::ClockWentBack);
        counts.notifications_off = health.count(TroubleKind::NotificationsOff);
        counts.wrong_type = health.count(TroubleKind::WrongType);
        counts
    }

    /// How often Redis didn't answer.
    fn unanswered(&self) -> u64 {
        let health = self.redis.health();
        let kinds = [TroubleKind::Unreachable, TroubleKind::Timeout, TroubleKind::NotReady, TroubleKind::Stuck];
        kinds.into_iter().map(|kind| health.count(kind)).sum()
    }

    fn say_counts(&self) {
        say(&format!("count{}", self.counts()));
        say(&format!("longest{}", self.watch.longest()));
    }

    async fn work(self: Arc<Self>, mut random: Random) {
        while !self.ends.load(Ordering::Relaxed) {
            let done =
                if random.permille(150) { self.invalidate(&mut random).await } else { self.calls(&mut random).await };
            if self.orders.mistake == Mistake::Twice && random.permille(100) {
                let item = random.below(ITEMS as u64) as usize;
                let run = || larder::without_cache(functions::item(item, now()));
                let _ = tokio::join!(run(), run());
            }
            if let Err(error) = done {
                say(&format!("violation no access to the truth: {error}"));
            }
        }
    }

    /// Changes an item, and says so.
    async fn invalidate(&self, random: &mut Random) -> io::Result<()> {
        let item = random.below(ITEMS as u64) as usize;
        let column = self.orders.column;
        let version = {
            let mut versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
            versions[item] += 1;
            truth().set_version(item, column, versions[item])?;
            versions[item]
        };
        let cache = if random.permille(500) { &self.with_memory } else { &self.without_memory };
        let result = match random.below(10) {
            _ if self.orders.mistake == Mistake::Forget && random.permille(300) => Ok(larder::Invalidated::default()),
            0 => {
                let _noted = Noted::begin(What::InvalidationOfAll, item);
                cache.invalidate_tag("item").await
            }
            1 => {
                let other = random.below(ITEMS as u64) as usize;
                let _noted = [item, other].map(|item| Noted::begin(What::Invalidation, item));
                cache.invalidate_tags([("item", item), ("item", other)]).await
            }
            _ => {
                let _noted = Noted::begin(What::Invalidation, item);
                cache.invalidate_tag(("item", item)).await
            }
        };
        self.counters.invalidations.fetch_add(1, Ordering::Relaxed);
        if result.is_err() {
            self.counters.refused.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        let at = now();
        let versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        // Another task may have acknowledged a newer version.
        let last = truth().acknowledged(item, 1)?.get(column).copied().unwrap_or_default();
        if last.version < version {
            truth().acknowledge(item, column, Acknowledged { version, at })?;
        }
        drop(versions);
        Ok(())
    }

    /// The same call again and again: the first may run, most others are answered from memory, some in the moment when
    /// that may no longer be.
    async fn calls(&self, random: &mut Random) -> io::Result<()> {
        let item = random.below(ITEMS as u64) as usize;
        let reader = if random.permille(150) { Reader::WithoutMemory } else { Reader::WithMemory };
        let function = random.below(12);
        let times = if reader == Reader::WithMemory { 1 + random.below(200) } else { 1 };
        for _ in 0..times {
            self.call(random, function, item, reader).await?;
            // What is answered from memory waits for nothing, and others want to run too.
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    async fn call(&self, random: &mut Random, function: u64, item: usize, reader: Reader) -> io::Result<()> {
        let (group, columns) = (item / GROUP, self.orders.columns);
        let next = (group + 1) % GROUPS;
        let cache = match reader {
            Reader::WithMemory => &self.with_memory,
            Reader::WithoutMemory => &self.without_memory,
        };
        let mut turns = Vec::new();
        if reader == Reader::WithoutMemory {
            // In the same order for all, or they wait for each other.
            for group in if function == PAIR { vec![group.min(next), group.max(next)] } else { vec![group] } {
                turns.push(self.one_by_one[group].lock().await);
            }
        }
        let mut demands = self.demands.of(truth(), group, reader)?;
        if function == PAIR {
            demands.extend(self.demands.of(truth(), next, reader)?);
        }
        let asked = now();
        let (name, id, values) = match function {
            0..=2 => ("late", item, {
                let answer = self.limited(random, cache.with(functions::late(item, asked))).await;
                one(answer.map(|late| self.check_age(item, asked, late)))
            }),
            3 => ("fallible", item, {
                let answer = self.limited(random, cache.with(functions::fallible(item, asked))).await;
                if let Some(Err(_)) = answer {
                    self.counters.failures.fetch_add(1, Ordering::Relaxed);
                }
                one(answer.and_then(Result::ok))
            }),
            4 => ("blocking", item, {
                let cache = cache.clone();
                let call = move || cache.with_sync(|| functions::blocking(item, asked));
                one(tokio::task::spawn_blocking(call).await.ok())
            }),
            5..=8 => ("item", item, one(self.limited(random, cache.with(functions::item(item, asked))).await)),
            PAIR => ("pair", group, self.limited(random, cache.with(functions::pair(group, asked))).await),
            _ => ("group", group, self.limited(random, cache.with(functions::group(group, asked))).await),
        };
        if self.orders.mistake == Mistake::Slow && random.permille(1) {
            tokio::time::sleep(10 * LONGEST).await;
        }
        self.watch.answered(asked, bodies(function), || format!("{name}({id}) {reader:?}"));
        let counter = match reader {
            Reader::WithMemory => &self.counters.with_memory,
            Reader::WithoutMemory => &self.counters.without_memory,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        let of_item = item % GROUP * columns..(item % GROUP + 1) * columns;
        let demands = if function < 9 { &demands[of_item] } else { &demands[..] };
        if let Some(values) = values {
            self.check(&format_args!("{name}({id}) {reader:?}"), asked, demands, &values);
        }
        Ok(())
    }

    /// Some callers go away before they are answered.
    async fn limited<T>(&self, random: &mut Random, call: impl Future<Output = T>) -> Option<T> {
        if !random.permille(10) {
            return Some(call.await);
        }
        let answer = tokio::time::timeout(Duration::from_micros(random.below(20_000)), call).await.ok();
        if answer.is_none() {
            self.counters.cancelled.fetch_add(1, Ordering::Relaxed);
        }
        answer
    }

    /// Its value, if it isn't too old.
    fn check_age(&self, item: usize, asked: Nanos, (began, value): (Nanos, Value)) -> Value {
        let age = asked.saturating_sub(began);
        if age > nanos(OLDEST) {
            let milliseconds = age / 1_000_000;
            say(&format!("violation late({item}) is {milliseconds} ms old; fault: {}", self.watch.fault()));
        }
        value
    }

    fn check(&self, call: &fmt::Arguments<'_>, asked: Nanos, demands: &[Acknowledged], values: &[Value]) {
        let got = values.concat();
        let stale = demands.iter().zip(&got).position(|(demanded, got)| *got < demanded.version);
        if stale.is_none() && got.len() == demands.len() {
            return;
        }
        let milliseconds = |nanos| nanos / 1_000_000;
        let (process, took) = (self.orders.column, milliseconds(now() - asked));
        let index = stale.unwrap_or_default();
        let (Acknowledged { version, at }, part) = (demands[index], index / self.orders.columns);
        say(&format!(
            "violation process {process}, {call}, which took {took} ms: part {part} was at version {version} of process \
             {}, acknowledged {} ms before the call; it got {got:?}; fault: {}",
            index % self.orders.columns,
            milliseconds(asked.saturating_sub(at)),
            self.watch.fault(),
        ));
    }
}

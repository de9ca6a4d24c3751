//! The cached functions. What they are made of is read first; what happens to them then takes its time. Each run is written
//! down, and so is when its call came: `asked`, which is no part of the key.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use larder::cached;

use crate::random::Random;
use crate::runs::{Function, Noted};
use crate::truth::{GROUP, GROUPS, Nanos, Truth, now};

/// The versions of an item's columns.
pub(crate) type Value = Vec<u64>;

static TRUTH: OnceLock<Truth> = OnceLock::new();
static RUNS: AtomicU64 = AtomicU64::new(0);

/// Before anything is called.
pub(crate) fn set_up(truth: Truth, seed: u64) {
    let _ = TRUTH.set(truth);
    RUNS.store(seed, Ordering::Relaxed);
}

pub(crate) fn truth() -> &'static Truth {
    TRUTH.get().unwrap_or_else(|| unreachable!("it is set up first"))
}

fn read(item: usize) -> Value {
    truth().value(item).unwrap_or_default()
}

/// No run takes longer.
pub(crate) const LONGEST: Duration = Duration::from_millis(600);

/// How long a run takes: mostly nothing, sometimes longer than the shorter leases, and than `max_staleness`.
fn duration_of_run() -> Option<Duration> {
    let mut random = Random::new(RUNS.fetch_add(1, Ordering::Relaxed));
    let milliseconds = match random.below(1000) {
        0..800 => return None,
        800..970 => random.below(5),
        970..998 => random.below(50),
        _ => random.below(LONGEST.as_millis() as u64),
    };
    Some(Duration::from_millis(milliseconds))
}

async fn takes_time() {
    match duration_of_run() {
        Some(duration) => tokio::time::sleep(duration).await,
        None => tokio::task::yield_now().await,
    }
}

/// Its lease is so long that whoever waits for one to run out is seen.
#[cached(skip(asked), tags = [("item", id)])]
pub(crate) async fn item(id: usize, asked: Nanos) -> Value {
    let _noted = Noted::run(Function::Item, id, asked);
    let value = read(id);
    takes_time().await;
    value
}

/// Its tag is known at its end only, and it doesn't live long. It says when it began.
#[cached(skip(asked), ttl = "150ms", lease = "400ms")]
pub(crate) async fn late(id: usize, asked: Nanos) -> (Nanos, Value) {
    let _noted = Noted::run(Function::Late, id, asked);
    let (began, value) = (now(), read(id));
    takes_time().await;
    larder::add_tag(("item", id));
    (began, value)
}

/// Fails now and then.
#[cached(skip(asked), tags = [("item", id)])]
pub(crate) async fn fallible(id: usize, asked: Nanos) -> Result<Value, String> {
    let mut noted = Noted::run(Function::Fallible, id, asked);
    let value = read(id);
    takes_time().await;
    if value.iter().sum::<u64>() % 5 == 4 {
        noted.failed();
        return Err("a failure".to_owned());
    }
    Ok(value)
}

#[cached(skip(asked), tags = [("item", id)], lease = "400ms")]
pub(crate) fn blocking(id: usize, asked: Nanos) -> Value {
    let _noted = Noted::run(Function::Blocking, id, asked);
    let value = read(id);
    if let Some(duration) = duration_of_run() {
        std::thread::sleep(duration);
    }
    value
}

/// Made of items, and of what takes its time between them.
#[cached(skip(asked), lease = "400ms")]
pub(crate) async fn group(id: usize, asked: Nanos) -> Vec<Value> {
    let _noted = Noted::run(Function::Group, id, asked);
    let mut values = Vec::with_capacity(GROUP);
    for item_of_it in id * GROUP..(id + 1) * GROUP {
        values.push(item(item_of_it, now()).await);
    }
    takes_time().await;
    values
}

/// Made of two groups.
#[cached(skip(asked), lease = "400ms")]
pub(crate) async fn pair(id: usize, asked: Nanos) -> Vec<Value> {
    let _noted = Noted::run(Function::Pair, id, asked);
    let first = group(id, now()).await;
    let second = group((id + 1) % GROUPS, now()).await;
    [first, second].concat()
}

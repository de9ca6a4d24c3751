//! Calls as they come in life: a few keys often, many keys seldom, more of them than there is room for.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::{Peer, Random};

/// Distinct keys.
const KEYS: usize = 1_000_000;
/// Entries each cache may hold.
pub const ROOM: usize = 100_000;

/// How often a body ran.
static RUNS: AtomicU64 = AtomicU64::new(0);

/// How long a body takes, in nanoseconds.
static TAKES: AtomicU64 = AtomicU64::new(0);

fn body(id: u64) -> u64 {
    RUNS.fetch_add(1, Ordering::Relaxed);
    let takes = TAKES.load(Ordering::Relaxed);
    if takes > 0 {
        let began = Instant::now();
        while began.elapsed() < Duration::from_nanos(takes) {
            std::hint::spin_loop();
        }
    }
    black_box(id).wrapping_mul(3)
}

/// From now on bodies keep their core busy for this long.
pub fn bodies_take(time: Duration) {
    TAKES.store(time.as_nanos() as u64, Ordering::Relaxed);
}

/// How often a body ran since the last time somebody asked.
pub fn take_runs() -> u64 {
    RUNS.swap(0, Ordering::Relaxed)
}

#[larder::cached(max_entries = 100_000)]
fn ours(id: u64) -> u64 {
    body(id)
}

#[cached::macros::concurrent_cached(max_size = 100_000)]
fn concurrent(id: u64) -> u64 {
    body(id)
}

#[cached::macros::cached(max_size = 100_000)]
fn single(id: u64) -> u64 {
    body(id)
}

/// Keys, the k-th most frequent one with probability proportional to 1/k.
pub fn keys(count: usize) -> Vec<u64> {
    let mut sum = 0.0;
    let reach: Vec<f64> = (1..=KEYS)
        .map(|rank| {
            sum += 1.0 / rank as f64;
            sum
        })
        .collect();
    let mut random = Random::new(0x21bf);
    let rank = |share: f64| reach.partition_point(|reach| *reach < share * sum) as u64;
    // Scrambled: neighbours in rank are no neighbours in number.
    (0..count).map(|_| rank(random.share()).wrapping_mul(0x9E37_79B9_7F4A_7C15)).collect()
}

/// Asks for these keys.
pub type Ask = Box<dyn Fn(&[u64])>;

/// Everybody's way to ask.
pub fn peers() -> Vec<(Peer, Ask)> {
    fn asking(ask: impl Fn(u64) -> u64 + 'static) -> Ask {
        Box::new(move |keys| {
            for key in keys {
                black_box(ask(*key));
            }
        })
    }
    let moka = moka::sync::Cache::new(ROOM as u64);
    let quick = quick_cache::sync::Cache::new(ROOM);
    vec![
        (Peer::Larder, asking(ours)),
        (Peer::Concurrent, asking(concurrent)),
        (Peer::Cached, asking(single)),
        (Peer::Moka, asking(move |id| moka.get_with(id, || body(id)))),
        (
            Peer::Quick,
            asking(move |id| {
                quick.get_or_insert_with(&id, || Ok::<_, std::convert::Infallible>(body(id))).unwrap_or_default()
            }),
        ),
    ]
}

//! Calls that memory can't answer: a key that was never asked for, and a body that does next to nothing.

use std::cell::Cell;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::hits::SharedWork;
use crate::{Case, Peer, Work};

fn body(id: u64) -> u64 {
    black_box(id).wrapping_mul(3)
}

/// Annotated functions, ours.
mod ours {
    use super::body;
    use larder::cached;

    #[cached(max_entries = 10_000)]
    pub(super) fn full(id: u64) -> u64 {
        body(id)
    }
    #[cached(max_entries = 10_000_000)]
    pub(super) fn roomy(id: u64) -> u64 {
        body(id)
    }
    #[cached(max_entries = 10_000)]
    pub(super) async fn later(id: u64) -> u64 {
        body(id)
    }
    #[cached(max_entries = 10_000, tags = ["all", ("item", id)])]
    pub(super) fn tagged(id: u64) -> u64 {
        body(id)
    }
    #[cached(max_entries = 10_000, tags = ["all", "some"])]
    pub(super) fn shared_tags(id: u64) -> u64 {
        body(id)
    }
    #[cached(max_entries = 10_000, tags = [("item", id)])]
    pub(super) fn own_tag(id: u64) -> u64 {
        body(id)
    }
}

mod concurrent {
    use super::body;
    use cached::macros::concurrent_cached;

    #[concurrent_cached(max_size = 10_000)]
    pub(super) fn full(id: u64) -> u64 {
        body(id)
    }
    #[concurrent_cached]
    pub(super) fn roomy(id: u64) -> u64 {
        body(id)
    }
    #[concurrent_cached(max_size = 10_000)]
    pub(super) async fn later(id: u64) -> u64 {
        body(id)
    }
}

mod single {
    use super::body;
    use cached::macros::cached;

    // As the others: one run per key.
    #[cached(max_size = 10_000, sync_writes = "by_key")]
    pub(super) fn full(id: u64) -> u64 {
        body(id)
    }
    #[cached(sync_writes = "by_key")]
    pub(super) fn roomy(id: u64) -> u64 {
        body(id)
    }
    #[cached(max_size = 10_000, sync_writes = "by_key")]
    pub(super) async fn later(id: u64) -> u64 {
        body(id)
    }
}

/// A key nobody asked for before.
fn fresh() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn asking(ask: impl Fn(u64) -> u64 + 'static) -> Work {
    Box::new(move |count| {
        for _ in 0..count {
            black_box(ask(fresh()));
        }
    })
}

/// Until the cache is full.
fn filled(ask: impl Fn(u64) -> u64 + 'static) -> Work {
    filling(asking(ask))
}

fn filling(mut work: Work) -> Work {
    work(12_000);
    work
}

fn moka(room: u64) -> impl Fn(u64) -> u64 {
    let cache = moka::sync::Cache::new(room);
    move |id| cache.get_with(id, || body(id))
}

fn quick(room: usize) -> impl Fn(u64) -> u64 {
    let cache = quick_cache::sync::Cache::new(room);
    // The cheapest way it has: concurrent calls of one key don't share a run.
    move |id| {
        cache.get(&id).unwrap_or_else(|| {
            let value = body(id);
            cache.insert(id, value);
            value
        })
    }
}

macro_rules! awaiting {
    ($ask:path) => {
        filling(Box::new(|count| {
            pollster::block_on(async {
                for _ in 0..count {
                    black_box($ask(fresh()).await);
                }
            });
        }))
    };
}

fn moka_later() -> Work {
    let cache = moka::future::Cache::new(10_000);
    let work: Work = Box::new(move |count| {
        pollster::block_on(async {
            for _ in 0..count {
                let id = fresh();
                black_box(cache.get_with(id, async { body(id) }).await);
            }
        });
    });
    filling(work)
}

/// All of them.
pub fn cases() -> Vec<Case> {
    use Peer::{Cached, Concurrent, Larder, Moka, Quick};
    vec![
        Case::new(
            "miss, a full cache",
            [
                (Larder, || filled(ours::full)),
                (Concurrent, || filled(concurrent::full)),
                (Cached, || filled(single::full)),
                (Moka, || filled(moka(10_000))),
                (Quick, || filled(quick(10_000))),
            ],
        ),
        Case::new(
            "miss, room left",
            [
                (Larder, || asking(ours::roomy)),
                (Concurrent, || asking(concurrent::roomy)),
                (Cached, || asking(single::roomy)),
                (Moka, || asking(moka(10_000_000))),
                (Quick, || asking(quick(10_000_000))),
            ],
        ),
        Case::new(
            "miss, async",
            [
                (Larder, || awaiting!(ours::later)),
                (Concurrent, || awaiting!(concurrent::later)),
                (Cached, || awaiting!(single::later)),
                (Moka, moka_later),
                (Quick, || filled(quick(10_000))),
            ],
        ),
        Case::new(
            "miss with two tags",
            [
                (Larder, || filled(ours::tagged)),
                (Concurrent, || filled(concurrent::full)),
                (Cached, || filled(single::full)),
                (Moka, || filled(moka(10_000))),
                (Quick, || filled(quick(10_000))),
            ],
        ),
        Case::new(
            "miss with two shared tags",
            [
                (Larder, || filled(ours::shared_tags)),
                (Concurrent, || filled(concurrent::full)),
                (Cached, || filled(single::full)),
                (Moka, || filled(moka(10_000))),
                (Quick, || filled(quick(10_000))),
            ],
        ),
        Case::new(
            "miss with a tag of its own",
            [
                (Larder, || filled(ours::own_tag)),
                (Concurrent, || filled(concurrent::full)),
                (Cached, || filled(single::full)),
                (Moka, || filled(moka(10_000))),
                (Quick, || filled(quick(10_000))),
            ],
        ),
    ]
}

/// A key that neither this thread nor another asked for before, without a word that threads share.
fn fresh_here() -> u64 {
    static THREADS: AtomicU64 = AtomicU64::new(1);
    thread_local! {
        static NEXT: Cell<u64> = Cell::new(THREADS.fetch_add(1, Ordering::Relaxed) << 32);
    }
    NEXT.replace(NEXT.get() + 1)
}

/// Everybody's way to miss in a full cache, for several threads at once.
pub fn shared() -> Vec<(Peer, SharedWork)> {
    fn sharing(ask: impl Fn(u64) -> u64 + Send + Sync + 'static) -> SharedWork {
        let work = move |count| {
            for _ in 0..count {
                black_box(ask(fresh_here()));
            }
        };
        work(12_000);
        Box::new(work)
    }
    vec![
        (Peer::Larder, sharing(ours::full)),
        (Peer::Concurrent, sharing(concurrent::full)),
        (Peer::Cached, sharing(single::full)),
        (Peer::Moka, sharing(moka(10_000))),
        (Peer::Quick, sharing(quick(10_000))),
    ]
}

//! Calls that memory answers.

use std::hash::{BuildHasher, Hash, RandomState};
use std::hint::black_box;
use std::sync::LazyLock;
use std::time::Duration;

use crate::{Case, Peer, Random, Work};

/// How many entries each cache may hold here: more than are used.
const ROOM: usize = 10_000;
/// Keys that are asked for.
const MANY: u64 = 1_000;
const FEW: u64 = 64;

/// What the functions compute.
fn body(id: u64) -> u64 {
    black_box(id).wrapping_mul(3)
}

fn pair_body(name: &str, id: u64) -> u64 {
    black_box(name.len() as u64).wrapping_add(id)
}

/// The keys of the pairs.
static NAMES: [&str; 8] = ["alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel"];

fn name(id: u64) -> &'static str {
    NAMES[(id % 8) as usize]
}

/// Names as long as a UUID is in letters.
static UUIDS: LazyLock<Vec<String>> =
    LazyLock::new(|| (0..MANY).map(|id| format!("{:08x}-5eed-4000-8000-0123456789ab", id * 0x9e37)).collect());

fn uuid(id: u64) -> &'static str {
    UUIDS.get(id as usize).map_or("", String::as_str)
}

/// Annotated functions, ours.
pub mod larder_functions {
    use super::{body, pair_body};
    use larder::cached;

    #[cached(max_entries = 10_000)]
    pub(super) fn plain(id: u64) -> u64 {
        body(id)
    }
    #[cached(max_entries = 10_000, ttl = "1h")]
    pub(super) fn with_ttl(id: u64) -> u64 {
        body(id)
    }
    #[cached(max_entries = 10_000)]
    pub(super) fn pair(name: &str, id: u64) -> u64 {
        pair_body(name, id)
    }
    #[cached(max_entries = 10_000, ttl = "1h")]
    pub(super) fn pair_with_ttl(name: &str, id: u64) -> u64 {
        pair_body(name, id)
    }
    #[cached(max_entries = 10_000, ttl = "1h")]
    pub(super) fn text(name: &str) -> u64 {
        pair_body(name, 0)
    }
    #[cached(max_entries = 10_000)]
    pub(super) async fn later(id: u64) -> u64 {
        body(id)
    }
    #[cached(max_entries = 10_000, ttl = "1h")]
    pub(super) async fn later_with_ttl(id: u64) -> u64 {
        body(id)
    }
    #[cached(max_entries = 10_000, tags = ["all", ("item", id), "even:{even}"])]
    pub(super) fn tagged(id: u64, even: bool) -> u64 {
        body(id + u64::from(even))
    }
    #[cached(max_entries = 10_000)]
    pub(super) fn nullary() -> u64 {
        body(7)
    }
    #[cached(max_entries = 10_000, scope = tenant, key = id)]
    pub(super) fn scoped(tenant: &str, id: u64) -> u64 {
        pair_body(tenant, id)
    }
    /// Calls [`plain`] many times; each call of this is a run.
    #[cached(max_entries = 16)]
    pub(super) fn outer(_run: u64, keys: &'static super::Keys, hits: usize) -> u64 {
        keys.cycle(hits, plain)
    }
}

/// Annotated functions of the peer, behind sharded locks.
mod concurrent {
    use super::{body, pair_body};
    use cached::macros::concurrent_cached;

    #[concurrent_cached(max_size = 10_000)]
    pub(super) fn plain(id: u64) -> u64 {
        body(id)
    }
    #[concurrent_cached(max_size = 10_000, ttl_secs = 3600)]
    pub(super) fn with_ttl(id: u64) -> u64 {
        body(id)
    }
    #[concurrent_cached(max_size = 10_000, key = "(String, u64)", convert = r#"{ (name.to_owned(), id) }"#)]
    pub(super) fn pair(name: &str, id: u64) -> u64 {
        pair_body(name, id)
    }
    #[concurrent_cached(
        max_size = 10_000,
        ttl_secs = 3600,
        key = "(String, u64)",
        convert = r#"{ (name.to_owned(), id) }"#
    )]
    pub(super) fn pair_with_ttl(name: &str, id: u64) -> u64 {
        pair_body(name, id)
    }
    #[concurrent_cached(max_size = 10_000, ttl_secs = 3600, key = "String", convert = r#"{ name.to_owned() }"#)]
    pub(super) fn text(name: &str) -> u64 {
        pair_body(name, 0)
    }
    #[concurrent_cached(max_size = 10_000)]
    pub(super) fn nullary() -> u64 {
        body(7)
    }
    #[concurrent_cached(max_size = 10_000)]
    pub(super) async fn later(id: u64) -> u64 {
        body(id)
    }
    #[concurrent_cached(max_size = 10_000, ttl_secs = 3600)]
    pub(super) async fn later_with_ttl(id: u64) -> u64 {
        body(id)
    }
}

/// Annotated functions of the peer, behind one lock.
mod single {
    use super::{body, pair_body};
    use cached::macros::cached;

    #[cached(max_size = 10_000)]
    pub(super) fn plain(id: u64) -> u64 {
        body(id)
    }
    #[cached(max_size = 10_000, ttl_secs = 3600)]
    pub(super) fn with_ttl(id: u64) -> u64 {
        body(id)
    }
    #[cached(max_size = 10_000, key = "(String, u64)", convert = r#"{ (name.to_owned(), id) }"#)]
    pub(super) fn pair(name: &str, id: u64) -> u64 {
        pair_body(name, id)
    }
    #[cached(max_size = 10_000, ttl_secs = 3600, key = "(String, u64)", convert = r#"{ (name.to_owned(), id) }"#)]
    pub(super) fn pair_with_ttl(name: &str, id: u64) -> u64 {
        pair_body(name, id)
    }
    #[cached(max_size = 10_000, ttl_secs = 3600, key = "String", convert = r#"{ name.to_owned() }"#)]
    pub(super) fn text(name: &str) -> u64 {
        pair_body(name, 0)
    }
    #[cached(max_size = 10_000)]
    pub(super) fn nullary() -> u64 {
        body(7)
    }
    #[cached(max_size = 10_000)]
    pub(super) async fn later(id: u64) -> u64 {
        body(id)
    }
    #[cached(max_size = 10_000, ttl_secs = 3600)]
    pub(super) async fn later_with_ttl(id: u64) -> u64 {
        body(id)
    }
}

/// Keys in a random order, the same in each run.
#[derive(Debug)]
pub struct Keys {
    order: Vec<u64>,
    distinct: u64,
}

impl Keys {
    fn new(distinct: u64) -> Self {
        let mut random = Random::new(0x5eed);
        let order = (0..8192).map(|_| random.next_number() % distinct).collect();
        Self { order, distinct }
    }

    /// Asks for this many keys, one after the other.
    #[inline]
    pub fn cycle(&self, count: usize, mut ask: impl FnMut(u64) -> u64) -> u64 {
        let mut sum = 0_u64;
        let mut left = count;
        while left > 0 {
            let part = left.min(self.order.len());
            for key in self.order.iter().take(part) {
                sum = sum.wrapping_add(ask(black_box(*key)));
            }
            left -= part;
        }
        black_box(sum)
    }
}

// Identified by how many there are: only ever used as an argument of `outer`.
impl larder::key::Identity for Keys {
    fn identify(&self, key: &mut larder::key::KeyWriter<'_>) {
        key.add(&self.distinct);
    }
}

/// A thousand keys.
pub static UNIFORM: LazyLock<Keys> = LazyLock::new(|| Keys::new(MANY));
/// So few that everything is in the nearest CPU cache.
pub static HOT: LazyLock<Keys> = LazyLock::new(|| Keys::new(FEW));

/// Calls the function for all keys once, then again and again.
fn asking(keys: &'static Keys, ask: impl Fn(u64) -> u64 + 'static) -> Work {
    for id in 0..keys.distinct {
        ask(id);
    }
    Box::new(move |count| {
        keys.cycle(count, &ask);
    })
}

/// The same for an async function, within one future.
macro_rules! awaiting {
    ($keys:expr, $ask:path) => {{
        let keys: &'static Keys = $keys;
        pollster::block_on(async {
            for id in 0..keys.distinct {
                $ask(id).await;
            }
        });
        Box::new(move |count: usize| {
            pollster::block_on(async {
                let mut sum = 0_u64;
                let mut left = count;
                while left > 0 {
                    let part = left.min(keys.order.len());
                    for key in keys.order.iter().take(part) {
                        sum = sum.wrapping_add($ask(black_box(*key)).await);
                    }
                    left -= part;
                }
                black_box(sum);
            });
        })
    }};
}

/// A pair that borrows its name, for the peers' own look-ups.
#[derive(Hash)]
struct PairRef<'a>(&'a str, u64);

#[derive(Clone, Hash, PartialEq, Eq)]
struct Pair(String, u64);

impl moka::Equivalent<Pair> for PairRef<'_> {
    fn equivalent(&self, key: &Pair) -> bool {
        self.0 == key.0 && self.1 == key.1
    }
}

type Moka<K> = moka::sync::Cache<K, u64>;
type Quick<K> = quick_cache::sync::Cache<K, u64>;

fn moka<K: Hash + Eq + Send + Sync + 'static>(ttl: bool) -> Moka<K> {
    let builder = moka::sync::Cache::builder().max_capacity(ROOM as u64);
    if ttl { builder.time_to_live(Duration::from_secs(3600)).build() } else { builder.build() }
}

fn moka_u64(keys: &'static Keys, ttl: bool) -> Work {
    let cache = moka(ttl);
    asking(keys, move |id| {
        cache.get(&id).unwrap_or_else(|| {
            cache.insert(id, body(id));
            body(id)
        })
    })
}

fn quick_u64(keys: &'static Keys) -> Work {
    let cache: Quick<u64> = Quick::new(ROOM);
    asking(keys, move |id| {
        cache.get(&id).unwrap_or_else(|| {
            cache.insert(id, body(id));
            body(id)
        })
    })
}

fn moka_pair(ttl: bool) -> Work {
    let cache: Moka<Pair> = moka(ttl);
    asking(&UNIFORM, move |id| {
        cache.get(&PairRef(name(id), id)).unwrap_or_else(|| {
            let value = pair_body(name(id), id);
            cache.insert(Pair(name(id).to_owned(), id), value);
            value
        })
    })
}

fn quick_pair() -> Work {
    let cache: Quick<Pair> = Quick::new(ROOM);
    asking(&UNIFORM, move |id| {
        cache.get(&PairRef(name(id), id)).unwrap_or_else(|| {
            let value = pair_body(name(id), id);
            cache.insert(Pair(name(id).to_owned(), id), value);
            value
        })
    })
}

fn moka_text() -> Work {
    let cache: Moka<String> = moka(true);
    asking(&UNIFORM, move |id| {
        cache.get(uuid(id)).unwrap_or_else(|| {
            let value = pair_body(uuid(id), 0);
            cache.insert(uuid(id).to_owned(), value);
            value
        })
    })
}

fn quick_text() -> Work {
    let cache: Quick<String> = Quick::new(ROOM);
    asking(&UNIFORM, move |id| {
        cache.get(uuid(id)).unwrap_or_else(|| {
            let value = pair_body(uuid(id), 0);
            cache.insert(uuid(id).to_owned(), value);
            value
        })
    })
}

fn moka_later(ttl: bool) -> Work {
    let builder = moka::future::Cache::builder().max_capacity(ROOM as u64);
    let cache = if ttl { builder.time_to_live(Duration::from_secs(3600)).build() } else { builder.build() };
    pollster::block_on(async {
        for id in 0..MANY {
            cache.insert(id, body(id)).await;
        }
    });
    Box::new(move |count| {
        pollster::block_on(async {
            let mut sum = 0_u64;
            let mut left = count;
            while left > 0 {
                let part = left.min(UNIFORM.order.len());
                for key in UNIFORM.order.iter().take(part) {
                    sum = sum.wrapping_add(cache.get(black_box(key)).await.unwrap_or(0));
                }
                left -= part;
            }
            black_box(sum);
        });
    })
}

/// The body alone, as a floor.
fn only_the_body() -> Work {
    asking(&UNIFORM, body)
}

/// Within runs of a cached function, a thousand hits each.
fn nested() -> Work {
    drop(asking(&UNIFORM, larder_functions::plain));
    let mut run = RandomState::new().hash_one(0_u64);
    Box::new(move |count| {
        let mut left = count;
        while left > 0 {
            let part = left.min(1000);
            run = run.wrapping_add(1);
            black_box(larder_functions::outer(run, &UNIFORM, part));
            left -= part;
        }
    })
}

fn within_a_cache() -> Work {
    let cache = larder::Cache::builder().build().expect("no backends");
    let ask = |id| larder_functions::plain(id);
    cache.with_sync(|| {
        for id in 0..MANY {
            ask(id);
        }
    });
    Box::new(move |count| {
        cache.with_sync(|| UNIFORM.cycle(count, ask));
    })
}

/// All of them.
pub fn cases() -> Vec<Case> {
    use Peer::{Cached, Concurrent, Larder, Moka, Quick};
    use larder_functions as ours;
    vec![
        Case::new(
            "u64, 1000 keys",
            [
                (Larder, || asking(&UNIFORM, ours::plain)),
                (Concurrent, || asking(&UNIFORM, concurrent::plain)),
                (Cached, || asking(&UNIFORM, single::plain)),
                (Moka, || moka_u64(&UNIFORM, false)),
                (Quick, || quick_u64(&UNIFORM)),
            ],
        ),
        Case::new(
            "u64, 1000 keys, ttl",
            [
                (Larder, || asking(&UNIFORM, ours::with_ttl)),
                (Concurrent, || asking(&UNIFORM, concurrent::with_ttl)),
                (Cached, || asking(&UNIFORM, single::with_ttl)),
                (Moka, || moka_u64(&UNIFORM, true)),
                (Quick, || quick_u64(&UNIFORM)),
            ],
        ),
        Case::new(
            "u64, 64 hot keys",
            [
                (Larder, || asking(&HOT, ours::plain)),
                (Concurrent, || asking(&HOT, concurrent::plain)),
                (Cached, || asking(&HOT, single::plain)),
                (Moka, || moka_u64(&HOT, false)),
                (Quick, || quick_u64(&HOT)),
            ],
        ),
        Case::new(
            "u64, 64 hot keys, ttl",
            [
                (Larder, || asking(&HOT, ours::with_ttl)),
                (Concurrent, || asking(&HOT, concurrent::with_ttl)),
                (Cached, || asking(&HOT, single::with_ttl)),
                (Moka, || moka_u64(&HOT, true)),
                (Quick, || quick_u64(&HOT)),
            ],
        ),
        Case::new(
            "(&str, u64), 1000 keys",
            [
                (Larder, || asking(&UNIFORM, |id| ours::pair(name(id), id))),
                (Concurrent, || asking(&UNIFORM, |id| concurrent::pair(name(id), id))),
                (Cached, || asking(&UNIFORM, |id| single::pair(name(id), id))),
                (Moka, || moka_pair(false)),
                (Quick, quick_pair),
            ],
        ),
        Case::new(
            "(&str, u64), 1000 keys, ttl",
            [
                (Larder, || asking(&UNIFORM, |id| ours::pair_with_ttl(name(id), id))),
                (Concurrent, || asking(&UNIFORM, |id| concurrent::pair_with_ttl(name(id), id))),
                (Cached, || asking(&UNIFORM, |id| single::pair_with_ttl(name(id), id))),
                (Moka, || moka_pair(true)),
                (Quick, quick_pair),
            ],
        ),
        Case::new(
            "&str of 36 letters, ttl",
            [
                (Larder, || asking(&UNIFORM, |id| ours::text(uuid(id)))),
                (Concurrent, || asking(&UNIFORM, |id| concurrent::text(uuid(id)))),
                (Cached, || asking(&UNIFORM, |id| single::text(uuid(id)))),
                (Moka, moka_text),
                (Quick, quick_text),
            ],
        ),
        Case::new(
            "async u64, 1000 keys",
            [
                (Larder, || awaiting!(&UNIFORM, ours::later)),
                (Concurrent, || awaiting!(&UNIFORM, concurrent::later)),
                (Cached, || awaiting!(&UNIFORM, single::later)),
                (Moka, || moka_later(false)),
                (Quick, || quick_u64(&UNIFORM)),
            ],
        ),
        Case::new(
            "async u64, 1000 keys, ttl",
            [
                (Larder, || awaiting!(&UNIFORM, ours::later_with_ttl)),
                (Concurrent, || awaiting!(&UNIFORM, concurrent::later_with_ttl)),
                (Cached, || awaiting!(&UNIFORM, single::later_with_ttl)),
                (Moka, || moka_later(true)),
                (Quick, || quick_u64(&UNIFORM)),
            ],
        ),
        Case::new(
            "no arguments",
            [
                (Larder, || asking(&HOT, |_| ours::nullary())),
                (Concurrent, || asking(&HOT, |_| concurrent::nullary())),
                (Cached, || asking(&HOT, |_| single::nullary())),
            ],
        ),
        Case::new(
            "u64 inside a cached run",
            [
                (Larder, nested),
                (Concurrent, || asking(&UNIFORM, concurrent::plain)),
                (Cached, || asking(&UNIFORM, single::plain)),
                (Moka, || moka_u64(&UNIFORM, false)),
                (Quick, || quick_u64(&UNIFORM)),
            ],
        ),
        Case::new(
            "u64 within Cache::with",
            [
                (Larder, within_a_cache),
                (Concurrent, || asking(&UNIFORM, concurrent::plain)),
                (Cached, || asking(&UNIFORM, single::plain)),
                (Moka, || moka_u64(&UNIFORM, false)),
                (Quick, || quick_u64(&UNIFORM)),
            ],
        ),
        Case::new(
            "u64 with three tags",
            [
                (Larder, || asking(&UNIFORM, |id| ours::tagged(id, id.is_multiple_of(2)))),
                (Concurrent, || asking(&UNIFORM, concurrent::plain)),
                (Cached, || asking(&UNIFORM, single::plain)),
                (Moka, || moka_u64(&UNIFORM, false)),
                (Quick, || quick_u64(&UNIFORM)),
            ],
        ),
        Case::new(
            "u64 in a scope",
            [
                (Larder, || asking(&UNIFORM, |id| ours::scoped(name(id), id))),
                (Concurrent, || asking(&UNIFORM, |id| concurrent::pair(name(id), id))),
                (Cached, || asking(&UNIFORM, |id| single::pair(name(id), id))),
                (Moka, || moka_pair(false)),
                (Quick, quick_pair),
            ],
        ),
        Case::new(
            "u64, observed",
            [(Larder, || asking(&UNIFORM, |id| larder::observe_sync(|| ours::plain(id)).value))],
        ),
        Case::new("(the loop and the body)", [(Larder, only_the_body)]),
    ]
}

/// Does the work this many times, for several threads at once.
pub type SharedWork = Box<dyn Fn(usize) + Send + Sync>;

/// Everybody's way to ask for the hot keys.
pub fn shared() -> Vec<(Peer, SharedWork)> {
    fn sharing(ask: impl Fn(u64) -> u64 + Send + Sync + 'static) -> SharedWork {
        for id in 0..FEW {
            ask(id);
        }
        Box::new(move |count| {
            HOT.cycle(count, &ask);
        })
    }
    let in_moka: Moka<u64> = moka(false);
    let in_quick: Quick<u64> = Quick::new(ROOM);
    vec![
        (Peer::Larder, sharing(larder_functions::plain)),
        (Peer::Concurrent, sharing(concurrent::plain)),
        (Peer::Cached, sharing(single::plain)),
        (
            Peer::Moka,
            sharing(move |id| {
                in_moka.get(&id).unwrap_or_else(|| {
                    in_moka.insert(id, body(id));
                    body(id)
                })
            }),
        ),
        (
            Peer::Quick,
            sharing(move |id| {
                in_quick.get(&id).unwrap_or_else(|| {
                    in_quick.insert(id, body(id));
                    body(id)
                })
            }),
        ),
    ]
}

//! `cache`, `Cache::with` and `Cache::install`: which cache a call acts on.

use std::sync::{Arc, LazyLock};

use larder::{Cache, blocking, cached};

use crate::support::{Runs, alone, block_on, cache, stats_of};

static ONE: LazyLock<Cache> = LazyLock::new(cache);
static TWO: LazyLock<Cache> = LazyLock::new(cache);

#[test]
fn the_option() {
    static RUNS: Runs = Runs::new();
    #[cached(cache = ONE, tags = ["the_option"])]
    fn f(id: u64) -> u64 {
        RUNS.add();
        id
    }
    let other = cache();
    (f(1), f(1), other.with_sync(|| f(1)));
    assert_eq!(RUNS.get(), 1, "wherever it is called");
    assert_eq!(stats_of(&ONE, "behaviour::cache::the_option::f").memory_hits, 2);
    assert!(other.stats().functions.is_empty());

    blocking::invalidate_tag("the_option").unwrap();
    f(1);
    assert_eq!(RUNS.get(), 1, "the ambient cache is another one");
    ONE.with_sync(|| blocking::invalidate_tag("the_option")).unwrap();
    f(1);
    assert_eq!(RUNS.get(), 2);
    block_on(ONE.invalidate_tag("the_option")).unwrap();
    f(1);
    assert_eq!(RUNS.get(), 3);
    // The helpers know which cache is meant.
    other.with_sync(|| invalidate_f(1)).unwrap();
    f(1);
    assert_eq!(RUNS.get(), 4);
    other.with_sync(invalidate_all_f).unwrap();
    f(1);
    assert_eq!(RUNS.get(), 5);
}

struct App {
    cache: Cache,
    shared: Arc<Cache>,
}

static APP: Runs = Runs::new();

impl App {
    #[cached(cache = self.cache, skip(self))]
    fn owned(&self, id: u64) -> u64 {
        APP.add();
        id
    }

    #[cached(cache = self.shared, skip(self))]
    async fn shared(&self, id: u64) -> u64 {
        APP.add();
        id
    }
}

#[tokio::test]
async fn the_option_over_arguments() {
    let app = || App { cache: cache(), shared: Arc::new(cache()) };
    let (a, b) = (app(), app());
    for _ in 0..2 {
        (a.owned(1), b.owned(1));
        (a.shared(1).await, b.shared(1).await);
    }
    assert_eq!(APP.get(), 4, "each in its own");
    a.invalidate_owned(1).unwrap();
    b.invalidate_shared(1).await.unwrap();
    (a.owned(1), b.owned(1));
    (a.shared(1).await, b.shared(1).await);
    assert_eq!(APP.get(), 6);
    // Without a receiver there is only the ambient cache.
    b.cache.with(async { App::invalidate_all_owned() }).await.unwrap();
    (a.owned(1), b.owned(1));
    assert_eq!(APP.get(), 7);

    static FREE: Runs = Runs::new();
    #[cached(cache = app.cache, skip(app))]
    fn free(app: &App, id: u64) -> u64 {
        FREE.add();
        id
    }
    for _ in 0..2 {
        (free(&a, 1), free(&b, 1));
    }
    invalidate_free(&a, 1).unwrap();
    (free(&a, 1), free(&b, 1));
    assert_eq!(FREE.get(), 3);
}

#[tokio::test]
async fn side_by_side() {
    static RUNS: Runs = Runs::new();
    #[cached(tags = ["tag"])]
    async fn f(id: u64) -> usize {
        tokio::task::yield_now().await;
        let _ = id;
        RUNS.add()
    }
    let (a, b) = (cache(), cache());
    let (in_a, in_b) = tokio::join!(a.with(f(1)), b.with(f(1)));
    assert_ne!(in_a, in_b, "isolated also while both run");
    assert_eq!((a.with(f(1)).await, b.with(f(1)).await), (in_a, in_b));
    a.with(larder::invalidate_tag("tag")).await.unwrap();
    assert_eq!((a.with(f(1)).await, b.with(f(1)).await), (3, in_b));
    b.with(invalidate_f(1)).await.unwrap();
    assert_eq!((a.with(f(1)).await, b.with(f(1)).await), (3, 4));
    a.with(b.with(async { larder::invalidate_tag("tag").await })).await.unwrap();
    assert_eq!((a.with(f(1)).await, b.with(f(1)).await), (3, 5), "the inner one counts");
    b.reset().await.unwrap();
    assert_eq!((a.with(f(1)).await, b.with(f(1)).await), (3, 6));
    assert_eq!(f(1).await, 7, "and the process's is another one");
    assert_eq!(RUNS.get(), 7);
}

#[test]
fn clones_are_one_cache() {
    static RUNS: Runs = Runs::new();
    #[cached]
    fn f() -> usize {
        RUNS.add()
    }
    let cache = cache();
    let clone = cache.clone();
    assert_eq!((cache.with_sync(f), clone.with_sync(f)), (1, 1));
    assert_eq!(stats_of(&clone, "f").memory_hits, 1);
    assert_eq!(format!("{cache:?}"), format!("{clone:?}"));
}

#[test]
fn an_entry_knows_what_it_was_computed_from_in_another_cache() {
    #[cached(cache = TWO, tags = ["across"])]
    fn leaf(id: u64) -> u64 {
        id
    }
    static RUNS: Runs = Runs::new();
    #[cached]
    fn root() -> u64 {
        RUNS.add();
        leaf(1)
    }
    let cache = cache();
    let call = || cache.with_sync(root);
    (call(), call());
    assert_eq!(RUNS.get(), 1);
    cache.with_sync(|| blocking::invalidate_tag("across")).unwrap();
    call();
    assert_eq!(RUNS.get(), 1, "there is no such tag in this one");
    TWO.with_sync(|| blocking::invalidate_tag("across")).unwrap();
    call();
    assert_eq!(RUNS.get(), 2);
}

#[test]
fn the_one_of_the_process() {
    if !alone("cache::the_one_of_the_process") {
        return;
    }
    static RUNS: Runs = Runs::new();
    #[cached(tags = ["tag"])]
    fn f() -> usize {
        RUNS.add()
    }
    assert_eq!((f(), f()), (1, 1), "without any set-up");
    let default = Cache::ambient();
    assert_eq!(stats_of(&default, "f").memory_hits, 1);

    let installed = cache();
    installed.install().unwrap();
    assert_eq!((f(), f()), (2, 2), "from now on it is this one");
    assert_eq!(stats_of(&installed, "f").memory_hits, 1);
    assert_eq!(stats_of(&default, "f").memory_hits, 1);
    blocking::invalidate_tag("tag").unwrap();
    assert_eq!((f(), default.with_sync(f)), (3, 1), "the free functions act on it");

    let other = cache();
    assert_eq!((other.with_sync(f), other.with_sync(f), f()), (4, 4, 3));
    assert_eq!(std::thread::spawn(f).join().unwrap(), 3, "in every thread");
    blocking::reset().unwrap();
    assert_eq!((f(), other.with_sync(f), default.with_sync(f)), (5, 6, 7), "reset is of all");
}

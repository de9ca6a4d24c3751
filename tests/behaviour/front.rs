//! What each thread remembers of its last calls: it must not be noticed, except that hits are fast.

use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, mpsc};
use std::time::{Duration, Instant};

use larder::{Cache, blocking, cached};

use crate::support::{Runs, alone, cache, stats_of};

/// Often enough that the thread has the entry, and asks the memory layer about it now and then.
const OFTEN: usize = 1_000;

/// Counts how many of it are alive.
struct Counted(&'static AtomicUsize);

impl Counted {
    fn new(alive: &'static AtomicUsize) -> Arc<Self> {
        alive.fetch_add(1, Ordering::SeqCst);
        Arc::new(Self(alive))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[test]
fn what_replaces_an_entry_is_seen_by_threads_that_had_it() {
    #[cached(helpers = [prime])]
    fn f(id: u64) -> u64 {
        id
    }
    let cache = cache();
    let (ask, asked) = mpsc::channel::<u64>();
    let (answer, answers) = mpsc::channel();
    let other = {
        let cache = cache.clone();
        std::thread::spawn(move || {
            for id in asked {
                cache.with_sync(|| (0..OFTEN).for_each(|_| answer.send(f(id)).unwrap()));
            }
        })
    };
    for id in 0..50 {
        ask.send(id).unwrap();
        assert!(answers.iter().take(OFTEN).all(|value| value == id));
        cache.with_sync(|| prime_f(id, id + 1_000)).unwrap();
        ask.send(id).unwrap();
        assert!(answers.iter().take(OFTEN).all(|value| value == id + 1_000), "the old value of {id} was served");
    }
    drop(ask);
    other.join().unwrap();
}

#[test]
fn what_replaces_an_entry_is_seen_in_the_cache_of_the_process() {
    #[cached(helpers = [prime])]
    fn f(id: u64) -> u64 {
        id
    }
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                for id in (0..50).map(|id| id * 4 + thread) {
                    assert!((0..OFTEN).all(|_| f(id) == id));
                    prime_f(id, id + 1_000).unwrap();
                    assert!((0..OFTEN).all(|_| f(id) == id + 1_000), "the old value of {id} was served");
                }
            });
        }
    });
}

#[test]
fn runs_depend_on_what_their_thread_had_at_hand() {
    #[cached(tags = ["leaf"])]
    fn leaf(id: u64) -> u64 {
        id + VERSION.load(Ordering::SeqCst) as u64
    }
    #[cached]
    fn sum(upto: u64, _again: u64) -> u64 {
        // Each twice: the second time the run has it already.
        (0..upto).map(|id| leaf(id) + leaf(id)).sum()
    }
    static VERSION: AtomicUsize = AtomicUsize::new(0);
    for round in 0..20 {
        VERSION.store(round, Ordering::SeqCst);
        let expected = 2 * (0..8).map(|id| id + round as u64).sum::<u64>();
        for again in 0..8 {
            // Of the entries that other runs used as well, and by hits between the runs.
            (0..8).for_each(|id| assert_eq!(leaf(id), id + round as u64));
            assert_eq!(sum(8, again), expected, "in round {round}");
        }
        blocking::invalidate_tag("leaf").unwrap();
    }
}

#[test]
fn an_invalidation_reaches_all_threads_at_once() {
    static RUNS: Runs = Runs::new();
    #[cached(tags = ["all"])]
    fn f(id: u64) -> u64 {
        RUNS.add();
        id
    }
    let cache = cache();
    let within = |calls: &dyn Fn()| cache.with_sync(calls);
    invalidations_reach_all_threads(f, &RUNS, "all", &within);
}

#[test]
fn an_invalidation_reaches_all_threads_at_once_in_the_cache_of_the_process() {
    static RUNS: Runs = Runs::new();
    #[cached(tags = ["all of it"])]
    fn f(id: u64) -> u64 {
        RUNS.add();
        id
    }
    invalidations_reach_all_threads(f, &RUNS, "all of it", &|calls| calls());
}

fn invalidations_reach_all_threads(f: fn(u64) -> u64, runs: &Runs, tag: &str, within: &(dyn Fn(&dyn Fn()) + Sync)) {
    let barrier = std::sync::Barrier::new(4);
    let wrong = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                within(&|| {
                    for round in 0..50 {
                        (0..OFTEN).for_each(|time| _ = f(time as u64 % 8));
                        if barrier.wait().is_leader() {
                            // Not asserted here: the others would wait at the barrier.
                            if runs.get() != (round + 1) * 8 {
                                wrong.store(true, Ordering::SeqCst);
                            }
                            blocking::invalidate_tag(tag).unwrap();
                        }
                        barrier.wait();
                    }
                });
            });
        }
    });
    assert!(!wrong.into_inner(), "an entry was served after its invalidation");
    assert_eq!(runs.get(), 50 * 8);
}

#[test]
fn a_thread_that_ends_keeps_nothing() {
    static ALIVE: AtomicUsize = AtomicUsize::new(0);
    #[cached(max_entries = 100_000, local)]
    fn f(id: u64) -> Arc<Counted> {
        let _ = id;
        Counted::new(&ALIVE)
    }
    let cache = cache();
    std::thread::scope(|scope| {
        scope.spawn(|| cache.with_sync(|| (0..3).for_each(|_| (0..1_000).for_each(|id| drop(f(id))))));
    });
    assert_eq!(ALIVE.load(Ordering::SeqCst), 1_000);
    drop(cache);
    let freed = (0..2_000).any(|_| {
        let other = self::cache();
        other.with_sync(|| (0..10).for_each(|id| _ = other_f(id)));
        ALIVE.load(Ordering::SeqCst) == 0
    });
    assert!(freed, "{} are kept", ALIVE.load(Ordering::SeqCst));
}

#[cached]
fn other_f(id: u64) -> u64 {
    id
}

#[test]
fn what_is_evicted_is_kept_within_bounds() {
    static ALIVE: AtomicUsize = AtomicUsize::new(0);
    #[cached(max_entries = 10, local)]
    fn f(id: u64) -> Arc<Counted> {
        let _ = id;
        Counted::new(&ALIVE)
    }
    let cache = cache();
    cache.with_sync(|| {
        for id in 0..20_000 {
            (0..5).for_each(|_| drop(f(id)));
        }
    });
    let _ = cache.stats();
    let alive = ALIVE.load(Ordering::SeqCst);
    assert!(alive <= 10 + 4_096, "{alive} values are kept");
}

#[test]
fn what_is_evicted_is_freed_though_several_threads_had_it() {
    static ALIVE: AtomicUsize = AtomicUsize::new(0);
    #[cached(local)]
    fn f(id: u64) -> Arc<Counted> {
        let _ = id;
        Counted::new(&ALIVE)
    }
    let cache = Cache::builder().memory(larder::Memory::builder().max_entries(64)).build().unwrap();
    let together = std::sync::Barrier::new(2);
    std::thread::scope(|scope| {
        for thread in 1..3 {
            let (cache, together) = (&cache, &together);
            scope.spawn(move || {
                cache.with_sync(|| {
                    for _ in 0..4 {
                        (0..40).for_each(|id| drop(f(id)));
                        together.wait();
                    }
                    // Each twice: what is asked for again takes the place of what was.
                    (0..20_000).for_each(|id| _ = other_f(thread * 1_000_000 + id / 2));
                    together.wait();
                });
            });
        }
    });
    drop(cache.stats());
    let alive = ALIVE.load(Ordering::SeqCst);
    assert!(alive <= 5, "{alive} values are kept");
}

/// A thread that does nothing but hit, and ends, hands what it had to the next that looks into the memory layer.
#[test]
fn what_ended_threads_had_is_freed_by_those_that_only_hit() {
    if !alone("front::what_ended_threads_had_is_freed_by_those_that_only_hit") {
        return;
    }
    #[cached(local)]
    fn f(id: u64) -> Arc<u64> {
        Arc::new(id)
    }
    f(1);
    let resident = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0)
    };
    let threads = |count: usize| {
        for _ in 0..count {
            std::thread::spawn(|| assert_eq!(*f(1), 1)).join().unwrap();
        }
    };
    threads(500);
    let before = resident();
    threads(5_000);
    let grown = resident().saturating_sub(before);
    assert!(grown < 8_000, "{grown} kB more for 5,000 threads that have ended");
}

#[test]
fn hits_are_counted_exactly() {
    #[cached]
    fn f(id: u64) -> u64 {
        id
    }
    let cache = cache();
    let hits = || cache.stats().function("f").map_or(0, |stats| stats.memory_hits);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                cache.with_sync(|| {
                    for time in 0..10_000 {
                        f(time % 100);
                    }
                });
            });
        }
    });
    let stats = cache.stats();
    let stats = stats.function("f").unwrap();
    assert_eq!(stats.memory_hits + stats.coalesced + stats.runs, 40_000, "of threads that have ended");
    let before = hits();
    cache.with_sync(|| (0..300).for_each(|_| _ = f(1)));
    assert_eq!(hits(), before + 300, "of one that goes on");
}

#[test]
fn what_a_value_does_when_it_is_cloned_or_dropped_is_its_own_business() {
    static BUSY: AtomicBool = AtomicBool::new(false);
    struct Caller(u64);
    impl Caller {
        fn calls(&self) {
            // Once in a while, or one would call the next for ever.
            if !BUSY.swap(true, Ordering::SeqCst) {
                let _ = (inner(self.0), inner(self.0 + 1), inner(1_000_000 + self.0));
                blocking::invalidate_tag(("inner", self.0 % 7)).unwrap();
                BUSY.store(false, Ordering::SeqCst);
            }
        }
    }
    impl Clone for Caller {
        fn clone(&self) -> Self {
            self.calls();
            Self(self.0)
        }
    }
    impl Drop for Caller {
        fn drop(&mut self) {
            self.calls();
        }
    }
    #[cached(local, max_entries = 50, tags = [("inner", id % 7)])]
    fn inner(id: u64) -> Arc<Caller> {
        Arc::new(Caller(id))
    }
    #[cached(local, max_entries = 50)]
    fn outer(id: u64) -> Caller {
        Caller(id)
    }
    for _ in 0..3 {
        std::thread::spawn(|| {
            for time in 0..2_000 {
                let id = time % 90;
                assert_eq!(outer(id).0, id);
                assert_eq!(outer(id).0, id);
            }
        })
        .join()
        .unwrap();
        // What a thread leaves behind isn't dropped while its locals are destroyed: that would abort the process.
        let _ = larder::stats();
    }
}

/// Many of them at once.
#[test]
fn values_that_are_freed_together_may_call_cached_functions() {
    static CACHE: LazyLock<Cache> = LazyLock::new(cache);
    struct Caller(u64);
    impl Drop for Caller {
        fn drop(&mut self) {
            CACHE.with_sync(|| inner(self.0));
        }
    }
    #[cached(local)]
    fn outer(id: u64) -> Arc<Caller> {
        Arc::new(Caller(id))
    }
    #[cached(local)]
    fn inner(id: u64) -> u64 {
        id
    }
    let (sender, ended) = mpsc::channel();
    std::thread::spawn(move || {
        CACHE.with_sync(|| {
            (0..5_000).for_each(|id| drop(outer(id)));
            // Not those of other tests, which run meanwhile.
            crate::support::block_on(CACHE.reset()).unwrap();
            CACHE.stats();
        });
        sender.send(stats_of(&CACHE, "inner").runs).unwrap();
    });
    let freed = ended.recv_timeout(Duration::from_secs(60)).expect("it waits for itself");
    assert!(freed > 1_000, "{freed}: what is freed at once fits into the queue");
}

#[test]
fn a_clone_that_panics_during_a_hit_leaves_everything_in_order() {
    static PANICS: AtomicBool = AtomicBool::new(false);
    struct Touchy(u64);
    impl Clone for Touchy {
        fn clone(&self) -> Self {
            assert!(!PANICS.load(Ordering::SeqCst), "it doesn't want to");
            Self(self.0)
        }
    }
    #[cached(local, helpers = [prime])]
    fn f(id: u64) -> Touchy {
        Touchy(id)
    }
    let cache = cache();
    let hits = || cache.stats().function("f").map_or(0, |stats| stats.memory_hits);
    cache.with_sync(|| (0..OFTEN).for_each(|_| _ = f(1)));
    let before = hits();
    PANICS.store(true, Ordering::SeqCst);
    for _ in 0..OFTEN {
        let answer = std::panic::catch_unwind(|| cache.with_sync(|| f(1).0));
        assert!(answer.is_err(), "nothing panicked");
    }
    PANICS.store(false, Ordering::SeqCst);
    assert_eq!(hits(), before, "what wasn't answered isn't counted");
    cache.with_sync(|| (0..OFTEN).for_each(|_| assert_eq!(f(1).0, 1)));
    assert_eq!(hits(), before + OFTEN as u64);
    // The thread's table can still be changed.
    cache.with_sync(|| {
        prime_f(1, Touchy(2)).unwrap();
        (0..OFTEN).for_each(|_| assert_eq!(f(1).0, 2));
    });
}

/// Those that fit into a slot and those that don't, in the process's cache and in another.
#[test]
fn keys_of_any_length() {
    #[cached(tags = ["lengths"])]
    fn f(name: &str) -> String {
        RUNS.add();
        format!("{name} {}", VERSION.load(Ordering::SeqCst))
    }
    #[cached]
    fn twice(name: &str, _again: u64) -> String {
        // The second time the run has it already.
        f(name) + &f(name)
    }
    static VERSION: AtomicUsize = AtomicUsize::new(0);
    static RUNS: Runs = Runs::new();
    // Neighbours differ in one letter, or in length.
    let names = |len| ["a".repeat(len), "b".to_owned() + &"a".repeat(len), "a".repeat(len) + "b"];
    let names: BTreeSet<_> = (0..90).flat_map(names).collect();
    let check = |round| {
        VERSION.store(round, Ordering::SeqCst);
        let before = RUNS.get();
        for again in 0..3 {
            names.iter().for_each(|name| assert_eq!(f(name), format!("{name} {round}")));
            names.iter().for_each(|name| assert_eq!(twice(name, again), format!("{name} {round}").repeat(2)));
        }
        assert_eq!(RUNS.get() - before, names.len(), "one run each");
        blocking::invalidate_tag("lengths").unwrap();
    };
    (0..5).for_each(check);
    cache().with_sync(|| (5..10).for_each(check));
}

/// By the operating system's clock, which is the one that threads' tables go by.
#[test]
fn what_a_thread_has_at_hand_ends_with_its_lifetime() {
    // Whatever is invalidated in the process has the tables look more closely.
    if !alone("front::what_a_thread_has_at_hand_ends_with_its_lifetime") {
        return;
    }
    const LIFETIME: Duration = Duration::from_millis(200);
    #[cached(ttl = LIFETIME)]
    fn short(id: u64) -> usize {
        RUNS.add() + id as usize
    }
    #[cached(ttl = LIFETIME)]
    fn long(name: &str) -> usize {
        RUNS.add() + name.len()
    }
    #[cached(ttl = LIFETIME, scope = tenant, key = tenant)]
    fn scoped(tenant: &str) -> usize {
        RUNS.add() + tenant.len()
    }
    static RUNS: Runs = Runs::new();
    let long_key = "a key that doesn't fit into a slot";
    let ways: [&dyn Fn() -> usize; 3] = [&|| short(1), &|| long(long_key), &|| scoped(long_key)];
    for way in ways {
        let began = Instant::now();
        let first = way();
        while way() == first && began.elapsed() < LIFETIME / 2 {}
        assert!(way() == first || began.elapsed() >= LIFETIME, "it was computed again after {:?}", began.elapsed());
        // Not asked for meanwhile: now and then a hit asks the memory layer, which would find it out.
        std::thread::sleep(LIFETIME);
        assert_ne!(way(), first, "it is still served after {:?}", began.elapsed());
    }
}

/// Keys that differ in nothing but what their own comparison says.
#[test]
fn keys_of_one_hash_are_told_apart() {
    #[derive(Clone, PartialEq, Eq)]
    struct Key(u64);
    impl Hash for Key {
        fn hash<H: Hasher>(&self, _: &mut H) {}
    }
    #[cached(local)]
    fn f(key: &Key) -> u64 {
        RUNS.add();
        key.0
    }
    static RUNS: Runs = Runs::new();
    for _ in 0..100 {
        (0..4).for_each(|key| assert_eq!(f(&Key(key)), key));
    }
    cache().with_sync(|| (0..100).for_each(|key| assert_eq!(f(&Key(key % 4)), key % 4)));
    assert_eq!(RUNS.get(), 8, "one run each, in two caches");
}

#[test]
fn functions_types_and_scopes_are_told_apart() {
    #[cached(local)]
    fn size<T: 'static>(id: u64) -> u64 {
        size_of::<T>() as u64 + id
    }
    #[cached]
    fn same(id: u64) -> u64 {
        id + 100
    }
    #[cached(scope = tenant, key = id)]
    fn scoped(tenant: &str, id: u64) -> u64 {
        tenant.len() as u64 + id
    }
    let check = |first: u64| {
        for id in first..first + 8 {
            for _ in 0..3 {
                let got = (size::<u8>(id), size::<u64>(id), same(id), scoped("a", id), scoped("abc", id));
                assert_eq!(got, (1 + id, 8 + id, id + 100, 1 + id, 3 + id));
            }
        }
    };
    // The table of a new thread is so small, and a new cache so empty, that keys of different functions often meet in all
    // that their hashes decide.
    for thread in 0..1_000 {
        std::thread::scope(|scope| scope.spawn(|| cache().with_sync(|| check(thread * 8))).join().unwrap());
    }
}

#[test]
fn what_is_dropped_on_the_way_is_no_part_of_a_run() {
    static DROPPED: AtomicUsize = AtomicUsize::new(0);
    static IN_A_SCOPE: AtomicBool = AtomicBool::new(false);
    static RUNS: Runs = Runs::new();
    struct Noting;
    impl Drop for Noting {
        fn drop(&mut self) {
            IN_A_SCOPE.fetch_or(larder::scope().is_some(), Ordering::SeqCst);
            DROPPED.fetch_add(noted(), Ordering::SeqCst);
        }
    }
    #[cached(tags = ["noted"])]
    fn noted() -> usize {
        1
    }
    #[cached(local, max_entries = 10)]
    fn crowded(id: u64) -> Arc<Noting> {
        let _ = id;
        Arc::new(Noting)
    }
    #[cached]
    fn run() -> usize {
        // Each of them evicts another.
        (0..5_000).for_each(|id| drop((crowded(id), crowded(id))));
        RUNS.add()
    }
    let cache = cache();
    cache.with_sync(|| {
        larder::with_scope_sync("tenant", || {
            run();
            let dropped = DROPPED.load(Ordering::SeqCst);
            assert!(dropped > 1_000, "only {dropped} were dropped during the run");
            assert!(!IN_A_SCOPE.load(Ordering::SeqCst), "they were dropped in the scope of the run");
            // Wherever it was called.
            blocking::invalidate_tag("noted").unwrap();
            cache.with_sync(|| blocking::invalidate_tag("noted")).unwrap();
            assert_eq!(run(), 1, "the run depends on what was dropped meanwhile");
        });
    });
    assert!(cache.stats().function("noted").is_none(), "it was called in the run's cache");
}

#[test]
fn what_is_dropped_on_the_way_does_not_wait_for_the_run() {
    static NESTED: Runs = Runs::new();
    struct Asking;
    impl Drop for Asking {
        fn drop(&mut self) {
            // Once: the run it begins drops others.
            if NESTED.add() == 1 {
                assert_eq!(run(7), 7);
            }
        }
    }
    #[cached(local, max_entries = 10)]
    fn crowded(id: u64) -> Arc<Asking> {
        let _ = id;
        Arc::new(Asking)
    }
    #[cached]
    fn run(id: u64) -> u64 {
        (0..2_000).for_each(|id| drop((crowded(id), crowded(id))));
        id
    }
    let (sender, ended) = mpsc::channel();
    std::thread::spawn(move || sender.send(run(7)).unwrap());
    let answer = ended.recv_timeout(Duration::from_secs(60));
    assert_eq!(answer, Ok(7), "it waits for the run that waits for it");
    assert!(NESTED.get() > 1_000, "{} were dropped", NESTED.get());
}

#[test]
fn values_that_are_no_larger_than_a_word() {
    // In the cache of the process, which has the shortest way, and in one of its own.
    words();
    cache().with_sync(words);
}

fn words() {
    macro_rules! comes_back {
        ($($type:ty: $values:expr;)*) => {$({
            #[cached(tags = ["words"], local)]
            fn f(at: usize) -> $type {
                $values[at]
            }
            for round in 0..3 {
                for (at, value) in $values.iter().enumerate() {
                    assert!((0..OFTEN).all(|_| f(at) == *value), "{value:?} in round {round}");
                }
                blocking::invalidate_tag("words").unwrap();
            }
        })*};
    }
    comes_back! {
        bool: [true, false];
        char: ['\0', 'ß', char::MAX];
        u8: [0, u8::MAX];
        i8: [i8::MIN, -1];
        i16: [i16::MIN, -1];
        u32: [0, u32::MAX];
        i64: [i64::MIN, -1, i64::MAX];
        usize: [0, usize::MAX];
        f32: [-0.5, f32::INFINITY];
        f64: [f64::MIN_POSITIVE, -0.0];
        (): [()];
        u128: [u128::MAX, 1];
        Option<u64>: [None, Some(u64::MAX)];
    }
}

#[test]
fn one_name_for_several_types() {
    #[cached]
    fn parsed<
        T: Copy + Send + Sync + std::str::FromStr + Default + serde::Serialize + serde::de::DeserializeOwned + 'static,
    >(
        text: &str,
    ) -> T {
        text.parse().unwrap_or_default()
    }
    let all = || {
        for _ in 0..OFTEN {
            assert_eq!((parsed::<u64>("7"), parsed::<i8>("7"), parsed::<bool>("true")), (7, 7, true));
            assert!((parsed::<f64>("7") - 7.0).abs() < f64::EPSILON);
        }
    };
    all();
    cache().with_sync(all);
}

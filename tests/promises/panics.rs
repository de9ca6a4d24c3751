//! Promise 3 under panics: one in the code of a result's or an argument's type, in a codec or in a backend costs an entry or a
//! hit, and no call its answer. The function's own code, its options included, fails the call as it would without a cache.

mod in_an_option;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use larder::reference::SharedMemory;
use larder::{Cache, ErrorKind, FunctionStats, Memory, Report, ReportKind, cached};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::support::{Gate, Runs, block_on, cache, two_processes, without_memory};

fn stats(cache: &Cache, function: &str) -> FunctionStats {
    cache.stats().function(function).cloned().unwrap_or_default()
}

/// Panics where it is told to.
#[derive(Debug)]
struct Switch(AtomicBool);

impl Switch {
    const fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    fn set(&self, panics: bool) {
        self.0.store(panics, Ordering::SeqCst);
    }

    fn pass(&self) {
        assert!(!self.0.load(Ordering::SeqCst), "it is told to panic");
    }
}

/// A type for each test, as its code finds its switches where it stands.
macro_rules! value {
    ($name:ident: $($switch:ident)*) => {
        $(static $switch: Switch = Switch::new();)*
        #[derive(Debug)]
        struct $name(u64);
        impl Clone for $name {
            fn clone(&self) -> Self {
                value!(@ CLONE in $($switch)*);
                Self(self.0)
            }
        }
        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                value!(@ EQ in $($switch)*);
                self.0 == other.0
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeTuple;
                let mut tuple = to.serialize_tuple(2)?;
                tuple.serialize_element(&self.0)?;
                value!(@ SERIALIZE in $($switch)*);
                tuple.serialize_element(&())?;
                tuple.end()
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let (number, ()) = Deserialize::deserialize(from)?;
                value!(@ DESERIALIZE in $($switch)*);
                Ok(Self(number))
            }
        }
    };
    (@ $wanted:ident in) => {};
    (@ CLONE in CLONE $($more:ident)*) => { CLONE.pass() };
    (@ EQ in EQ $($more:ident)*) => { EQ.pass() };
    (@ SERIALIZE in SERIALIZE $($more:ident)*) => { SERIALIZE.pass() };
    (@ DESERIALIZE in DESERIALIZE $($more:ident)*) => { DESERIALIZE.pass() };
    (@ $wanted:ident in $other:ident $($more:ident)*) => { value!(@ $wanted in $($more)*) };
}

#[test]
fn in_a_result_that_is_encoded() {
    static RUNS: Runs = Runs::new();
    value!(Value: SERIALIZE);
    #[cached]
    fn sync(id: u64) -> Value {
        Value(id + RUNS.begin().number as u64 * 100)
    }
    #[cached]
    async fn not_sync(id: u64) -> Result<Value, fmt::Error> {
        crate::support::give_way().await;
        Ok(Value(id + RUNS.begin().number as u64 * 100))
    }
    let (here, there, shared) = two_processes();
    SERIALIZE.set(true);
    for _ in 0..2 {
        assert_eq!(
            (here.with_sync(|| sync(1)).0, block_on(here.with(not_sync(2))).unwrap().0),
            (101, 202),
            "in memory"
        );
    }
    assert_eq!((there.with_sync(|| sync(1)).0, block_on(there.with(not_sync(2))).unwrap().0), (301, 402));
    assert_eq!((shared.usage().entries, shared.usage().leases), (0, 0));
    for function in ["sync", "not_sync"] {
        let stats = stats(&here, function);
        assert_eq!((stats.encode_errors, stats.lossy, stats.stored, stats.memory_hits), (1, 0, 1, 1), "{function}");
    }
    SERIALIZE.set(false);
    assert_eq!((here.with_sync(|| sync(5)).0, there.with_sync(|| sync(5)).0, shared.usage().entries), (505, 505, 1));
}

#[test]
fn in_an_entry_that_is_decoded() {
    static RUNS: Runs = Runs::new();
    value!(Value: DESERIALIZE);
    #[cached(helpers = [peek])]
    fn read(id: u64) -> Value {
        Value(id + RUNS.begin().number as u64 * 100)
    }
    let shared = SharedMemory::new();
    let cache = without_memory(&shared);
    let call = |id| cache.with_sync(|| read(id)).0;
    // Of those that are looked at before they are stored.
    (0..10).for_each(|id| assert_eq!((call(id), call(id)), (id * 101 + 100, id * 101 + 100)));
    DESERIALIZE.set(true);
    assert!(cache.with_sync(|| peek_read(1)).is_none());
    assert_eq!(call(1), 1_101, "what can't be decoded is a miss");
    let stats = stats(&cache, "read");
    assert_eq!((stats.damaged, stats.lossy, shared.usage().leases), (2, 0, 0));
    DESERIALIZE.set(false);
    assert_eq!((call(1), RUNS.count()), (1_101, 11), "the new one has replaced it");
}

#[test]
fn in_a_result_that_is_looked_at_before_it_is_stored() {
    value!(Value: DESERIALIZE EQ);
    #[cached]
    fn read(id: u64) -> Value {
        Value(id)
    }
    let reports: Arc<std::sync::Mutex<Vec<Report>>> = Arc::default();
    let shared = SharedMemory::new();
    let cache = {
        let reports = Arc::clone(&reports);
        let on_report = move |report: &Report| reports.lock().unwrap().push(report.clone());
        Cache::builder().backend(shared.another_process()).on_report(on_report).build().unwrap()
    };
    let panics_at = [(1, &DESERIALIZE), (2, &EQ)];
    for (id, switch) in panics_at {
        switch.set(true);
        assert_eq!((cache.with_sync(|| read(id)).0, cache.with_sync(|| read(id)).0), (id, id));
        switch.set(false);
        assert_eq!((stats(&cache, "read").lossy, shared.usage().entries, shared.usage().leases), (id, 0, 0));
    }
    assert_eq!((cache.with_sync(|| read(3)).0, shared.usage().entries), (3, 1));
    let reports = reports.lock().unwrap().clone();
    assert_eq!(reports.iter().map(|report| report.kind).collect::<Vec<_>>(), [ReportKind::Panicked]);
    assert!(reports[0].to_string().contains("read`") && reports[0].message.contains("Value`"), "{}", reports[0]);
}

/// Of what is decoded to be looked at, and of whatever the panic carries along.
#[test]
fn in_destructors() {
    #[derive(Clone, Debug, PartialEq, Serialize)]
    struct Fragile(bool);
    impl<'de> Deserialize<'de> for Fragile {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            bool::deserialize(from).map(Self)
        }
    }
    static DECODED: AtomicU64 = AtomicU64::new(0);
    impl Drop for Fragile {
        fn drop(&mut self) {
            struct Bomb;
            impl Drop for Bomb {
                fn drop(&mut self) {
                    panic!("the panic panics")
                }
            }
            if self.0 && !std::thread::panicking() && DECODED.fetch_add(1, Ordering::SeqCst) == 0 {
                std::panic::panic_any(Bomb);
            }
        }
    }
    #[cached]
    fn read(fragile: bool) -> Fragile {
        Fragile(fragile)
    }
    let (here, _there, shared) = two_processes();
    let kept = here.with_sync(|| read(true));
    assert!(kept.0);
    assert_eq!((stats(&here, "read").lossy, shared.usage().entries, shared.usage().leases), (1, 0, 0));
}

/// What memory displaces is another call's.
#[test]
fn in_the_destructor_of_what_is_displaced() {
    static DROPPED: AtomicU64 = AtomicU64::new(0);
    #[derive(Debug)]
    struct Fragile;
    impl Drop for Fragile {
        fn drop(&mut self) {
            DROPPED.fetch_add(1, Ordering::SeqCst);
            assert!(std::thread::panicking(), "it is told to panic");
        }
    }
    #[cached(local)]
    fn fragile(id: u64) -> Arc<Fragile> {
        let _ = id;
        Arc::new(Fragile)
    }
    #[cached]
    fn other(id: u64) -> u64 {
        id
    }
    let cache = crate::support::with_memory(Memory::builder().max_entries(10));
    cache.with_sync(|| {
        for id in 0..50 {
            // It is dropped by the cache, at the latest.
            std::mem::forget(std::panic::catch_unwind(|| drop(fragile(id))));
        }
        for id in 0..2_000 {
            assert_eq!(other(id), id);
        }
    });
    cache.stats();
    assert!(DROPPED.load(Ordering::SeqCst) > 0);
    std::mem::forget(cache);
}

#[test]
fn in_an_argument_that_is_to_be_a_key() {
    static RUNS: Runs = Runs::new();
    value!(Argument: SERIALIZE);
    #[cached]
    fn sync(id: u64, argument: &Argument) -> u64 {
        RUNS.begin();
        id + argument.0
    }
    #[cached(key = (argument, id))]
    async fn not_sync(argument: Argument, id: u64) -> u64 {
        RUNS.begin();
        id + argument.0
    }
    let (here, _there, shared) = two_processes();
    SERIALIZE.set(true);
    for _ in 0..2 {
        assert_eq!(here.with_sync(|| sync(1, &Argument(10))), 11);
        assert_eq!(block_on(here.with(not_sync(Argument(10), 1))), 11);
    }
    assert_eq!((RUNS.count(), shared.usage().entries), (4, 0), "uncached");
    assert_eq!((stats(&here, "sync").key_errors, stats(&here, "not_sync").key_errors), (2, 2));
    let error = here.with_sync(|| invalidate_sync(1, &Argument(10))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Key);
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("Argument") && source.contains("`Serialize` panics"), "{source}");
    SERIALIZE.set(false);
    for _ in 0..2 {
        assert_eq!(here.with_sync(|| sync(1, &Argument(10))), 11);
    }
    assert_eq!((RUNS.count(), shared.usage().entries), (5, 1));
}

/// What hashes and compares keys, and says what identifies an argument, is asked by every hit. So it fails the call, and leaves
/// everything as it was.
#[test]
fn in_what_keys_are_compared_by() {
    static RUNS: Runs = Runs::new();
    static HASH: Switch = Switch::new();
    static EQUAL: Switch = Switch::new();
    static IDENTITY: Switch = Switch::new();
    #[derive(Clone, Debug)]
    struct Key(u64);
    impl std::hash::Hash for Key {
        fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
            HASH.pass();
            self.0.hash(state);
        }
    }
    impl PartialEq for Key {
        fn eq(&self, other: &Self) -> bool {
            EQUAL.pass();
            self.0 == other.0
        }
    }
    impl Eq for Key {}
    struct Identified(u64);
    impl larder::key::Identity for Identified {
        fn identify(&self, key: &mut larder::key::KeyWriter<'_>) {
            IDENTITY.pass();
            key.add(&self.0);
        }
    }
    #[cached(local)]
    fn by_hash(key: Key) -> u64 {
        RUNS.begin();
        key.0
    }
    #[cached]
    fn by_identity(key: &Identified) -> u64 {
        RUNS.begin();
        key.0
    }
    let cache = cache();
    let call = || cache.with_sync(|| (by_hash(Key(1)), by_identity(&Identified(1))));
    assert_eq!((call(), call(), RUNS.count()), ((1, 1), (1, 1), 2));
    for switch in [&HASH, &EQUAL, &IDENTITY] {
        switch.set(true);
        assert!(std::panic::catch_unwind(call).is_err());
        switch.set(false);
        assert_eq!((call(), RUNS.count(), cache.stats().flights), ((1, 1), 2, 0));
    }
}

/// Who ran the body needs no clone. Who waited runs it too.
#[tokio::test]
async fn in_the_clone_of_a_result() {
    static RUNS: Runs = Runs::new();
    static GATE: std::sync::OnceLock<Gate> = std::sync::OnceLock::new();
    let gate = GATE.get_or_init(Gate::new);
    value!(Value: CLONE);
    #[cached]
    async fn read() -> Value {
        let run = RUNS.begin().number;
        if run == 1 {
            GATE.get().unwrap().pass().await;
        }
        Value(run as u64)
    }
    let (here, _there, shared) = two_processes();
    CLONE.set(true);
    let calls: Vec<_> = (0..3)
        .map(|_| {
            let here = here.clone();
            tokio::spawn(async move { here.with(read()).await.0 })
        })
        .collect();
    gate.arrival().await;
    gate.open(1);
    let mut answers = Vec::new();
    for call in calls {
        answers.push(call.await.unwrap());
    }
    answers.sort_unstable();
    assert_eq!(answers, [1, 2, 3]);
    let found = stats(&here, "read");
    assert_eq!((found.panics, found.stored, shared.usage().entries, shared.usage().leases), (3, 0, 0, 0));
    assert_eq!(here.stats().flights, 0);
    CLONE.set(false);
    assert_eq!((here.with(read()).await.0, here.with(read()).await.0), (4, 4));
    // A hit has nothing but the clone: that fails, and leaves everything as it was.
    CLONE.set(true);
    let hit = tokio::spawn({
        let here = here.clone();
        async move { here.with(read()).await.0 }
    });
    assert!(hit.await.unwrap_err().is_panic());
    CLONE.set(false);
    assert_eq!(here.with(read()).await.0, 4);
}

/// The one that is kept is made; those for others can't be.
#[tokio::test]
async fn in_the_clones_for_those_who_waited() {
    static RUNS: Runs = Runs::new();
    static CLONES: AtomicU64 = AtomicU64::new(0);
    static GATE: std::sync::OnceLock<Gate> = std::sync::OnceLock::new();
    let gate = GATE.get_or_init(Gate::new);
    #[derive(Debug)]
    struct Value(usize);
    impl Clone for Value {
        fn clone(&self) -> Self {
            assert_eq!(CLONES.fetch_add(1, Ordering::SeqCst), 0, "only the first");
            Self(self.0)
        }
    }
    #[cached(local)]
    async fn read() -> Value {
        let run = RUNS.begin().number;
        if run == 1 {
            GATE.get().unwrap().pass().await;
        }
        Value(run)
    }
    let cache = cache();
    let first = tokio::spawn({
        let cache = cache.clone();
        async move { cache.with(read()).await.0 }
    });
    gate.arrival().await;
    let second = tokio::spawn({
        let cache = cache.clone();
        async move { cache.with(read()).await.0 }
    });
    while cache.stats().function("read").is_none_or(|stats| stats.misses == 0) || cache.stats().flights == 0 {
        tokio::task::yield_now().await;
    }
    tokio::task::yield_now().await;
    gate.open(1);
    assert_eq!((first.await.unwrap(), second.await.unwrap()), (1, 2));
    assert_eq!((stats(&cache, "read").panics, stats(&cache, "read").stored), (1, 1));
}

/// An `Err` is given to those who waited by its `Clone`, or as text.
#[tokio::test]
async fn in_an_error_that_is_shared() {
    static RUNS: Runs = Runs::new();
    #[derive(Debug)]
    struct Cloned(usize);
    impl Clone for Cloned {
        fn clone(&self) -> Self {
            panic!("it can't be cloned")
        }
    }
    #[derive(Debug)]
    struct Shown(usize);
    impl fmt::Display for Shown {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("it can't be shown")
        }
    }
    impl std::error::Error for Shown {}
    impl From<larder::SharedFailure> for Shown {
        fn from(_: larder::SharedFailure) -> Self {
            Self(0)
        }
    }
    #[cached]
    async fn cloned() -> Result<u8, Cloned> {
        crate::support::give_way().await;
        Err(Cloned(RUNS.begin().number))
    }
    #[cached]
    async fn shown() -> Result<u8, Shown> {
        crate::support::give_way().await;
        Err(Shown(RUNS.begin().number))
    }
    let cache = cache();
    let [mut one, mut two] = [(); 2].map(|()| Box::pin(cache.with(cloned())));
    assert!(crate::support::poll_once(&mut one).await.is_none() && crate::support::poll_once(&mut two).await.is_none());
    assert_eq!((one.await.unwrap_err().0, two.await.unwrap_err().0), (1, 2));
    let [mut one, mut two] = [(); 2].map(|()| Box::pin(cache.with(shown())));
    assert!(crate::support::poll_once(&mut one).await.is_none() && crate::support::poll_once(&mut two).await.is_none());
    assert_eq!((one.await.unwrap_err().0, two.await.unwrap_err().0), (3, 4));
}

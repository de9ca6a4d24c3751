//! What the encoded form of a result doesn't keep, and `lossy`, which says that it is meant.

mod sampled;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use larder::reference::SharedMemory;
use larder::{Cache, Report, ReportKind, cached};
use serde::{Deserialize, Serialize};

use crate::support::{Gate, Runs, stats_of};

/// Processes that share a backend, and what is reported in any of them.
struct Processes {
    shared: SharedMemory,
    reports: Arc<Mutex<Vec<Report>>>,
}

impl Processes {
    fn new() -> Self {
        Self { shared: SharedMemory::new(), reports: Arc::default() }
    }

    fn one(&self) -> Cache {
        let reports = Arc::clone(&self.reports);
        let on_report = move |report: &Report| reports.lock().unwrap().push(report.clone());
        Cache::builder().backend(self.shared.another_process()).on_report(on_report).build().unwrap()
    }

    /// What was reported since this was asked last: which kinds, of which functions.
    fn reports(&self) -> Vec<(ReportKind, String)> {
        let reports = std::mem::take(&mut *self.reports.lock().unwrap());
        reports.into_iter().map(|report| (report.kind, report.function)).collect()
    }

    fn entries(&self) -> usize {
        let usage = self.shared.usage();
        assert_eq!(usage.leases, 0, "no lease is left behind");
        usage.entries
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct User {
    name: String,
    #[serde(skip)]
    password_hash: u64,
}

fn user(name: &str) -> User {
    User { name: name.to_owned(), password_hash: 7 }
}

#[test]
fn a_field_that_serde_skips_keeps_a_result_in_memory() {
    static RUNS: Runs = Runs::new();
    #[cached(name = "lossy.user")]
    fn find(name: &str) -> User {
        RUNS.add();
        user(name)
    }
    let processes = Processes::new();
    let (here, there) = (processes.one(), processes.one());
    for cache in [&here, &there, &here, &there] {
        assert_eq!(cache.with_sync(|| (find("ann"), find("bob"))), (user("ann"), user("bob")));
    }
    assert_eq!((RUNS.get(), processes.entries()), (4, 0), "once in each process");
    let stats = stats_of(&here, "lossy.user");
    assert_eq!((stats.lossy, stats.memory_hits, stats.stored, stats.encode_errors), (2, 2, 2, 0));
    assert!(here.stats().to_string().contains("\nlossy.user: results that their encoded form would change"));
    let reports = processes.reports.lock().unwrap().clone();
    assert_eq!(reports.len(), 2, "once in each process: {reports:?}");
    let text = reports[0].to_string();
    assert!(text.starts_with("`lossy.user`: ") && text.contains("User`") && text.contains("`lossy = true`"), "{text}");
    assert!(!text.contains("ann"), "no value is shown");
}

#[test]
fn a_loss_that_is_meant_is_stored() {
    static RUNS: Runs = Runs::new();
    #[cached(lossy = true)]
    fn find(name: &str) -> User {
        RUNS.add();
        user(name)
    }
    let processes = Processes::new();
    let (here, there) = (processes.one(), processes.one());
    assert_eq!(here.with_sync(|| find("ann")).password_hash, 7);
    assert_eq!(there.with_sync(|| find("ann")), User { password_hash: 0, ..user("ann") });
    assert_eq!((RUNS.get(), processes.entries(), stats_of(&here, "find").lossy), (1, 1, 0));
    assert_eq!(processes.reports(), []);
}

/// Only what would come back changed stays, and only for as long as it would.
#[test]
fn a_variant_that_is_taken_for_another() {
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Amount {
        Cents(u64),
        Pieces(u64),
    }
    #[cached]
    fn amount(pieces: bool, number: u64) -> Amount {
        if pieces { Amount::Pieces(number) } else { Amount::Cents(number) }
    }
    let processes = Processes::new();
    let (here, there) = (processes.one(), processes.one());
    for cache in [&here, &there] {
        for number in 0..20 {
            assert_eq!(cache.with_sync(|| amount(false, number)), Amount::Cents(number));
            assert_eq!(cache.with_sync(|| amount(true, number)), Amount::Pieces(number));
        }
    }
    assert_eq!((processes.entries(), stats_of(&here, "amount").lossy), (20, 20), "all of them are looked at");
    assert_eq!(stats_of(&there, "amount").backend_hits, 20);
    assert_eq!(processes.reports().len(), 2);
}

/// What is stored of a `Result` is compared, also where its `Err` can't be.
#[test]
fn of_results() {
    #[derive(Debug)]
    struct Opaque;
    #[cached]
    fn ok(name: &str) -> Result<User, Opaque> {
        Ok(user(name))
    }
    #[cached(cache_err = true)]
    fn whole(name: &str) -> Result<u8, User> {
        Err(user(name))
    }
    #[cached]
    async fn maybe(name: &str) -> std::io::Result<Option<Vec<User>>> {
        tokio::task::yield_now().await;
        Ok(Some(vec![user(name)]))
    }
    let processes = Processes::new();
    let cache = processes.one();
    assert_eq!(cache.with_sync(|| ok("ann")).unwrap(), user("ann"));
    assert_eq!(cache.with_sync(|| whole("ann")), Err(user("ann")));
    assert_eq!(crate::support::block_on(cache.with(maybe("ann"))).unwrap(), Some(vec![user("ann")]));
    for function in ["ok", "whole", "maybe"] {
        assert_eq!(stats_of(&cache, function).lossy, 1, "{function}");
    }
    assert_eq!(processes.entries(), 0);
}

/// The bounds in sight decide in generic functions, as for all else.
#[test]
fn what_can_not_be_compared_is_stored() {
    #[derive(Clone, Serialize, Deserialize)]
    struct Incomparable {
        #[serde(skip)]
        secret: u64,
    }
    #[cached]
    fn plain() -> Incomparable {
        Incomparable { secret: 7 }
    }
    #[cached(skip(value))]
    fn generic<T: Clone + Send + Sync + Serialize + serde::de::DeserializeOwned + 'static>(value: T) -> T {
        value
    }
    #[cached(skip(value))]
    fn comparable<T: Clone + Send + Sync + PartialEq + Serialize + serde::de::DeserializeOwned + 'static>(
        value: T,
    ) -> T {
        value
    }
    let processes = Processes::new();
    let cache = processes.one();
    cache.with_sync(|| assert_eq!((plain().secret, generic(user("ann")), comparable(user("ann"))).0, 7));
    assert_eq!(processes.entries(), 2);
    assert_eq!(stats_of(&cache, "comparable").lossy, 1);
}

/// Each instantiation has its own type.
#[test]
fn instantiations_are_looked_at_one_by_one() {
    #[cached(key = id, skip(value))]
    fn keep<T: Clone + Send + Sync + PartialEq + Serialize + serde::de::DeserializeOwned + 'static>(
        id: u64,
        value: T,
    ) -> T {
        let _ = id;
        value
    }
    let processes = Processes::new();
    let cache = processes.one();
    cache.with_sync(|| (0..20).for_each(|id| assert_eq!(keep(id, id), id)));
    cache.with_sync(|| keep(1, user("ann")));
    assert_eq!((processes.entries(), stats_of(&cache, "keep").lossy), (20, 1));
}

/// Types that say of nothing that is decoded that it is the same.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct NeverTheSame(u64);

impl PartialEq for NeverTheSame {
    fn eq(&self, _: &Self) -> bool {
        false
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct SameByPlace(Arc<str>);

impl PartialEq for SameByPlace {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

#[test]
fn what_comes_back_as_it_was_is_stored_whatever_its_order_and_its_nan() {
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Measured {
        at: HashMap<String, f64>,
        seen: HashSet<u32>,
        mean: f64,
    }
    #[cached]
    fn measured(nan: bool) -> Measured {
        let mean = if nan { f64::NAN } else { 0.1 + 0.2 };
        let mut at: HashMap<String, f64> = (0..100).map(|n| (n.to_string(), f64::from(n) / 7.0)).collect();
        if nan {
            at.insert("none".to_owned(), -f64::NAN);
        }
        Measured { at, seen: (0..100).collect(), mean }
    }
    #[cached]
    fn number() -> f32 {
        f32::NAN
    }
    #[cached]
    fn zero() -> (f64, String, Option<()>, std::time::Duration) {
        (-0.0, String::new(), None, std::time::Duration::MAX)
    }
    #[cached]
    fn never() -> NeverTheSame {
        NeverTheSame(1)
    }
    #[cached]
    fn by_place() -> SameByPlace {
        SameByPlace("text".into())
    }
    let processes = Processes::new();
    let cache = processes.one();
    cache.with_sync(|| {
        (measured(false), measured(true), number(), zero(), never(), by_place());
    });
    assert_eq!((processes.entries(), processes.reports()), (6, vec![]));
    assert!(cache.stats().functions.iter().all(|stats| stats.lossy == 0), "{}", cache.stats());
}

/// And a loss beside NaN is one, as far as the bytes show it.
#[test]
fn what_is_written_in_another_way_each_time_it_comes_back() {
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Rounded {
        nan: f64,
        #[serde(deserialize_with = "half")]
        number: u64,
    }
    fn half<'de, D: serde::Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        Ok(u64::deserialize(from)? / 2)
    }
    #[cached]
    fn rounded() -> Rounded {
        Rounded { nan: f64::NAN, number: 100 }
    }
    let processes = Processes::new();
    let cache = processes.one();
    assert_eq!(cache.with_sync(rounded).number, 100);
    assert_eq!((processes.entries(), stats_of(&cache, "rounded").lossy), (0, 1));
}

/// Also where the loss is meant: nobody could use it.
#[test]
fn what_can_not_be_decoded_stays_in_memory() {
    #[derive(Clone, Deserialize)]
    struct Crooked(#[allow(dead_code, reason = "decoded")] u64);
    impl Serialize for Crooked {
        fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            to.serialize_str("a number")
        }
    }
    #[cached(name = "lossy.crooked")]
    fn crooked() -> Crooked {
        Crooked(1)
    }
    #[cached(name = "lossy.meant", lossy = true)]
    fn meant() -> Crooked {
        Crooked(1)
    }
    let processes = Processes::new();
    let cache = processes.one();
    cache.with_sync(|| (crooked(), meant(), crooked(), meant()));
    assert_eq!(processes.entries(), 0);
    let kind = ReportKind::NotDecodable;
    assert_eq!(processes.reports(), [(kind, "lossy.crooked".to_owned()), (kind, "lossy.meant".to_owned())]);
    for function in ["lossy.crooked", "lossy.meant"] {
        let stats = stats_of(&cache, function);
        assert_eq!((stats.lossy, stats.damaged, stats.runs, stats.memory_hits), (1, 0, 1, 1));
    }
}

#[test]
fn what_the_codec_refuses_is_reported() {
    #[cached(name = "lossy.nothing")]
    fn nothing(id: u64) -> Option<Option<u64>> {
        let _ = id;
        Some(None)
    }
    let processes = Processes::new();
    let cache = processes.one();
    cache.with_sync(|| (nothing(1), nothing(2)));
    let stats = stats_of(&cache, "lossy.nothing");
    assert_eq!((stats.encode_errors, stats.lossy, processes.entries()), (2, 0, 0));
    assert_eq!(processes.reports(), [(ReportKind::NotEncodable, "lossy.nothing".to_owned())]);
}

#[tokio::test]
async fn who_waits_in_another_process_goes_on() {
    static GATE: Gate = Gate::new();
    static RUNS: Runs = Runs::new();
    #[cached]
    async fn find() -> User {
        RUNS.add();
        GATE.pass().await;
        user("ann")
    }
    let processes = Processes::new();
    let (here, there) = (processes.one(), processes.one());
    let first = tokio::spawn(async move { here.with(find()).await });
    GATE.arrival().await;
    let second = tokio::spawn(async move { there.with(find()).await });
    tokio::task::yield_now().await;
    assert_eq!(RUNS.get(), 1, "the other process waits for the lease");
    GATE.open(1);
    assert_eq!(first.await.unwrap(), user("ann"));
    GATE.arrival().await;
    GATE.open(1);
    assert_eq!(second.await.unwrap(), user("ann"));
    assert_eq!((RUNS.get(), processes.entries()), (2, 0));
}

/// A result that replaces another one does so, though it can't be stored itself.
#[test]
fn what_replaces_an_entry_takes_it_away() {
    #[cached(helpers = [refresh, prime])]
    fn find(name: &str) -> User {
        static RUNS: Runs = Runs::new();
        User { name: name.to_owned(), password_hash: RUNS.add() as u64 - 1 }
    }
    let processes = Processes::new();
    let (here, there) = (processes.one(), processes.one());
    assert_eq!(here.with_sync(|| find("ann")).password_hash, 0);
    assert_eq!(processes.entries(), 1);
    assert_eq!(here.with_sync(|| refresh_find("ann")).password_hash, 1);
    assert_eq!(processes.entries(), 0);
    assert_eq!(here.with_sync(|| find("ann")).password_hash, 1, "it is in memory");
    assert_eq!(there.with_sync(|| find("ann")).password_hash, 2);
    here.with_sync(|| prime_find("ann", User { password_hash: 70, ..user("ann") })).unwrap();
    assert_eq!((here.with_sync(|| find("ann")).password_hash, processes.entries()), (70, 0));
}

#[test]
fn without_a_backend_nothing_is_encoded() {
    #[derive(Clone, Debug)]
    struct Untouched;
    impl PartialEq for Untouched {
        fn eq(&self, _: &Self) -> bool {
            panic!("it is compared")
        }
    }
    impl Serialize for Untouched {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            panic!("it is encoded")
        }
    }
    impl<'de> Deserialize<'de> for Untouched {
        fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            panic!("it is decoded")
        }
    }
    #[cached]
    fn untouched(id: u64) -> Untouched {
        let _ = id;
        Untouched
    }
    let cache = crate::support::cache();
    cache.with_sync(|| (untouched(1), untouched(2)));
    let stats = stats_of(&cache, "untouched");
    assert_eq!((stats.lossy, stats.encode_errors, stats.panics), (0, 0, 0));
}

#[test]
fn a_hook_may_do_what_it_likes() {
    #[cached]
    fn setting() -> u64 {
        5
    }
    #[cached(name = "lossy.hooked")]
    fn find(name: &str) -> User {
        user(name)
    }
    static SEEN: Runs = Runs::new();
    let known: Arc<Mutex<Option<Cache>>> = Arc::default();
    let cache = Cache::builder()
        .backend(SharedMemory::new())
        .on_report({
            let known = Arc::clone(&known);
            move |report| {
                SEEN.add();
                let cache = known.lock().unwrap().clone().unwrap();
                // Counted before it is reported.
                assert_eq!(stats_of(&cache, &report.function).lossy, 1);
                // Of the very key that is being stored.
                assert_eq!(cache.with_sync(|| (setting(), find("ann"))), (5, user("ann")));
                panic!("it was told")
            }
        })
        .build()
        .unwrap();
    *known.lock().unwrap() = Some(cache.clone());
    assert_eq!(cache.with_sync(|| (find("ann"), find("bob"))), (user("ann"), user("bob")));
    assert_eq!((SEEN.get(), stats_of(&cache, "lossy.hooked").lossy), (1, 2));
    *known.lock().unwrap() = None;
}

/// What a run depends on isn't changed by looking at what it came to.
#[test]
fn a_type_that_calls_cached_functions_when_it_is_decoded() {
    static RUNS: Runs = Runs::new();
    static OTHERS: Runs = Runs::new();
    #[cached(tags = ["lossy.other"])]
    fn other() -> u64 {
        OTHERS.add() as u64
    }
    #[derive(Clone, Debug, Serialize)]
    struct Calling(u64);
    impl PartialEq for Calling {
        fn eq(&self, them: &Self) -> bool {
            other();
            self.0 == them.0
        }
    }
    impl<'de> Deserialize<'de> for Calling {
        fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            other();
            calling();
            u64::deserialize(from).map(Self)
        }
    }
    #[cached]
    fn calling() -> Calling {
        RUNS.add();
        Calling(1)
    }
    let processes = Processes::new();
    let cache = processes.one();
    assert_eq!(cache.with_sync(calling), Calling(1));
    assert_eq!(processes.entries(), 1);
    let runs = RUNS.get();
    cache.with_sync(|| larder::blocking::invalidate_tag("lossy.other")).unwrap();
    assert_eq!((cache.with_sync(calling), RUNS.get()), (Calling(1), runs), "it depends on nothing");
}

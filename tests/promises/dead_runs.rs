//! Promises 1 and 2 across processes: a run that is known to be dead, as something it depends on was invalidated, holds up
//! nobody who calls after that, wherever they call; and what it returns is stored nowhere.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use larder::backend::{
    Backend, BoxFuture, Busy, Entry, EntryKey, Lease, LeaseAnswer, LeaseRequest, ListenerHandle, Reading, Stamp,
    StoreAnswer, TagId,
};
use larder::reference::SharedMemory;
use larder::{Cache, Error, cached};

use crate::support::{Gate, Runs, block_on, poll_once, two_processes, without_memory};

/// Whoever waits for longer waits for the run.
const SOON: Duration = Duration::from_secs(20);

async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, work).await.unwrap_or_else(|_| panic!("{what} waits for the dead run"))
}

/// How long it stays as it is when nothing is to happen.
const A_WHILE: Duration = Duration::from_millis(200);

#[tokio::test]
async fn a_call_after_an_invalidation_runs_at_once_wherever_it_is_made() {
    static RUNS: Runs = Runs::new();
    static GATE: LazyLock<Gate> = LazyLock::new(Gate::new);
    #[cached(tags = ["data"])]
    async fn slow() -> usize {
        let run = RUNS.begin();
        if run.number % 2 == 1 {
            GATE.pass().await;
        }
        run.number
    }
    let (here, there, shared) = two_processes();
    let reader = without_memory(&shared);
    let mut expected = 0;
    for (by, caller) in [(&here, &there), (&there, &there), (&here, &here), (&there, &here)] {
        let mut dead = Box::pin(here.with(slow()));
        assert!(poll_once(&mut dead).await.is_none());
        // Who waits already is let in too.
        let mut waiter = Box::pin(there.with(slow()));
        assert!(poll_once(&mut waiter).await.is_none());
        by.invalidate_tag("data").await.unwrap();
        expected += 2;
        let both = async { tokio::join!(caller.with(slow()), waiter) };
        assert_eq!(soon("a later call", both).await, (expected, expected));
        GATE.open(1);
        assert_eq!(dead.await, expected - 1, "whoever asked before may get it");
        for cache in [&here, &there, &reader] {
            assert_eq!(cache.with(slow()).await, expected, "the dead run's value was stored");
        }
        reader.invalidate_tag("data").await.unwrap();
    }
    assert_eq!((RUNS.count(), RUNS.most_at_once()), (8, 2));
    assert_eq!(shared.usage().leases, 0);
}

/// What the run has used so far counts as well as its own tags, and so do those that it adds.
#[tokio::test]
async fn a_run_is_dead_by_what_it_has_used_so_far() {
    static GATE: LazyLock<Gate> = LazyLock::new(Gate::new);
    static HANGS: AtomicBool = AtomicBool::new(true);
    #[cached(tags = ["leaf"])]
    async fn leaf() -> u32 {
        1
    }
    #[cached(local, tags = ["unshared"])]
    async fn unshared() -> u32 {
        2
    }
    #[cached]
    async fn page() -> u32 {
        larder::add_tag("added");
        let value = leaf().await + unshared().await;
        if HANGS.load(Ordering::SeqCst) {
            GATE.pass().await;
        }
        value
    }
    let (here, there, _shared) = two_processes();
    for tag in ["leaf", "unshared", "added"] {
        HANGS.store(true, Ordering::SeqCst);
        let mut dead = Box::pin(here.with(page()));
        assert!(poll_once(&mut dead).await.is_none());
        there.invalidate_tag(tag).await.unwrap();
        HANGS.store(false, Ordering::SeqCst);
        assert_eq!(soon(tag, there.with(page())).await, 3, "{tag}");
        GATE.open(1);
        assert_eq!(dead.await, 3);
        there.reset().await.unwrap();
    }
}

/// What it waits for counts too, though its run hasn't ended: it will have used that.
#[tokio::test]
async fn a_run_is_dead_by_what_the_runs_depend_on_that_it_waits_for() {
    static GATE: LazyLock<Gate> = LazyLock::new(Gate::new);
    static HANGS: AtomicBool = AtomicBool::new(true);
    #[cached(local, tags = ["unshared"])]
    async fn unshared() -> u32 {
        if HANGS.load(Ordering::SeqCst) {
            GATE.pass().await;
        }
        1
    }
    #[cached(tags = ["shared"])]
    async fn shared() -> u32 {
        unshared().await + 1
    }
    #[cached(tags = ["page"])]
    async fn page() -> u32 {
        shared().await + 1
    }
    let (here, there, _shared) = two_processes();
    for tag in ["unshared", "shared"] {
        HANGS.store(true, Ordering::SeqCst);
        let mut dead = Box::pin(here.with(page()));
        assert!(poll_once(&mut dead).await.is_none());
        there.invalidate_tag(tag).await.unwrap();
        HANGS.store(false, Ordering::SeqCst);
        assert_eq!(soon(tag, there.with(page())).await, 3, "{tag}");
        GATE.open(1);
        assert_eq!(dead.await, 3);
        there.reset().await.unwrap();
    }
    // But a run that is live below a dead one is waited for.
    HANGS.store(true, Ordering::SeqCst);
    let mut dead = Box::pin(here.with(page()));
    assert!(poll_once(&mut dead).await.is_none());
    there.invalidate_tag("page").await.unwrap();
    let mut waiter = Box::pin(there.with(page()));
    assert!(tokio::time::timeout(A_WHILE, &mut waiter).await.is_err());
    GATE.open(1);
    assert_eq!((dead.await, waiter.await), (3, 3));
}

/// What it comes to use that is dead already.
#[tokio::test]
async fn a_run_that_uses_what_is_dead_is_dead() {
    static GATE: LazyLock<Gate> = LazyLock::new(Gate::new);
    static END: LazyLock<Gate> = LazyLock::new(Gate::new);
    static ENDS: AtomicBool = AtomicBool::new(false);
    #[cached(local, tags = ["leaf"])]
    async fn leaf() -> u32 {
        if !ENDS.load(Ordering::SeqCst) {
            GATE.pass().await;
        }
        1
    }
    #[cached]
    async fn page() -> u32 {
        let value = leaf().await;
        if !ENDS.load(Ordering::SeqCst) {
            END.pass().await;
        }
        value
    }
    let (here, there, _shared) = two_processes();
    let mut dead = Box::pin(here.with(page()));
    assert!(poll_once(&mut dead).await.is_none());
    here.invalidate_tag("leaf").await.unwrap();
    GATE.open(1);
    assert!(poll_once(&mut dead).await.is_none());
    ENDS.store(true, Ordering::SeqCst);
    assert_eq!(soon("the other process", there.with(page())).await, 1);
    END.open(1);
    assert_eq!(dead.await, 1);
}

#[tokio::test]
async fn other_invalidations_let_nobody_in() {
    static RUNS: Runs = Runs::new();
    static GATE: LazyLock<Gate> = LazyLock::new(Gate::new);
    #[cached(tags = ["data"])]
    async fn slow() -> usize {
        let run = RUNS.begin();
        GATE.pass().await;
        run.number
    }
    let (here, there, _shared) = two_processes();
    let mut leader = Box::pin(here.with(slow()));
    let mut waiter = Box::pin(there.with(slow()));
    assert!(poll_once(&mut leader).await.is_none() && poll_once(&mut waiter).await.is_none());
    for cache in [&here, &there] {
        cache.invalidate_tags(["other", "another"]).await.unwrap();
    }
    assert!(tokio::time::timeout(A_WHILE, &mut waiter).await.is_err());
    assert_eq!(RUNS.count(), 1);
    GATE.open(1);
    assert_eq!((leader.await, waiter.await), (1, 1));
}

/// A sync function has nothing to be woken by while its body runs: the leases are given up all the same.
#[tokio::test]
async fn a_dead_run_of_a_sync_function_holds_up_nobody() {
    static RUNS: Runs = Runs::new();
    static GATE: LazyLock<Gate> = LazyLock::new(Gate::new);
    #[cached(tags = ["data"])]
    fn slow() -> usize {
        let run = RUNS.begin();
        if run.number == 1 {
            block_on(GATE.pass());
        }
        run.number
    }
    let (here, there, _shared) = two_processes();
    let dead = std::thread::spawn(move || here.with_sync(slow));
    GATE.arrival().await;
    there.invalidate_tag("data").await.unwrap();
    let call = tokio::task::spawn_blocking(move || there.with_sync(slow));
    assert_eq!(soon("the other process", call).await.unwrap(), 2);
    GATE.open(1);
    assert_eq!(dead.join().unwrap(), 1);
}

/// What is done, and by which thread.
type Seen = Arc<Mutex<Vec<(&'static str, Option<String>)>>>;

/// A backend whose leases say what is done with them, and by whom.
#[derive(Debug)]
struct Watched {
    shared: SharedMemory,
    seen: Seen,
    keeps: bool,
}

#[derive(Debug)]
struct Observed {
    inner: Option<Box<dyn Lease>>,
    seen: Seen,
    keeps: bool,
}

impl Observed {
    fn note(&self, what: &'static str) {
        self.seen.lock().unwrap().push((what, std::thread::current().name().map(str::to_owned)));
    }
}

impl Lease for Observed {
    fn stamp(&self) -> Stamp {
        self.inner.as_ref().unwrap().stamp()
    }
    fn give_up(&self) -> bool {
        self.note("given up");
        assert!(self.keeps, "a backend may panic");
        true
    }
    fn into_any(mut self: Box<Self>) -> Box<dyn std::any::Any + Send + Sync> {
        self.inner.take().unwrap().into_any()
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        if self.inner.is_some() {
            self.note("dropped");
        }
    }
}

impl Backend for Watched {
    larder_testbed::left_to!(shared: read wait invalidate known_stamp attach max_staleness close);

    fn name(&self) -> &str {
        "watched"
    }
    fn lease<'a>(&'a self, key: &'a EntryKey, request: LeaseRequest<'a>) -> BoxFuture<'a, Result<LeaseAnswer, Error>> {
        Box::pin(async move {
            Ok(match self.shared.lease(key, request).await? {
                LeaseAnswer::Granted(lease) => LeaseAnswer::Granted(Box::new(Observed {
                    inner: Some(lease),
                    seen: Arc::clone(&self.seen),
                    keeps: self.keeps,
                })),
                other => other,
            })
        })
    }
    fn store<'a>(
        &'a self,
        key: &'a EntryKey,
        lease: Box<dyn Lease>,
        entry: Entry,
    ) -> BoxFuture<'a, Result<StoreAnswer, Error>> {
        self.seen.lock().unwrap().push(("stored", None));
        self.shared.store(key, lease, entry)
    }
}

/// Only once; not by whoever invalidates, whom it may cost no time; and what the backend wants to keep is dropped at the end.
#[tokio::test]
async fn leases_are_given_up_once_and_dropped_when_the_run_is_over() {
    static GATE: LazyLock<Gate> = LazyLock::new(Gate::new);
    #[cached(tags = ["data"])]
    async fn slow(key: u32) -> u32 {
        GATE.pass().await;
        key
    }
    let seen = Arc::default();
    let backend = |keeps| Watched { shared: SharedMemory::new(), seen: Arc::clone(&seen), keeps };
    // Its panic is nobody else's.
    let broken = Cache::builder().backend(backend(false)).build().unwrap();
    let cache = Cache::builder().backend(backend(true)).build().unwrap();
    let mut lost = Box::pin(broken.with(slow(0)));
    let mut dead = Box::pin(cache.with(slow(1)));
    assert!(poll_once(&mut lost).await.is_none() && poll_once(&mut dead).await.is_none());
    let taken = || std::mem::take(&mut *seen.lock().unwrap());
    let next = async |count| {
        let until = Instant::now() + SOON;
        while seen.lock().unwrap().len() < count {
            assert!(Instant::now() < until, "nothing is given up");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        taken()
    };
    let by_the_looker = |what| (what, Some("larder-leases".to_owned()));
    broken.invalidate_tag("data").await.unwrap();
    assert_eq!(next(2).await, [by_the_looker("given up"), by_the_looker("dropped")]);
    for _ in 0..3 {
        cache.invalidate_tag("data").await.unwrap();
    }
    assert_eq!(next(1).await, [by_the_looker("given up")]);
    cache.invalidate_tag("data").await.unwrap();
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(taken(), []);
    GATE.open(2);
    assert_eq!((lost.await, dead.await), (0, 1));
    let ends = taken();
    assert!(matches!(&*ends, [("dropped", Some(thread))] if thread != "larder-leases"), "{ends:?}");
}

/// An invalidation costs the same whatever is under way.
#[tokio::test]
async fn invalidations_don_t_look_for_dead_runs_themselves() {
    static GATE: LazyLock<Gate> = LazyLock::new(Gate::new);
    #[cached(tags = ["data"])]
    async fn slow(key: usize) -> usize {
        GATE.pass().await;
        key
    }
    const RUNS: usize = 2_000;
    const TIMES: u32 = 2_000;
    let (here, _there, shared) = two_processes();
    let taken = async || {
        let began = Instant::now();
        for _ in 0..TIMES {
            here.invalidate_tag("other").await.unwrap();
        }
        began.elapsed()
    };
    taken().await;
    let without = taken().await;
    let mut calls: Vec<_> = (0..RUNS).map(|key| Box::pin(here.with(slow(key)))).collect();
    for call in &mut calls {
        assert!(poll_once(call).await.is_none());
    }
    assert_eq!(shared.usage().leases, RUNS);
    let with = taken().await;
    // Looking at all of them each time would take some hundred times as long.
    assert!(with < without * 20 + Duration::from_millis(200), "{without:?}, with runs {with:?}");
    here.invalidate_tag("data").await.unwrap();
    let until = Instant::now() + SOON;
    while shared.usage().leases > 0 {
        assert!(Instant::now() < until, "{} leases are still held", shared.usage().leases);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    GATE.open(RUNS);
    for call in calls {
        call.await;
    }
}

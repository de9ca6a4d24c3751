//! A hit allocates nothing but what cloning the value does. The values here are numbers and `Arc`s, whose clones don't.
//! No test here invalidates anything: the first hit after that checks anew, for all of a process's tests.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use allocation_counter::measure;
use larder::{Cache, cached};

/// So often are the keys asked for before it counts.
const WARM: u64 = 5_000;
const HITS: u64 = 10_000;
const KEYS: u64 = 64;

/// One test at a time: what another thread stores may be of the same part of all caches, and then the next hit looks into the
/// store again, and copies its key.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asks for a few keys many times, and for those it has asked for before doesn't allocate.
#[track_caller]
fn hits_allocate_nothing<R>(ask: impl Fn(u64) -> R) {
    let _alone = alone();
    let all = |times: u64| (0..times).for_each(|time| drop(ask(time % KEYS)));
    all(WARM);
    check(measure(|| all(HITS)).count_total);
}

#[track_caller]
fn check(allocations: u64) {
    assert_eq!(allocations, 0, "by {HITS} hits");
}

#[test]
fn number() {
    #[cached(max_entries = 100)]
    fn double(id: u64) -> u64 {
        2 * id
    }
    hits_allocate_nothing(double);
}

#[test]
fn number_with_ttl() {
    #[cached(max_entries = 100, ttl = "1h")]
    fn double(id: u64) -> u64 {
        2 * id
    }
    hits_allocate_nothing(double);
}

#[test]
fn no_bound() {
    #[cached]
    fn double(id: u64) -> u64 {
        2 * id
    }
    hits_allocate_nothing(double);
}

#[test]
fn text_and_number() {
    #[cached(max_entries = 100)]
    fn length(name: &str, id: u64) -> u64 {
        name.len() as u64 + id
    }
    hits_allocate_nothing(|id| length("a name", id));
}

#[test]
fn optional_text() {
    #[cached(max_entries = 100)]
    fn length(name: Option<&str>, id: u64) -> Option<u64> {
        Some(name?.len() as u64 + id)
    }
    let name = |id: u64| id.is_multiple_of(2).then_some("a name");
    hits_allocate_nothing(|id| length(name(id), id));
}

#[test]
fn slice() {
    #[cached(max_entries = 100)]
    fn sum(numbers: &[u32]) -> Arc<[u32]> {
        numbers.iter().map(|number| number + 1).collect()
    }
    hits_allocate_nothing(|id| sum(&[1, 2, id as u32]));
}

#[test]
fn typed_part_of_a_local_function() {
    #[derive(Clone, PartialEq, Eq, Hash)]
    struct Id(u64);

    #[cached(max_entries = 100, local)]
    fn double(id: &Id) -> Arc<u64> {
        Arc::new(2 * id.0)
    }
    hits_allocate_nothing(|id| double(&Id(id)));
}

#[test]
fn argument_that_serde_writes() {
    #[derive(serde::Serialize)]
    struct Query<'a> {
        name: &'a str,
        id: u64,
    }

    #[cached(max_entries = 100)]
    fn length(query: &Query<'_>) -> u64 {
        query.name.len() as u64 + query.id
    }
    hits_allocate_nothing(|id| length(&Query { name: "a name", id }));
}

#[test]
fn ok_of_a_result() {
    #[cached(max_entries = 100)]
    fn double(id: u64) -> Result<Arc<u64>, String> {
        Ok(Arc::new(2 * id))
    }
    hits_allocate_nothing(double);
}

#[test]
fn method() {
    struct Numbers {
        factor: u64,
    }

    impl Numbers {
        #[cached(max_entries = 100, key = (self.factor, id))]
        fn product(&self, id: u64) -> u64 {
            self.factor * id
        }
    }
    let numbers = Numbers { factor: 3 };
    hits_allocate_nothing(|id| numbers.product(id));
}

#[test]
fn async_number() {
    #[cached(max_entries = 100)]
    async fn double(id: u64) -> u64 {
        2 * id
    }
    let ask = |times: u64| async move {
        for time in 0..times {
            double(time % KEYS).await;
        }
    };
    let _alone = alone();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let count = runtime.block_on(async {
        ask(WARM).await;
        // Polled by hand: a hit is ready at once.
        let mut hits = std::pin::pin!(ask(HITS));
        let mut waiting = std::task::Context::from_waker(std::task::Waker::noop());
        measure(|| assert!(hits.as_mut().poll(&mut waiting).is_ready())).count_total
    });
    check(count);
}

#[test]
fn tags() {
    #[cached(max_entries = 100, tags = ["numbers", ("number", id), "number:{id}"])]
    fn double(id: u64) -> u64 {
        2 * id
    }
    hits_allocate_nothing(double);
}

#[test]
fn scope_option() {
    #[cached(max_entries = 100, scope = tenant, key = id)]
    fn length(tenant: &str, id: u64) -> u64 {
        tenant.len() as u64 + id
    }
    hits_allocate_nothing(|id| length("tenant", id));
}

#[test]
fn within_a_scope() {
    #[cached(max_entries = 100)]
    fn double(id: u64) -> u64 {
        2 * id
    }
    larder::with_scope_sync("tenant", || hits_allocate_nothing(double));
}

#[test]
fn within_a_cache() {
    #[cached]
    fn double(id: u64) -> u64 {
        2 * id
    }
    let cache = Cache::builder().build().unwrap();
    cache.with_sync(|| hits_allocate_nothing(double));
}

#[test]
fn inside_a_run() {
    #[cached(max_entries = 100)]
    fn double(id: u64) -> u64 {
        2 * id
    }
    #[cached(max_entries = 100)]
    fn total(hits: u64) -> u64 {
        (0..hits).map(|id| double(id % KEYS)).sum()
    }
    hits_allocate_nothing(double);
    let _alone = alone();
    let of_run = |hits| measure(|| assert!(total(hits) > 0)).count_total;
    of_run(2);
    // The list of what the run used grows a few times; that is all that many hits cost more than few.
    let (few, many) = (of_run(KEYS), of_run(HITS));
    assert!(many <= few + 8, "a run with {KEYS} hits allocates {few} times, one with {HITS} hits {many} times");
}

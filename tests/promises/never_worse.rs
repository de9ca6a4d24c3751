//! Promise 3: no fault of the cache makes a function fail or hang, and what a body returned is always returned.

use std::time::Duration;

use larder::reference::SharedMemory;
use larder::{Cache, Clock, ErrorKind, cached, invalidate_tag};
use serde::{Deserialize, Serialize};

use crate::support::{Runs, block_on, cache, in_time, poll_once, two_processes, without_memory};

#[tokio::test]
async fn a_backend_that_fails_costs_runs_and_nothing_else() {
    static RUNS: Runs = Runs::new();
    #[cached(tags = ["data"])]
    async fn read() -> usize {
        RUNS.begin().number
    }
    let shared = SharedMemory::new();
    let process = shared.another_process();
    let cache = Cache::builder().without_memory().backend(process.clone()).build().unwrap();
    assert_eq!((cache.with(read()).await, cache.with(read()).await), (1, 1));
    for kind in [ErrorKind::Unavailable, ErrorKind::Refused, ErrorKind::Closed] {
        process.fail_with(Some(kind));
        let before = RUNS.count();
        assert_eq!(cache.with(read()).await, before + 1);
        assert_eq!(cache.with(read()).await, before + 2);
        process.fail_with(None);
        assert_eq!(cache.with(read()).await, 1, "the entry is still there");
    }
    assert!(cache.stats().function("read").unwrap().backend_errors >= 6);
}

#[tokio::test]
async fn an_invalidation_that_isn_t_recorded_is_an_error_and_clears_this_process() {
    static RUNS: Runs = Runs::new();
    #[cached(tags = ["data"])]
    async fn read() -> usize {
        RUNS.begin().number
    }
    let shared = SharedMemory::new();
    let process = shared.another_process();
    let cache = Cache::builder().backend(process.clone()).build().unwrap();
    assert_eq!(cache.with(read()).await, 1);
    process.fail_with(Some(ErrorKind::Unavailable));
    let error = cache.with(invalidate_tag("data")).await.unwrap_err();
    assert!(error.is_transient());
    assert!(error.to_string().contains("repeat it until it succeeds"), "{error}");
    assert_eq!(cache.with(read()).await, 2, "memory is clear");
    // Nothing repeats it: the backend still has what it is to end.
    process.fail_with(None);
    let other = Cache::builder().backend(shared.another_process()).build().unwrap();
    assert_eq!(other.with(read()).await, 1);
    cache.with(invalidate_tag("data")).await.unwrap();
    assert_eq!(other.with(read()).await, 3);
    assert_eq!(cache.with(read()).await, 3);
}

/// What is refused now is refused again, and what is closed stays so.
#[tokio::test]
async fn what_to_do_about_an_invalidation_that_isn_t_recorded_depends_on_why() {
    let process = SharedMemory::new().another_process();
    let cache = Cache::builder().backend(process.clone()).build().unwrap();
    for (kind, advice, not) in [
        (ErrorKind::Unavailable, "by itself: repeat it until it succeeds", "mended"),
        (ErrorKind::Refused, "once that is mended, repeat it until it succeeds", "new cache"),
        (ErrorKind::Closed, "it never succeeds, so repeat it with a new cache", "until"),
    ] {
        process.fail_with(Some(kind));
        let error = cache.invalidate_tag("data").await.unwrap_err();
        assert_eq!(error.kind(), kind);
        let text = error.to_string();
        assert!(text.contains(advice) && !text.contains(not), "{text}");
    }
}

#[tokio::test]
async fn damaged_entries_are_misses() {
    static RUNS: Runs = Runs::new();
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Value {
        text: String,
        number: u64,
    }
    #[cached]
    async fn read() -> Value {
        Value { text: "some text".into(), number: RUNS.begin().number as u64 }
    }
    let shared = SharedMemory::new();
    let cache = without_memory(&shared);
    let damages: [fn(&mut Vec<u8>); 5] = [
        |bytes| bytes.clear(),
        |bytes| bytes.truncate(bytes.len() / 2),
        |bytes| bytes.reverse(),
        |bytes| *bytes.last_mut().unwrap() ^= 1,
        |bytes| bytes.extend_from_slice(b"more"),
    ];
    for (number, damage) in damages.into_iter().enumerate() {
        assert_eq!(cache.with(read()).await.number, number as u64 + 1);
        assert_eq!(cache.with(read()).await.number, number as u64 + 1, "stored");
        shared.corrupt(damage);
    }
    assert_eq!(cache.with(read()).await.number, 6);
}

#[tokio::test]
async fn arguments_that_can_t_be_a_key_run_uncached_and_are_counted() {
    static RUNS: Runs = Runs::new();
    struct Stubborn;
    impl Serialize for Stubborn {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("I'd rather not"))
        }
    }
    #[cached]
    async fn read(key: &Stubborn) -> usize {
        let _ = key;
        RUNS.begin().number
    }
    let cache = cache();
    assert_eq!((cache.with(read(&Stubborn)).await, cache.with(read(&Stubborn)).await), (1, 2));
    assert_eq!(cache.stats().function("read").unwrap().key_errors, 2);
    let error = cache.with(invalidate_read(&Stubborn)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Key);
    assert!(error.to_string().contains("read"), "{error}");
}

#[tokio::test]
async fn values_that_can_t_be_encoded_are_returned_all_the_same() {
    static RUNS: Runs = Runs::new();
    #[derive(Clone, Deserialize)]
    struct Stubborn(usize);
    impl Serialize for Stubborn {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("I'd rather not"))
        }
    }
    #[cached]
    async fn read() -> Stubborn {
        Stubborn(RUNS.begin().number)
    }
    let (here, there, _shared) = two_processes();
    assert_eq!(here.with(read()).await.0, 1);
    assert_eq!(here.with(read()).await.0, 1, "from memory");
    assert_eq!(there.with(read()).await.0, 2);
    let stats = here.stats().function("read").unwrap().clone();
    assert_eq!((stats.encode_errors, stats.key_errors, stats.backend_errors, stats.stored), (1, 0, 0, 1));
}

/// Runs in the background are the runtime's, whose thread may wait for them: there is nothing to wait for without a cache.
mod a_runtime_whose_only_thread_waits {
    use super::*;

    /// On a thread that is a runtime's, and is held up.
    fn held_up(cache: &Cache, calls: impl FnOnce()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            cache.with_sync(calls);
            while cache.stats().flights > 0 {
                tokio::task::yield_now().await;
            }
            tokio::task::yield_now().await;
        });
    }

    #[test]
    fn for_a_renewal() {
        static RUNS: Runs = Runs::new();
        #[cached(ttl = "1s", stale_while_revalidate = "1s", tags = ["renewal"], helpers = [prime])]
        async fn read() -> usize {
            RUNS.begin().number
        }
        in_time(|| {
            let clock = Clock::manual();
            let cache = Cache::builder().clock(&clock).build().unwrap();
            let is_due = |number| {
                clock.advance(Duration::from_secs(1));
                assert_eq!(block_on(read()), number, "the old one, while nobody is at the next");
            };
            held_up(&cache, || {
                assert_eq!(block_on(read()), 1);
                is_due(1);
                clock.advance(Duration::from_secs(1));
                assert_eq!(block_on(read()), 2, "it is too old");
                is_due(2);
                larder::blocking::invalidate_tag("renewal").unwrap();
                assert_eq!(block_on(read()), 3, "it is invalidated");
                is_due(3);
                assert_eq!(block_on(larder::refreshing(read())), 4);
                is_due(4);
                block_on(prime_read(70)).unwrap();
                assert_eq!(block_on(read()), 70);
            });
            assert_eq!(RUNS.count(), 4, "nobody has waited for the others");
            assert_eq!(cache.stats().function("read").unwrap().background, 4);
        });
    }

    #[test]
    fn for_a_while() {
        static RUNS: Runs = Runs::new();
        #[cached(ttl = "1s", stale_if_error = "1s", timeout = "10ms", tags = ["while"])]
        async fn read() -> Result<usize, String> {
            let run = RUNS.begin();
            crate::support::give_way().await;
            Ok(run.number)
        }
        in_time(|| {
            let clock = Clock::manual();
            let cache = Cache::builder().clock(&clock).build().unwrap();
            held_up(&cache, || {
                assert_eq!(block_on(read()), Ok(1));
                clock.advance(Duration::from_secs(1));
                let mut call = Box::pin(read());
                assert_eq!(block_on(poll_once(&mut call)), None);
                assert_eq!(block_on(read()), Ok(1), "the old one");
                larder::blocking::invalidate_tag("while").unwrap();
                assert_eq!(block_on(call), Ok(2), "it is invalidated");
            });
            assert_eq!(RUNS.count(), 2);
        });
    }
}

#[tokio::test]
async fn panics_in_options_leave_the_key_usable() {
    static RUNS: Runs = Runs::new();
    #[cached(cache_if = |value| { assert_ne!(*value, 1, "the option panics"); true })]
    async fn read() -> usize {
        RUNS.begin().number
    }
    let cache = cache();
    let first = tokio::spawn({
        let cache = cache.clone();
        async move { cache.with(read()).await }
    });
    assert!(first.await.unwrap_err().is_panic());
    assert_eq!(cache.with(read()).await, 2);
    assert_eq!(cache.with(read()).await, 2);
}

/// What a type looks like is found out by its own code, which may call anything.
#[test]
fn a_type_that_calls_the_function_when_it_is_read() {
    #[derive(Clone, Debug, PartialEq, serde::Serialize)]
    struct Node(u64);
    impl<'de> Deserialize<'de> for Node {
        fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            let id = u64::deserialize(from)?;
            if id > 0 {
                node(id - 1);
            }
            Ok(Self(id))
        }
    }
    #[larder::cached]
    fn node(id: u64) -> Node {
        Node(id)
    }
    let shared = SharedMemory::new();
    for _ in 0..2 {
        assert_eq!(without_memory(&shared).with_sync(|| node(3)), Node(3));
    }
}

//! `at_least` in one process: tokens, and calls that may not be answered from memory. `tests/processes` has it with Redis.

use larder::{Invalidated, at_least, at_least_sync, blocking, cached};

use crate::support::{Runs, block_on, cache};

#[test]
fn without_backends_there_is_nothing_to_wait_for() {
    static RUNS: Runs = Runs::new();
    #[cached(tags = ["number"])]
    fn number() -> usize {
        RUNS.add()
    }
    cache().with_sync(|| {
        assert_eq!(number(), 1);
        let token = blocking::invalidate_tag("number").unwrap();
        assert!(token.is_empty() && token.to_string().is_empty());
        assert_eq!(at_least_sync(&token, number), 2);
        for token in ["", "other:7", "other:18446744073709551615~another:1"] {
            let token: Invalidated = token.parse().unwrap();
            assert_eq!((at_least_sync(&token, number), block_on(at_least(&token, async { number() }))), (2, 2));
        }
    });
}

#[test]
fn every_invalidation_gives_one() {
    #[cached(tags = ["number"])]
    fn number(id: u64) -> u64 {
        id
    }
    #[cached(scope = "tenant")]
    async fn later(id: u64) -> u64 {
        id
    }
    let cache = cache();
    cache.with_sync(|| {
        let sync: [Invalidated; 4] = [
            blocking::invalidate_tags(["a", "b"]).unwrap(),
            blocking::clear("tenant").unwrap(),
            invalidate_number(1).unwrap(),
            invalidate_all_number().unwrap(),
        ];
        let of_later: [Invalidated; 3] = block_on(async {
            let scope = larder::Scope::new("tenant");
            [
                invalidate_later(1).await.unwrap(),
                invalidate_all_later().await.unwrap(),
                scope.invalidate_tag("a").await.unwrap(),
            ]
        });
        assert!(sync.iter().chain(&of_later).all(Invalidated::is_empty));
        assert!(block_on(cache.reset()).unwrap().is_empty());
        let _ = (number(1), block_on(later(1)));
    });
}

#[cfg(feature = "msgpack")]
mod with_a_backend {
    use larder::reference::SharedMemory;
    use larder::{Cache, ErrorKind, Source, observe_sync};

    use super::*;
    use crate::support::Gate;

    /// A backend that never knows whether its process has caught up.
    fn unsure() -> (SharedMemory, Cache) {
        let store = SharedMemory::new();
        let cache = Cache::builder().backend(store.clone()).build().unwrap();
        (store, cache)
    }

    /// Of another store: nobody can say whether memory knows of it.
    fn of_elsewhere() -> Invalidated {
        "elsewhere:7".parse().unwrap()
    }

    #[test]
    fn what_is_known_here_is_answered_from_memory() {
        #[cached(tags = ["number"])]
        fn number() -> u64 {
            1
        }
        let (_store, cache) = unsure();
        cache.with_sync(|| {
            number();
            let token = blocking::invalidate_tag("another").unwrap();
            assert!(!token.is_empty());
            assert_eq!(at_least_sync(&token, || observe_sync(number)).source, Source::Memory);
            let both = token.and(of_elsewhere());
            assert_eq!(at_least_sync(&both, || observe_sync(number)).source, Source::Memory);
        });
    }

    #[test]
    fn what_is_not_known_is_asked_of_the_backend() {
        static RUNS: Runs = Runs::new();
        #[cached]
        fn child() -> usize {
            RUNS.add()
        }
        #[cached(local)]
        fn parent() -> usize {
            child()
        }
        let (_store, cache) = unsure();
        cache.with_sync(|| {
            child();
            let token = of_elsewhere();
            for _ in 0..2 {
                assert_eq!(at_least_sync(&token, || observe_sync(child)).source, Source::Backend);
            }
            assert_eq!(observe_sync(child).source, Source::Memory, "other calls are answered as ever");
            parent();
            let seen = at_least_sync(&token, || observe_sync(parent));
            assert_eq!((seen.value, seen.source), (1, Source::Ran), "it is in memory alone");
            assert_eq!(RUNS.get(), 1, "what the body calls is asked of the backend as well");
            let bypassed = larder::without_cache_sync(|| at_least_sync(&token, || observe_sync(child)));
            assert_eq!(bypassed.source, Source::Uncached);
            let refreshed = larder::refreshing_sync(|| at_least_sync(&token, child));
            assert_eq!((refreshed, RUNS.get()), (3, 3));
        });
    }

    #[test]
    fn where_the_backend_fails_the_body_runs() {
        static RUNS: Runs = Runs::new();
        #[cached]
        fn number() -> usize {
            RUNS.add()
        }
        let (store, cache) = unsure();
        cache.with_sync(|| {
            number();
            store.fail_with(Some(ErrorKind::Unavailable));
            assert_eq!((at_least_sync(&of_elsewhere(), number), number()), (2, 2), "and memory has what it brought");
        });
    }

    /// A run that began before may be of old data, and this process may not know.
    #[tokio::test]
    async fn it_waits_for_no_run_that_began_before() {
        static RUNS: Runs = Runs::new();
        static GATE: Gate = Gate::new();
        #[cached(local)]
        async fn number() -> usize {
            let run = RUNS.add();
            if run == 1 {
                GATE.pass().await;
            }
            run
        }
        let (_store, cache) = unsure();
        let before = tokio::spawn({
            let cache = cache.clone();
            async move { cache.with(number()).await }
        });
        GATE.arrival().await;
        assert_eq!(cache.with(at_least(&of_elsewhere(), number())).await, 2);
        GATE.open(1);
        assert_eq!(before.await.unwrap(), 1);
        assert_eq!(cache.with(number()).await, 2, "the older run's result doesn't replace the newer one's");
    }
}

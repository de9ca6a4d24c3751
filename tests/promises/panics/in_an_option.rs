//! Options that see the result are the function's own code: they fail the call as the body does, and one of those who waited takes
//! over.

use super::*;

/// Two calls, the second of which waits for the first. The option panics for 1.
macro_rules! option {
    ($name:ident: $($option:tt)*) => {
        #[tokio::test]
        async fn $name() {
            static RUNS: Runs = Runs::new();
            #[cached($($option)*)]
            async fn read() -> usize {
                crate::support::give_way().await;
                RUNS.begin().number
            }
            let (here, there, shared) = two_processes();
            let [first, second] = [(); 2].map(|()| {
                let here = here.clone();
                tokio::spawn(async move { here.with(read()).await })
            });
            assert!(first.await.unwrap_err().is_panic());
            assert_eq!(second.await.unwrap(), 2);
            assert_eq!((there.with(read()).await, RUNS.count()), (2, 2));
            assert_eq!((here.stats().flights, shared.usage().leases), (0, 0));
        }
    };
}

fn check(value: &usize) {
    assert_ne!(*value, 1, "it is told to panic");
}

option!(cache_if: cache_if = |value| { check(value); true });
option!(ttl: ttl = |value| { check(value); std::time::Duration::from_secs(60) });
option!(result_tags: result_tags = |value| { check(value); ["panics"] });
option!(weigh: max_bytes = 1_000, weigh = |value| { check(value); 1 });

/// Entries that a backend has are judged as well.
#[test]
fn of_an_entry() {
    static RUNS: Runs = Runs::new();
    static OPTION: Switch = Switch::new();
    #[cached(cache_if = |_| { OPTION.pass(); true })]
    fn read() -> usize {
        RUNS.begin().number
    }
    let shared = SharedMemory::new();
    let cache = without_memory(&shared);
    assert_eq!(cache.with_sync(read), 1);
    OPTION.set(true);
    assert!(std::panic::catch_unwind(|| cache.with_sync(read)).is_err());
    OPTION.set(false);
    assert_eq!((cache.with_sync(read), cache.stats().flights, shared.usage().leases), (1, 0, 0));
}

//! `helpers = [prime]`: store a value that the caller has already.

use larder::cached;

use crate::support::{Runs, cache, seconds, timed};

#[test]
fn it_lives_as_if_it_had_been_returned() {
    static RUNS: Runs = Runs::new();
    #[cached(ttl = "10s", tags = ["prime-own"], result_tags = |v| [("prime-result", *v)], helpers = [prime], skip(log))]
    fn f(id: u64, log: &str) -> usize {
        let _ = (id, log);
        RUNS.add()
    }
    let (cache, clock) = timed();
    cache.with_sync(|| {
        prime_f(1, 70).unwrap();
        assert_eq!((f(1, "a"), RUNS.get()), (70, 0));
        clock.advance(seconds(10));
        assert_eq!(f(1, "a"), 1);
        prime_f(1, 71).unwrap();
        assert_eq!(f(1, "a"), 71);
        larder::blocking::invalidate_tag(("prime-result", 71)).unwrap();
        assert_eq!(f(1, "a"), 2);
        prime_f(1, 72).unwrap();
        larder::blocking::invalidate_tag("prime-own").unwrap();
        assert_eq!(f(1, "a"), 3);
        prime_f(1, 73).unwrap();
        invalidate_f(1).unwrap();
        assert_eq!(f(1, "a"), 4);
    });
}

#[test]
fn an_err_is_refused() {
    #[cached(helpers = [prime])]
    fn f() -> Result<u64, String> {
        Ok(1)
    }
    cache().with_sync(|| {
        let error = prime_f(Err("no".into())).unwrap_err();
        assert_eq!(error.kind(), larder::ErrorKind::Refused);
        prime_f(Ok(2)).unwrap();
        assert_eq!(f(), Ok(2));
    });
}

#[test]
fn generic_functions_keep_their_types_apart() {
    #[cached(helpers = [prime, peek])]
    fn f<T: serde::Serialize, const N: usize>(id: T) -> usize {
        let _ = id;
        N
    }
    cache().with_sync(|| {
        prime_f::<u8, 1>(1, 11).unwrap();
        assert_eq!((f::<u8, 1>(1), f::<u8, 2>(1), f::<u16, 1>(1)), (11, 2, 1));
        assert_eq!((peek_f::<u8, 1>(1), peek_f::<u8, 3>(1)), (Some(11), None));
    });
}

#[cfg(feature = "msgpack")]
#[tokio::test]
async fn it_reaches_other_processes_and_an_invalidation_meanwhile_wins() {
    static RUNS: Runs = Runs::new();
    static GATE: crate::support::Gate = crate::support::Gate::new();
    #[cached(helpers = [prime])]
    async fn f(id: u64) -> usize {
        if id == 2 {
            GATE.pass().await;
        }
        RUNS.add()
    }
    let (first, second, _clock) = crate::support::two_processes();
    first.with(prime_f(1, 50)).await.unwrap();
    assert_eq!((second.with(f(1)).await, RUNS.get()), (50, 0));

    // A run of the same key is under way, so the value has to wait; it is invalidated before it is stored.
    let run = second.with(f(2));
    let prime = first.with(prime_f(2, 60));
    let invalidate = async {
        GATE.arrival().await;
        tokio::task::yield_now().await;
        second.with(invalidate_f(2)).await.unwrap();
        GATE.open(10);
    };
    let (_, primed, ()) = tokio::join!(run, prime, invalidate);
    primed.unwrap();
    assert_ne!(first.with(f(2)).await, 60);
    assert_ne!(second.with(f(2)).await, 60);
}

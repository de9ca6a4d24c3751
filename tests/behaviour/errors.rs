//! The errors a user meets: what they say, and what is behind them.

use std::error::Error as _;

use larder::{Cache, Error, ErrorKind, Memory, blocking, cached};
use serde::{Serialize, Serializer};

use crate::support::{Runs, alone, cache, stats_of};

#[test]
fn installing_twice() {
    if !alone("errors::installing_twice") {
        return;
    }
    let first = cache();
    first.install().unwrap();
    let error = cache().install().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyInstalled);
    assert!(!error.is_transient());
    assert!(error.to_string().contains("call `install` once"), "{error}");
    assert_eq!(first.install().unwrap_err().kind(), ErrorKind::AlreadyInstalled, "not even the same one");

    static RUNS: Runs = Runs::new();
    #[cached]
    fn f() -> usize {
        RUNS.add()
    }
    (f(), f());
    assert_eq!((stats_of(&first, "f").memory_hits, RUNS.get()), (1, 1), "the first stays");
}

#[test]
fn a_memory_layer_that_keeps_nothing() {
    for memory in [Memory::builder().max_entries(0), Memory::builder().ttl(std::time::Duration::ZERO)] {
        let error = Cache::builder().memory(memory).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("without_memory"), "it says what to do instead: {error}");
        assert!(error.source().is_none());
    }
}

/// Can't be serialized, whatever its derives say.
#[derive(Clone, PartialEq)]
struct Secret(u64);

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("secrets stay here"))
    }
}

#[test]
fn arguments_that_cannot_be_a_key() {
    static RUNS: Runs = Runs::new();
    #[cached(tags = ["tag"])]
    fn f(secret: Secret) -> u64 {
        RUNS.add();
        secret.0
    }
    let cache = cache();
    cache.with_sync(|| {
        assert_eq!((f(Secret(1)), f(Secret(1)), f(Secret(2))), (1, 1, 2), "a call is answered all the same");
        assert_eq!(RUNS.get(), 3, "by the body");
        let stats = stats_of(&cache, "f");
        assert_eq!((stats.key_errors, stats.runs, stats.stored), (3, 3, 0));

        let error = invalidate_f(Secret(1)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Key);
        assert!(error.to_string().contains("`behaviour::errors::arguments_that_cannot_be_a_key::f`"), "{error}");
        assert!(error.source().unwrap().to_string().contains("key = .."), "{error:?}");
        let mut chain = vec![error.to_string()];
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            assert!(!chain.iter().any(|above| above.contains(&text)), "{text:?} is in {chain:?}");
            chain.push(text);
            source = cause.source();
        }
        assert!(chain.last().unwrap().contains("secrets stay here"), "{chain:?}");
        blocking::invalidate_tag("tag").unwrap();
    });
}

#[test]
fn what_an_error_shows() {
    let error =
        Error::new(ErrorKind::Unavailable, "no answer within 50 ms: is it up?").with_source("connection refused");
    assert!(error.is_transient());
    assert_eq!(error.to_string(), "no answer within 50 ms: is it up?");
    assert_eq!(error.source().unwrap().to_string(), "connection refused");
    let debug = format!("{error:?}");
    for part in ["Unavailable", "no answer within", "connection refused"] {
        assert!(debug.contains(part), "{debug}");
    }
    assert_eq!(error.clone().to_string(), error.to_string());
    let boxed: Box<dyn std::error::Error + Send + Sync> = error.into();
    assert_eq!(boxed.downcast_ref::<Error>().unwrap().kind(), ErrorKind::Unavailable);
}

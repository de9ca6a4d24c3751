//! `troubleshooting.md`: what the numbers of a function show when its body runs on every call.

use std::time::Duration;

use larder::{Cache, Clock, FunctionStats, Tag, cached, without_cache_sync};
use serde::{Serialize, Serializer};

fn after_two_calls(function: &str, cache: &Cache, call: impl Fn()) -> FunctionStats {
    cache.with_sync(|| {
        call();
        call();
    });
    let stats = cache.stats().function(function).cloned().unwrap();
    assert_eq!(stats.runs, 2, "{function}");
    stats
}

fn cache() -> Cache {
    Cache::builder().build().unwrap()
}

#[test]
fn nothing_is_stored() {
    #[cached(cache_if = |_| false)]
    fn unwanted() -> u64 {
        1
    }
    #[cached]
    fn uncached() -> u64 {
        larder::dont_cache();
        1
    }
    let unwanted = after_two_calls("unwanted", &cache(), || {
        unwanted();
    });
    let uncached = after_two_calls("uncached", &cache(), || {
        uncached();
    });
    assert_eq!((unwanted.misses, unwanted.stored, uncached.misses, uncached.stored), (2, 0, 2, 0));
}

#[test]
fn it_has_expired() {
    #[cached(ttl = "1s")]
    fn short() -> u64 {
        1
    }
    let clock = Clock::manual();
    let cache = Cache::builder().clock(&clock).build().unwrap();
    let stats = after_two_calls("short", &cache, || {
        short();
        clock.advance(Duration::from_secs(1));
    });
    assert_eq!((stats.misses, stats.stored, stats.stale), (2, 2, 1));
}

#[test]
fn it_fails() {
    #[cached]
    fn fails() -> Result<u64, String> {
        Err("no".to_owned())
    }
    assert_eq!(
        after_two_calls("fails", &cache(), || {
            let _ = fails();
        })
        .failures,
        2
    );
}

#[test]
fn caching_is_off() {
    #[cached]
    fn bypassed() -> u64 {
        1
    }
    assert_eq!(
        after_two_calls("bypassed", &cache(), || {
            without_cache_sync(bypassed);
        })
        .bypassed,
        2
    );
}

#[test]
fn an_argument_cant_be_serialized() {
    struct Secret;
    impl Serialize for Secret {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("no"))
        }
    }
    #[cached]
    fn keyless(secret: &Secret) -> u64 {
        let Secret = secret;
        1
    }
    assert_eq!(
        after_two_calls("keyless", &cache(), || {
            keyless(&Secret);
        })
        .key_errors,
        2
    );
}

#[test]
fn tags_that_look_alike_differ() {
    assert_eq!(Tag::new(("user", 7)).to_string(), "user/7");
    assert_eq!(Tag::new("user:7").to_string(), "user:7");
    assert_ne!(Tag::new(("user", 7)), Tag::new("user:7"));
    assert_ne!(Tag::new(("user", 7)), Tag::new("user/7"));
}

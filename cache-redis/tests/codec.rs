//! The codec that a backend asks for.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "this is how tests fail and talk")]

use cache_core::backend::Backend;
use cache_core::codec::{Codec, Json, MessagePack};
use cache_core::{Cache, ErrorKind};
use cache_redis::{Redis, RedisBuilder};

/// Nobody is there, and nobody is asked.
fn builder() -> RedisBuilder {
    Redis::builder("redis://127.0.0.1:1")
}

fn asks_for(codec: impl Codec) -> Redis {
    builder().codec(codec).connect_lazy().unwrap()
}

#[test]
fn what_was_chosen_is_asked_for() {
    assert_eq!(asks_for(Json).codec().unwrap().name(), Json.name());
    assert!(builder().connect_lazy().unwrap().codec().is_none());
}

#[test]
fn backends_that_ask_for_different_ones() {
    let both = || Cache::builder().backend(asks_for(Json)).backend(asks_for(MessagePack));
    let error = both().build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    let text = error.to_string();
    for part in [Json.name(), MessagePack.name(), "`redis`", "Cache::builder().codec(..)"] {
        assert!(text.contains(part), "{text}");
    }
    both().codec(Json).build().unwrap();
    Cache::builder().backend(asks_for(Json)).backend(asks_for(Json)).build().unwrap();
    let any = builder().connect_lazy().unwrap();
    Cache::builder().backend(any).backend(asks_for(Json)).build().unwrap();
}

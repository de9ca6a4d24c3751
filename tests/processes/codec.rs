//! `Redis::builder(..).codec(..)`: what the bytes in Redis are.

use larder::codec::{Json, MessagePack};
use larder::{Cache, CacheBuilder, Redis, RedisBuilder, cached};
use larder_testbed::{Server, Value};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Price {
    cents: u64,
    currency: String,
}

#[cached]
async fn price(id: u64) -> Price {
    Price { cents: 100 + id, currency: "EUR".to_owned() }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn the_backend_chooses_unless_the_cache_does() {
    const JSON: &str = r#"{"cents":107,"currency":"EUR"}"#;
    let server = Server::start();
    let redis = |prefix: &str| Redis::builder(server.url()).prefix(prefix);
    let build = async |redis: RedisBuilder, cache: CacheBuilder| {
        cache.without_memory().backend(redis.connect().await.unwrap()).build().unwrap()
    };
    for (prefix, cache, is_json) in [
        ("neither", build(redis("neither"), Cache::builder()).await, false),
        ("redis", build(redis("redis").codec(Json), Cache::builder()).await, true),
        ("cache", build(redis("cache"), Cache::builder().codec(Json)).await, true),
        ("both", build(redis("both").codec(MessagePack), Cache::builder().codec(Json)).await, true),
    ] {
        let expected = Price { cents: 107, currency: "EUR".to_owned() };
        assert_eq!(cache.with(price(7)).await, expected);
        let mut raw = server.raw();
        let name = raw.keys(&format!("{prefix}:*:e")).pop().unwrap();
        let Value::Text(bytes) = raw.command(&["GET", &name]) else { panic!("no entry") };
        assert_eq!(contains(&bytes, JSON), is_json, "{prefix}");
        assert_eq!(cache.with(price(7)).await, expected);
        assert_eq!(cache.stats().function("price").unwrap().backend_hits, 1, "{prefix}");
    }
}

//! `Redis::builder(..).codec(..)`: what the bytes in Redis are.

use larder::codec::{Json, MessagePack};
use larder::{Cache, Redis, RedisBuilder, cached};
use larder_testbed::Server;
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
    let cases: [(&str, fn(RedisBuilder) -> RedisBuilder, bool, bool); 4] = [
        ("neither", |redis| redis, false, false),
        ("redis", |redis| redis.codec(Json), false, true),
        ("both", |redis| redis.codec(MessagePack), true, true),
        ("cache", |redis| redis, true, true),
    ];
    for (prefix, redis, by_cache, is_json) in cases {
        let redis = redis(Redis::builder(server.url()).prefix(prefix)).connect().await.unwrap();
        let cache = Cache::builder().without_memory().backend(redis);
        let cache = if by_cache { cache.codec(Json) } else { cache }.build().unwrap();
        let expected = Price { cents: 107, currency: "EUR".to_owned() };
        assert_eq!(cache.with(price(7)).await, expected);
        let mut raw = server.raw();
        let name = raw.keys(&format!("{prefix}:*:e")).pop().unwrap();
        let larder_testbed::Value::Text(bytes) = raw.command(&["GET", &name]) else { panic!("no entry") };
        assert_eq!(contains(&bytes, JSON), is_json, "{prefix}");
        assert_eq!(cache.with(price(7)).await, expected);
        assert_eq!(cache.stats().function("price").unwrap().backend_hits, 1, "{prefix}");
    }
}

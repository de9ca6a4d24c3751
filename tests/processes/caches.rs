//! Several caches in one process, on one handle or on a handle each.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use larder::{Cache, Redis, RedisBuilder, cached};
use larder_testbed::{Fate, Kind, Proxy, Server};
use tokio::sync::Barrier;

/// Whatever takes longer has failed.
const LONG: Duration = Duration::from_secs(30);

/// So long that nothing is forgotten by itself.
fn redis(url: String) -> RedisBuilder {
    Redis::builder(url).prefix("app").timeout(LONG).lease(LONG * 4).max_staleness(LONG * 40)
}

fn cache(redis: Redis) -> Cache {
    Cache::builder().backend(redis).build().unwrap()
}

/// The server has executed it, the future was dropped before it heard so: all caches know at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_invalidation_reaches_the_other_cache_of_its_handle() {
    static DATA: AtomicU64 = AtomicU64::new(1);
    #[cached(tags = ["data"])]
    async fn data(key: u64) -> u64 {
        key + DATA.load(Ordering::SeqCst)
    }
    let server = Server::start();
    let proxy = Proxy::to(server.port());
    let handle = redis(proxy.url()).connect().await.unwrap();
    let (one, other) = (cache(handle.clone()), cache(handle));
    let elsewhere = cache(redis(server.url()).connect().await.unwrap());
    // The script is known to the server, and memory is trusted.
    one.invalidate_tag("data").await.unwrap();
    for cache in [&one, &other, &elsewhere] {
        assert_eq!(cache.with(data(0)).await, 1);
    }
    DATA.store(2, Ordering::SeqCst);
    // The name of its channel is in it, and in nothing else that is under way.
    proxy.next_reply(b"app:bus:0", Fate::Held);
    let mut invalidation = Box::pin(one.invalidate_tag("data"));
    assert!(invalidation.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    proxy.wait_for_fates(1);
    drop(invalidation);
    proxy.release();
    assert_eq!((one.with(data(0)).await, other.with(data(0)).await), (2, 2));
    tokio::time::timeout(LONG, async {
        while elsewhere.with(data(0)).await != 2 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the message arrives");
    proxy.cut(Kind::Commands);
}

/// Their leases last longer than the test: the circle is seen.
#[tokio::test(flavor = "multi_thread")]
async fn two_that_call_each_other_crosswise() {
    static BOTH: LazyLock<Barrier> = LazyLock::new(|| Barrier::new(2));
    #[cached(skip(depth))]
    async fn left(key: u64, depth: u64) -> u64 {
        if depth == 3 {
            BOTH.wait().await;
        }
        if depth > 0 {
            assert_eq!(Box::pin(right(key, depth - 1)).await, key * 3);
        }
        key * 2
    }
    #[cached(skip(depth))]
    async fn right(key: u64, depth: u64) -> u64 {
        if depth == 3 {
            BOTH.wait().await;
        }
        if depth > 0 {
            assert_eq!(Box::pin(left(key, depth - 1)).await, key * 2);
        }
        key * 3
    }
    let server = Server::start();
    let one = cache(redis(server.url()).connect().await.unwrap());
    let two = cache(redis(server.url()).connect().await.unwrap());
    for key in 0..20 {
        let both = async { tokio::join!(one.with(left(key, 3)), two.with(right(key, 3))) };
        assert_eq!(tokio::time::timeout(LONG, both).await.expect("a deadlock"), (key * 2, key * 3));
    }
}

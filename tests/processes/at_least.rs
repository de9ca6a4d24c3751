//! `at_least` with Redis: what one process has written, another one reads, whatever becomes of the messages between them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use larder::{Cache, Invalidated, Redis, RedisBuilder, Source, at_least, cached, observe};
use larder_testbed::{Kind, Proxy, Server};

/// Whatever takes longer has failed.
const LONG: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_millis(500);

/// So long that nothing is forgotten by itself.
fn redis(url: String) -> RedisBuilder {
    Redis::builder(url).prefix("app").timeout(TIMEOUT).max_staleness(LONG * 40)
}

async fn cache(url: String) -> Cache {
    Cache::builder().backend(redis(url).connect().await.unwrap()).build().unwrap()
}

/// One that writes, and one that reads through a proxy and has what was written before in memory.
async fn writer_and_reader<F: Future<Output = u64>>(server: &Server, read: impl Fn() -> F) -> (Cache, Cache, Proxy) {
    let proxy = Proxy::to(server.port());
    let (writer, reader) = (cache(server.url()).await, cache(proxy.url()).await);
    tokio::time::timeout(LONG, async {
        while reader.with(observe(read())).await.source != Source::Memory {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("memory is trusted");
    (writer, reader, proxy)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_held_up() {
    static DATA: AtomicU64 = AtomicU64::new(1);
    #[cached(tags = ["data"])]
    async fn data() -> u64 {
        DATA.load(Ordering::SeqCst)
    }
    #[cached]
    async fn twice() -> u64 {
        2 * data().await
    }
    let server = Server::start();
    let (writer, reader, proxy) = writer_and_reader(&server, twice).await;
    proxy.hold(Kind::Messages);
    DATA.store(2, Ordering::SeqCst);
    let token = writer.invalidate_tag("data").await.unwrap();
    assert_eq!(reader.with(twice()).await, 2, "it hasn't heard");
    let asked = Instant::now();
    assert_eq!(reader.with(at_least(&token, twice())).await, 4);
    assert!(asked.elapsed() < TIMEOUT * 8, "{:?}", asked.elapsed());
    // What was brought is in memory, for everybody.
    assert_eq!(reader.with(twice()).await, 4);

    // One that arrives while it is waited for.
    DATA.store(3, Ordering::SeqCst);
    let token = writer.invalidate_tag("data").await.unwrap();
    let waiting = reader.with(at_least(&token, twice()));
    let (read, ()) = tokio::join!(waiting, async { proxy.release() });
    assert_eq!(read, 6);
    // By now it is known, so nothing is waited for, and memory answers.
    tokio::time::timeout(LONG, async {
        while reader.with(at_least(&token, observe(twice()))).await.source != Source::Memory {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("memory catches up");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_that_is_cut() {
    static DATA: AtomicU64 = AtomicU64::new(1);
    #[cached(tags = ["data"])]
    async fn data() -> u64 {
        DATA.load(Ordering::SeqCst)
    }
    let server = Server::start();
    let (writer, reader, proxy) = writer_and_reader(&server, data).await;
    proxy.refuse();
    proxy.cut(Kind::Messages);
    for version in 2..6 {
        DATA.store(version, Ordering::SeqCst);
        let token = writer.invalidate_tag("data").await.unwrap();
        let token: Invalidated = token.to_string().parse().unwrap();
        assert_eq!(reader.with(at_least(&token, data())).await, version);
    }
    proxy.accept();
    DATA.store(6, Ordering::SeqCst);
    let token = writer.invalidate_tag("data").await.unwrap();
    assert_eq!(reader.with(at_least(&token, data())).await, 6);
}

/// What clients send back is theirs to change.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_nobody_has_given_out() {
    static DATA: AtomicU64 = AtomicU64::new(1);
    #[cached(tags = ["data"])]
    async fn data() -> u64 {
        DATA.load(Ordering::SeqCst)
    }
    let server = Server::start();
    let (writer, reader, proxy) = writer_and_reader(&server, data).await;
    let clock = || server.command(&["GET", "app:{t:app}:clock"]).text();
    let number: u64 = clock().parse().unwrap();
    for text in [
        "app:18446744073709551615".to_owned(),
        format!("app:{}", (1_u64 << 52) - 1),
        format!("app:{}", number + 1),
        format!("app:{}", number + (1 << 21)),
        format!("app:{}", number + (1 << 50)),
        "app:0".to_owned(),
        "app2:7".to_owned(),
        "app@1:7".to_owned(),
        ":7".to_owned(),
    ] {
        let token: Invalidated = text.parse().unwrap();
        for cache in [&writer, &reader] {
            assert_eq!(cache.with(at_least(&token, data())).await, 1, "{text}");
        }
        assert_eq!(clock(), number.to_string(), "{text}");
        assert_eq!(reader.with(observe(data())).await.source, Source::Memory, "nothing was dropped: {text}");
    }
    // And whoever wrote before still can.
    for version in 2..5 {
        DATA.store(version, Ordering::SeqCst);
        let token = writer.invalidate_tag("data").await.unwrap();
        assert_eq!(token.to_string(), format!("app:{}", clock()));
        assert_eq!(reader.with(at_least(&token, data())).await, version);
    }
    proxy.hold(Kind::Messages);
    DATA.store(5, Ordering::SeqCst);
    let token = writer.invalidate_tag("data").await.unwrap();
    assert_eq!(reader.with(at_least(&token, data())).await, 5);
}

/// Then nothing can be numbered, and the server's time stands in for it.
#[tokio::test(flavor = "multi_thread")]
async fn an_invalidation_that_finds_no_memory_in_redis() {
    static DATA: AtomicU64 = AtomicU64::new(1);
    #[cached(tags = ["data"])]
    async fn data() -> u64 {
        DATA.load(Ordering::SeqCst)
    }
    let server = Server::with(&["--maxmemory-policy", "noeviction"]);
    let (writer, reader, proxy) = writer_and_reader(&server, data).await;
    let before: u64 = server.command(&["GET", "app:{t:app}:clock"]).text().parse().unwrap();
    proxy.hold(Kind::Messages);
    server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    DATA.store(2, Ordering::SeqCst);
    let token = writer.invalidate_tag("data").await.unwrap();
    let number: u64 = token.to_string().trim_start_matches("app:").parse().unwrap();
    assert!(number > before + 1_000, "{number} is no time");
    assert_eq!(reader.with(at_least(&token, data())).await, 2, "while there is no memory");
    server.command(&["CONFIG", "SET", "maxmemory", "0"]);
    DATA.store(3, Ordering::SeqCst);
    let later = writer.invalidate_tag("data").await.unwrap();
    for token in [&token, &later] {
        assert_eq!(reader.with(at_least(token, data())).await, 3, "once there is again");
    }
    proxy.release();
    tokio::time::timeout(LONG, async {
        while reader.with(at_least(&token, observe(data()))).await.source != Source::Memory {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("memory catches up with a clock that was made anew");
    let after: u64 = server.command(&["GET", "app:{t:app}:clock"]).text().parse().unwrap();
    assert!(after >= number, "{after} is below {number}");
}

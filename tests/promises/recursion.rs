//! A function that reaches itself with the same key runs uncached there; it never deadlocks.

use std::sync::atomic::{AtomicU32, Ordering};

use larder::cached;

use crate::support::{block_on, cache};

#[test]
fn sync() {
    static DEPTH: AtomicU32 = AtomicU32::new(0);
    #[cached]
    fn again(key: u32) -> u32 {
        if DEPTH.fetch_add(1, Ordering::SeqCst) < 3 { again(key) + 1 } else { key }
    }
    let cache = cache();
    assert_eq!(cache.with_sync(|| again(10)), 13);
    assert_eq!(cache.with_sync(|| again(10)), 13, "the outermost run was stored");
    assert_eq!(DEPTH.load(Ordering::SeqCst), 4);
    assert_eq!(cache.stats().function("again").unwrap().recursions, 3);
}

#[tokio::test]
async fn asynchronous() {
    static DEPTH: AtomicU32 = AtomicU32::new(0);
    #[cached]
    async fn again(key: u32) -> u32 {
        if DEPTH.fetch_add(1, Ordering::SeqCst) < 3 { Box::pin(again(key)).await + 1 } else { key }
    }
    cache()
        .with(async {
            assert_eq!(again(10).await, 13);
            assert_eq!(again(10).await, 13);
            assert_eq!(DEPTH.load(Ordering::SeqCst), 4);
        })
        .await;
}

#[tokio::test]
async fn mutual_and_mixed() {
    static DEPTH: AtomicU32 = AtomicU32::new(0);
    #[cached]
    async fn ping(key: u32) -> u32 {
        if DEPTH.fetch_add(1, Ordering::SeqCst) < 5 { pong(key) + 1 } else { key }
    }
    #[cached]
    fn pong(key: u32) -> u32 {
        block_on(ping(key)) + 1
    }
    cache().with(async { assert_eq!(ping(10).await, 20) }).await;
}

/// One task is in `left` and needs `right`, the other the other way round: whoever would close the circle runs the
/// body itself.
#[tokio::test]
async fn two_tasks_that_call_each_other_crosswise() {
    #[cached]
    async fn left(depth: u32) -> u32 {
        tokio::task::yield_now().await;
        if depth_of("left") < 2 { Box::pin(right(depth)).await + 1 } else { 0 }
    }
    #[cached]
    async fn right(depth: u32) -> u32 {
        tokio::task::yield_now().await;
        if depth_of("right") < 2 { Box::pin(left(depth)).await + 1 } else { 0 }
    }
    fn depth_of(side: &str) -> u32 {
        static LEFT: AtomicU32 = AtomicU32::new(0);
        static RIGHT: AtomicU32 = AtomicU32::new(0);
        if side == "left" { LEFT.fetch_add(1, Ordering::SeqCst) } else { RIGHT.fetch_add(1, Ordering::SeqCst) }
    }
    cache()
        .with(async {
            let both = async { tokio::join!(left(1), right(1)) };
            tokio::time::timeout(std::time::Duration::from_secs(20), both).await.expect("a deadlock");
        })
        .await;
}

#[test]
fn two_threads_that_call_each_other_crosswise() {
    #[cached]
    fn left(round: u32) -> u32 {
        std::thread::yield_now();
        if larder::stats().function("right").is_some_and(|stats| stats.runs > u64::from(round) * 4) {
            return 0;
        }
        right(round) + 1
    }
    #[cached]
    fn right(round: u32) -> u32 {
        std::thread::yield_now();
        if larder::stats().function("left").is_some_and(|stats| stats.runs > u64::from(round) * 4) {
            return 0;
        }
        left(round) + 1
    }
    let cache = cache();
    for round in 0..50 {
        std::thread::scope(|threads| {
            threads.spawn(|| cache.with_sync(|| left(round)));
            threads.spawn(|| cache.with_sync(|| right(round)));
        });
    }
    assert_eq!(cache.stats().flights, 0);
}

#[test]
fn deep_recursion_with_different_keys_fits_the_stack() {
    #[cached]
    fn sum(n: u64) -> u64 {
        if n == 0 { 0 } else { n + sum(n - 1) }
    }
    // 2 MiB is what a test's thread has.
    assert_eq!(cache().with_sync(|| sum(200)), 200 * 201 / 2);
}

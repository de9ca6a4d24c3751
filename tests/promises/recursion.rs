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

/// User code runs between the end of a body and the moment its result is where it belongs.
mod from_what_happens_to_a_result {
    use std::cell::Cell;
    use std::sync::atomic::{AtomicBool, AtomicU64};
    use std::sync::{Arc, Barrier, LazyLock};

    use larder::Cache;

    use super::*;

    /// Once.
    fn first(done: &AtomicBool) -> bool {
        !done.swap(true, Ordering::SeqCst)
    }

    #[test]
    fn the_cache_if_option() {
        static DONE: AtomicBool = AtomicBool::new(false);
        #[cached(cache_if = |value| !first(&DONE) || again(*value) == *value)]
        fn again(key: u32) -> u32 {
            key
        }
        assert_eq!(cache().with_sync(|| again(1)), 1);
    }

    #[test]
    fn its_clone() {
        static DONE: AtomicBool = AtomicBool::new(false);
        struct Value(u32);
        impl Clone for Value {
            fn clone(&self) -> Self {
                if first(&DONE) {
                    again(self.0);
                }
                Self(self.0)
            }
        }
        #[cached(local)]
        fn again(key: u32) -> Value {
            Value(key)
        }
        assert_eq!(cache().with_sync(|| again(1)).0, 1);
    }

    #[test]
    fn its_deserialize() {
        static ARMED: AtomicBool = AtomicBool::new(false);
        #[derive(Clone, serde::Serialize)]
        struct Value(u32);
        impl<'de> serde::Deserialize<'de> for Value {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let value = u32::deserialize(deserializer)?;
                if ARMED.swap(false, Ordering::SeqCst) {
                    again(value);
                }
                Ok(Self(value))
            }
        }
        #[cached]
        fn again(key: u32) -> Value {
            Value(key)
        }
        let (one, other, _shared) = crate::support::two_processes();
        one.with_sync(|| again(1));
        ARMED.store(true, Ordering::SeqCst);
        assert_eq!(other.with_sync(|| again(1)).0, 1);
        assert!(!ARMED.load(Ordering::SeqCst), "it was read");
    }

    /// What is dropped as another result takes its place asks for what its thread is just storing, which the other
    /// thread's upkeep may have thrown out again already; or for what the other thread is storing, which asks back.
    #[test]
    fn a_drop() {
        static CACHE: LazyLock<Cache> = LazyLock::new(cache);
        static STORING: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];
        thread_local! {
            static THREAD: Cell<usize> = const { Cell::new(0) };
            // What it asks for is dropped too.
            static ASKS: Cell<bool> = const { Cell::new(false) };
        }
        struct Value(u64);
        impl Drop for Value {
            fn drop(&mut self) {
                let whose = (THREAD.get() + usize::from(self.0.is_multiple_of(16))) % 2;
                if !ASKS.replace(true) {
                    CACHE.with_sync(|| item(STORING[whose].load(Ordering::SeqCst)));
                    ASKS.set(false);
                }
            }
        }
        #[cached(local, max_entries = 16)]
        fn item(key: u64) -> Arc<Value> {
            Arc::new(Value(key))
        }
        let together = Barrier::new(2);
        std::thread::scope(|scope| {
            for (thread, storing) in STORING.iter().enumerate() {
                let together = &together;
                scope.spawn(move || {
                    THREAD.set(thread);
                    together.wait();
                    CACHE.with_sync(|| {
                        for key in 0..50_000 {
                            // A few that stay, so that newer ones are thrown out at once.
                            for key in [0, 1, 2, key * 2 + thread as u64 + 3] {
                                storing.store(key, Ordering::SeqCst);
                                item(key);
                            }
                        }
                    });
                });
            }
        });
    }
}

/// A thread's locals may be gone before those that call cached functions when they are dropped.
#[test]
fn from_where_a_thread_ends() {
    static DEPTH: AtomicU32 = AtomicU32::new(0);
    static VALUE: AtomicU32 = AtomicU32::new(1);
    #[cached]
    fn again(key: u32) -> u32 {
        if DEPTH.fetch_add(1, Ordering::SeqCst) < 3 { again(key) + 1 } else { key }
    }
    #[cached(tags = ["value at the end"])]
    fn value() -> u32 {
        VALUE.load(Ordering::SeqCst)
    }
    #[cached]
    fn parent() -> u32 {
        value()
    }
    struct AtEnd;
    impl Drop for AtEnd {
        fn drop(&mut self) {
            assert_eq!((again(10), parent()), (13, 1));
        }
    }
    thread_local!(static AT_END: AtEnd = const { AtEnd });
    std::thread::spawn(|| {
        AT_END.with(|_| ());
        // Whatever larder keeps by thread is made after `AT_END`, and so dropped before.
        cache().with_sync(value);
    })
    .join()
    .unwrap();
    assert_eq!(DEPTH.load(Ordering::SeqCst), 4);
    assert_eq!(parent(), 1);
    VALUE.store(2, Ordering::SeqCst);
    larder::blocking::invalidate_tag("value at the end").unwrap();
    assert_eq!(parent(), 2, "it depends on what it used");
}

//! `writing` and `hold`: invalidations that can't be forgotten, in memory alone and on a backend without holds.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use larder::{Cache, Scope, cached};

use crate::support::{block_on, millis, seconds};

/// The data, and how a cached function reads it.
#[derive(Clone, Default)]
struct Data(Arc<AtomicU64>);

impl Data {
    fn commit(&self, value: u64) -> Result<u64, String> {
        self.0.store(value, Ordering::SeqCst);
        Ok(value)
    }
}

#[cached(local, skip(data), key = id, tags = [("row", id)])]
fn row(id: u64, data: &Data) -> u64 {
    let _ = id;
    data.0.load(Ordering::SeqCst)
}

/// With holds that end by themselves soon.
fn brief() -> Cache {
    Cache::builder().hold(millis(100)).build().unwrap()
}

/// With holds that don't while a test lasts.
fn long() -> Cache {
    Cache::builder().hold(seconds(30)).build().unwrap()
}

/// Until a timer has invalidated.
fn becomes(what: &str, so: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + seconds(30);
    while !so() {
        assert!(std::time::Instant::now() < deadline, "{what}: not within 30 s");
        std::thread::sleep(millis(1));
    }
}

#[test]
fn a_write_invalidates_at_its_end_and_not_before() {
    let data = Data::default();
    let cache = long();
    let read = || cache.with_sync(|| row(1, &data));
    assert_eq!(read(), 0);
    let write = async {
        let written = data.commit(1);
        assert_eq!(read(), 0, "readers see the old value while the hold lives");
        written
    };
    let result: Result<u64, String> = block_on(cache.with(larder::writing([("row", 1)], write)));
    assert_eq!((result, read()), (Ok(1), 1));
}

#[test]
fn nothing_is_written_before_it_is_awaited_nor_after() {
    let data = Data::default();
    let mut writing = pin!(long().writing(["row"], async { data.commit(7) }));
    assert_eq!(data.0.load(Ordering::SeqCst), 0);
    let mut task = Context::from_waker(Waker::noop());
    assert!(writing.as_mut().poll(&mut task).is_ready());
    assert_eq!(data.0.load(Ordering::SeqCst), 7);
    let again = catch_unwind(AssertUnwindSafe(|| writing.as_mut().poll(&mut task))).unwrap_err();
    assert_eq!(again.downcast_ref::<String>().unwrap(), "a write polled after completion");
}

/// The commit is on its way when its writer goes away, and somebody reads and stores the old value before it arrives.
fn with_a_late_commit(leaves: impl FnOnce(&Cache, &Data)) {
    let data = Data::default();
    let cache = brief();
    let read = || cache.with_sync(|| row(1, &data));
    assert_eq!(read(), 0);
    leaves(&cache, &data);
    read();
    data.commit(1).unwrap();
    becomes("the hold's end", || read() == 1);
}

#[test]
fn a_write_that_is_dropped() {
    with_a_late_commit(|cache, _| {
        let mut writing = Box::pin(cache.writing([("row", 1)], std::future::pending::<Result<(), String>>()));
        assert!(writing.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        drop(writing);
    });
}

#[test]
fn a_write_that_fails_without_telling_what_became_of_it() {
    with_a_late_commit(|cache, _| {
        let result: Result<(), _> = block_on(cache.writing([("row", 1)], async { Err("connection lost") }));
        assert_eq!(result, Err("connection lost"));
    });
}

#[test]
fn a_write_that_panics() {
    with_a_late_commit(|cache, _| {
        let write = async { if true { panic!("as ordered") } else { Ok::<(), ()>(()) } };
        let panic = catch_unwind(AssertUnwindSafe(|| block_on(cache.writing([("row", 1)], write)))).unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"as ordered"));
    });
}

#[test]
fn a_hold_that_is_dropped() {
    with_a_late_commit(|cache, _| drop(block_on(cache.hold([("row", 1)])).unwrap()));
}

#[test]
fn on_a_thread_without_a_runtime() {
    with_a_late_commit(|cache, _| {
        cache.with_sync(|| {
            let result: Result<(), _> = larder::blocking::writing([("row", 1)], || Err("connection lost"));
            assert_eq!(result, Err("connection lost"));
        });
    });
    with_a_late_commit(|cache, _| drop(cache.with_sync(|| larder::blocking::hold([("row", 1)])).unwrap()));
}

/// A writer that failed may have written before it did.
#[test]
fn what_fails_or_is_dropped_invalidates_at_once_too() {
    let data = Data::default();
    let cache = long();
    let read = || cache.with_sync(|| row(1, &data));
    assert_eq!(read(), 0);
    let failing = async {
        data.commit(1)?;
        Err::<(), _>("the answer was lost".to_owned())
    };
    assert!(block_on(cache.writing([("row", 1)], failing)).is_err());
    assert_eq!(read(), 1);
    let hold = block_on(cache.hold([("row", 1)])).unwrap();
    data.commit(2).unwrap();
    assert_eq!(read(), 1);
    drop(hold);
    assert_eq!(read(), 2);
}

#[test]
fn a_hold_that_ends() {
    let data = Data::default();
    let cache = long();
    let read = || cache.with_sync(|| row(1, &data));
    for value in 1..4 {
        let old = read();
        cache.with_sync(|| {
            let hold = larder::blocking::hold([("row", 1)]).unwrap();
            data.commit(value).unwrap();
            assert_eq!(read(), old);
            assert!(!hold.is_lost(), "nothing can be lost in memory");
            hold.end_blocking().unwrap();
        });
        assert_eq!(read(), value);
    }
}

#[test]
fn the_result_of_the_write_comes_back() {
    block_on(long().with(async {
        assert_eq!(larder::writing(["x"], async { Ok::<_, ()>(5) }).await, Ok(5));
        assert_eq!(larder::writing(["x"], async { Err::<(), _>(6) }).await, Err(6));
        assert_eq!(larder::writing([""; 0], async { Ok::<_, ()>(7) }).await, Ok(7));
        let strict = larder::writing(["x"], async { Ok::<_, larder::Error>(8) }).strict().await;
        assert_eq!(strict.ok(), Some(8));
    }));
    long().with_sync(|| {
        assert_eq!(larder::blocking::writing(["x"], || Ok::<_, ()>(5)), Ok(5));
        assert_eq!(larder::blocking::writing_strict(["x"], || Ok::<_, larder::Error>(5)).ok(), Some(5));
    });
}

#[test]
fn in_one_scope() {
    let data = Data::default();
    let cache = long();
    let read = |scope: &str| cache.with_sync(|| larder::with_scope_sync(scope, || row(1, &data)));
    let both = || (read("a"), read("b"));
    assert_eq!(both(), (0, 0));
    let write = |value| {
        let data = data.clone();
        async move { data.commit(value) }
    };
    block_on(cache.with(Scope::new("a").writing([("row", 1)], write(1)))).unwrap();
    assert_eq!(both(), (1, 0));
    cache.with_sync(|| larder::blocking::writing_in("b", [("row", 1)], || data.commit(2))).unwrap();
    assert_eq!(both(), (1, 2));
    block_on(cache.with(async {
        let hold = Scope::new("a").hold([("row", 1)]).await.unwrap();
        data.commit(3).unwrap();
        hold.end().await.unwrap();
    }));
    assert_eq!(both(), (3, 2));
    cache.with_sync(|| larder::blocking::hold_in("b", [("row", 1)]).unwrap().end_blocking()).unwrap();
    assert_eq!(both(), (3, 3));
}

#[test]
fn a_hold_lasts_more_than_no_time_and_thirty_seconds_at_most() {
    for time in [Duration::ZERO, seconds(31)] {
        let error = Cache::builder().hold(time).build().unwrap_err();
        assert_eq!(error.kind(), larder::ErrorKind::Config, "{error}");
    }
}

#[test]
fn it_can_be_sent_to_another_thread() {
    fn sent<T: Send>(value: T) -> T {
        value
    }
    let writing = sent(long().writing(["x"], async { Ok::<_, ()>(1) }).on_lost(|| {}));
    assert!(format!("{writing:?}").contains("not begun"), "{writing:?}");
    drop(sent(long().writing(["x"], async { Ok::<_, larder::Error>(1) }).strict()));
    drop(sent(block_on(long().hold(["x"])).unwrap()));
}

/// Two processes over a backend that has no holds.
#[cfg(feature = "msgpack")]
mod on_a_backend_without_holds {
    use larder::reference::SharedMemory;

    use super::*;

    #[cached(skip(data), key = id, tags = [("row", id)])]
    fn shared(id: u64, data: &Data) -> u64 {
        let _ = id;
        data.0.load(Ordering::SeqCst)
    }

    #[test]
    fn a_dropped_writer_invalidates_in_both() {
        let data = Data::default();
        let memory = SharedMemory::new();
        let process =
            || Cache::builder().hold(millis(100)).backend(memory.another_process()).without_memory().build().unwrap();
        let (writer, reader) = (process(), process());
        let read = || reader.with_sync(|| shared(1, &data));
        assert_eq!(read(), 0);
        drop(block_on(writer.hold([("row", 1)])).unwrap());
        read();
        data.commit(1).unwrap();
        becomes("the hold's end", || read() == 1);
    }
}

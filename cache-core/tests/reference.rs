//! The reference backend beyond its contract: boundedness, processes, faults.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use cache_core::backend::{
    Backend, Busy, Entry, EntryKey, HeldTag, Lease, LeaseAnswer, LeaseRequest, Lifetimes, Listener, ListenerHandle,
    Seen, StoreAnswer, TagId,
};
use cache_core::reference::{SharedMemory, Usage};
use cache_core::{Clock, Error, ErrorKind};
use pollster::block_on;

fn key(number: u64) -> EntryKey {
    EntryKey::new(number.to_le_bytes())
}

fn tag(number: u64) -> TagId {
    TagId(number.wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

fn lease(memory: &SharedMemory, key: &EntryKey) -> Result<LeaseAnswer, Error> {
    let seen = block_on(memory.read(key))?.seen;
    block_on(memory.lease(key, LeaseRequest { duration: None, seen, tags: &[], take_over: false }))
}

fn granted(memory: &SharedMemory, key: &EntryKey) -> Box<dyn Lease> {
    match lease(memory, key) {
        Ok(LeaseAnswer::Granted(lease)) => lease,
        other => panic!("{other:?}"),
    }
}

fn busy(memory: &SharedMemory, key: &EntryKey) -> Busy {
    match lease(memory, key) {
        Ok(LeaseAnswer::Busy(busy)) => busy,
        other => panic!("{other:?}"),
    }
}

fn put(memory: &SharedMemory, key: &EntryKey, tags: &[TagId], keep: Option<Duration>) {
    let lease = granted(memory, key);
    let tags = tags.iter().map(|tag| HeldTag { tag: *tag, stamp: lease.stamp() }).collect();
    let entry = Entry { payload: vec![7; 100], tags, lifetimes: Lifetimes { fresh: keep, keep, idle: None } };
    assert_eq!(block_on(memory.store(key, lease, entry)).unwrap(), StoreAnswer::Stored);
}

fn live(memory: &SharedMemory, key: &EntryKey) -> bool {
    block_on(memory.read(key)).unwrap().live.is_some()
}

#[test]
fn churn_leaves_nothing_behind() {
    let clock = Clock::manual();
    let memory = SharedMemory::with_clock(&clock);
    for round in 0..100_000u64 {
        put(&memory, &key(round), &[tag(round), tag(round % 7)], Some(Duration::from_secs(1)));
        clock.advance(Duration::from_millis(10));
        if round % 3 == 0 {
            block_on(memory.invalidate(&[tag(round)])).unwrap();
        }
    }
    let usage = memory.usage();
    assert!(usage.entries <= 300, "100 live at a time: {usage:?}");
    assert!(usage.tag_records <= 64 * 128, "{usage:?}");
    assert_eq!(usage.leases, 0);

    // Dead before their time ends, and never read again.
    for round in 0..10_000u64 {
        put(&memory, &key(round), &[tag(1_000_000)], None);
        block_on(memory.invalidate(&[tag(1_000_000)])).unwrap();
    }
    assert!(memory.usage().entries < 300, "{:?}", memory.usage());
}

#[test]
fn the_oldest_entries_go_first() {
    let memory = SharedMemory::new().with_max_entries(3);
    for number in 0..5 {
        put(&memory, &key(number), &[], None);
    }
    put(&memory, &key(2), &[], None); // written again: the youngest now
    put(&memory, &key(5), &[], None);
    let found: Vec<_> = (0..6).filter(|number| live(&memory, &key(*number))).collect();
    assert_eq!(found, [2, 4, 5]);
    assert_eq!(memory.usage().entries, 3);
}

#[derive(Default)]
struct Ear(Mutex<Vec<TagId>>);

impl Listener for Ear {
    fn invalidated(&self, tags: &[TagId]) {
        self.0.lock().unwrap().extend(tags);
    }
    fn doubt(&self) {}
    fn trusted_until(&self, _: cache_core::backend::BootInstant) {}
}

impl Ear {
    fn attached(memory: &SharedMemory) -> Arc<Self> {
        let ear = Arc::new(Self::default());
        let weak: Weak<Self> = Arc::downgrade(&ear);
        memory.attach(ListenerHandle::new(weak));
        ear
    }
    fn take(&self) -> Vec<TagId> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

#[test]
fn other_processes_hear_of_an_invalidation_and_the_callers_cache_does_not() {
    let first = SharedMemory::new();
    let second = first.another_process();
    let (one, other) = (Ear::attached(&first), Ear::attached(&second));
    block_on(first.clone().invalidate(&[tag(1)])).unwrap();
    assert_eq!((one.take(), other.take()), (vec![], vec![tag(1)]));

    // Which of two caches in a process calls can't be known: both hear of it.
    let third = Ear::attached(&first);
    block_on(first.invalidate(&[tag(2)])).unwrap();
    assert_eq!((one.take(), third.take(), other.take()), (vec![tag(2)], vec![tag(2)], vec![tag(2)]));
    drop(third);
    block_on(first.invalidate(&[tag(3)])).unwrap();
    assert_eq!((one.take(), other.take()), (vec![], vec![tag(3)]));
}

#[test]
fn a_known_stamp_needs_no_question() {
    let first = SharedMemory::new();
    let second = first.another_process();
    assert_eq!(second.known_stamp(), None);
    block_on(first.invalidate(&[tag(1)])).unwrap();
    let known = second.known_stamp().unwrap();
    assert_eq!(known, granted(&first, &key(1)).stamp());
}

#[test]
fn every_operation_fails_when_told_to_and_only_in_that_process() {
    let first = SharedMemory::new();
    let second = first.another_process();
    let held = granted(&first, &key(1));
    let waiting = busy(&first, &key(1));
    for kind in [ErrorKind::Unavailable, ErrorKind::Refused] {
        first.fail_with(Some(kind));
        let is = |error: Error| assert_eq!(error.kind(), kind);
        is(block_on(first.read(&key(2))).unwrap_err());
        is(lease(&first, &key(2)).unwrap_err());
        is(block_on(first.invalidate(&[])).unwrap_err());
        let again = waiting.clone();
        is(block_on(first.wait(&key(1), again)).unwrap_err());
        put(&second, &key(3), &[], None);
    }
    // What can't be stored doesn't hold its key.
    let entry = Entry { payload: vec![], tags: vec![], lifetimes: Lifetimes::default() };
    assert!(block_on(first.store(&key(1), held, entry)).is_err());
    drop(granted(&second, &key(1)));
    first.fail_with(None);
    assert!(live(&first, &key(3)));
}

/// Counts its calls.
#[derive(Default)]
struct Counter(AtomicUsize);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn waiters_are_woken_once_however_the_lease_ends() {
    let memory = SharedMemory::new();
    type End = fn(&SharedMemory, Box<dyn Lease>);
    let ends: [End; 6] = [
        |_, lease| drop(lease),
        |memory, _lease| memory.expire_leases(),
        |memory, _lease| memory.lose_leases(),
        |memory, _lease| memory.flush(),
        |memory, _lease| memory.fail_with(Some(ErrorKind::Unavailable)),
        |memory, _lease| block_on(memory.close()),
    ];
    for (number, end) in (0..).zip(ends) {
        let lease = granted(&memory, &key(number));
        let counter = Arc::new(Counter::default());
        let waker = Waker::from(Arc::clone(&counter));
        let context = &mut Context::from_waker(&waker);
        let key = key(number);
        let mut wait = pin!(memory.wait(&key, busy(&memory, &key)));
        assert!(wait.as_mut().poll(context).is_pending());
        assert!(wait.as_mut().poll(context).is_pending());
        assert_eq!(counter.0.load(Ordering::SeqCst), 0);
        end(&memory, lease);
        assert_eq!(counter.0.load(Ordering::SeqCst), 1, "{number}");
        assert!(matches!(wait.as_mut().poll(context), Poll::Ready(result) if result.is_ok() == (number < 4)));
        memory.fail_with(None);
    }
}

/// The last waker of a task may own the task, and the task a lease: dropping it must not meet a lock.
#[test]
fn a_waker_may_own_a_lease() {
    struct Owner(#[allow(dead_code)] Mutex<Option<Box<dyn Lease>>>);
    impl Wake for Owner {
        fn wake(self: Arc<Self>) {}
    }
    let memory = SharedMemory::new();
    let held = granted(&memory, &key(1));
    for polls in 1..3 {
        let key = key(1);
        let mut wait = memory.wait(&key, busy(&memory, &key));
        for number in 0..polls {
            let owned = granted(&memory, &self::key(10 + number));
            let waker = Waker::from(Arc::new(Owner(Mutex::new(Some(owned)))));
            assert!(wait.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        }
        drop(wait);
        assert_eq!(memory.usage().leases, 1);
    }
    drop(held);
}

#[test]
fn a_flipped_bit_anywhere_is_a_miss() {
    let memory = SharedMemory::new();
    put(&memory, &key(1), &[tag(1)], None);
    let bits = memory.usage().bytes * 8;
    for bit in 0..bits {
        put(&memory, &key(bit as u64), &[tag(1)], None);
        memory.corrupt(|blob| blob[bit / 8] ^= 1 << (bit % 8));
        assert!(!live(&memory, &key(bit as u64)), "bit {bit}");
        memory.lose_entries();
    }
    put(&memory, &key(1), &[tag(1)], None);
    memory.corrupt(|_| {});
    assert!(live(&memory, &key(1)), "nothing was changed");
}

#[test]
fn losses_are_misses() {
    let memory = SharedMemory::new();
    let fill = || (0..4).for_each(|number| put(&memory, &key(number), &[tag(number)], None));
    fill();
    assert!(memory.lose_entry(&key(0)) && !memory.lose_entry(&key(0)));
    assert!(!live(&memory, &key(0)) && live(&memory, &key(1)));
    memory.flush();
    assert_eq!(memory.usage(), Usage::default());
    assert!((0..4).all(|number| !live(&memory, &key(number))));
    fill();
    let before = granted(&memory, &key(9)).stamp();
    memory.lose_clock();
    assert!(granted(&memory, &key(9)).stamp() > before);
    memory.lose_buckets();
    assert!((0..4).all(|number| !live(&memory, &key(number))));
    fill();
    assert!((0..4).all(|number| live(&memory, &key(number))), "and it goes on");
}

#[test]
fn a_lease_of_another_store_or_key_is_refused() {
    let (memory, other) = (SharedMemory::new(), SharedMemory::new());
    let entry = || Entry { payload: vec![], tags: vec![], lifetimes: Lifetimes::default() };
    let foreign = granted(&other, &key(1));
    assert_eq!(block_on(memory.store(&key(1), foreign, entry())).unwrap_err().kind(), ErrorKind::Refused);
    let wrong = granted(&memory, &key(2));
    assert_eq!(block_on(memory.store(&key(1), wrong, entry())).unwrap_err().kind(), ErrorKind::Refused);
    assert_eq!((memory.usage().leases, other.usage().leases), (0, 0), "they were given back");
}

#[test]
fn an_unpolled_future_does_nothing() {
    let memory = SharedMemory::new();
    put(&memory, &key(1), &[tag(1)], None);
    drop(memory.invalidate(&[tag(1)]));
    drop(memory.lease(&key(2), LeaseRequest { duration: None, seen: Seen::default(), tags: &[], take_over: false }));
    assert!(live(&memory, &key(1)));
    assert_eq!(memory.usage().leases, 0);
}

//! The events: one for each thing that happens, to each who listens.

use larder::statistics::{
    BackendOperation, BackendOutcome, CallResult, EvictionCause, InvalidationBy, InvalidationOrigin,
    InvalidationOutcome, MissReason, RunOutcome, RunTrigger, StoreOutcome,
};
use larder::{Cache, EventKind, Memory, RecvError, blocking};

use crate::support::{Forgetful, does, kinds, panics, shared, timed};

#[test]
fn a_miss_tells_of_its_run_its_value_and_its_end_and_a_hit_tells_nothing() {
    let (cache, _) = timed();
    let mut events = cache.events();
    cache.with_sync(|| does("a")).unwrap();
    let told = kinds(&mut events);
    let [EventKind::Run(run), EventKind::Store(store), EventKind::Call(call)] = &told[..] else { panic!("{told:?}") };
    assert_eq!((run.function, run.trigger, run.outcome), ("seen.does", RunTrigger::Call, RunOutcome::Returned));
    assert!(run.took.is_some());
    assert_eq!((store.function, store.outcome), ("seen.does", StoreOutcome::Stored));
    assert_eq!((call.function, call.result, call.missed), ("seen.does", CallResult::Ran, Some(MissReason::Absent)));
    cache.with_sync(|| does("a")).unwrap();
    assert_eq!(kinds(&mut events), []);
}

#[test]
fn runs_that_come_to_nothing() {
    let (cache, _) = timed();
    let mut events = cache.events();
    cache.with_sync(|| {
        does("err").unwrap_err();
        panics(|| drop(does("panic")));
    });
    let ends: Vec<_> = kinds(&mut events)
        .into_iter()
        .filter_map(|kind| match kind {
            EventKind::Run(run) => Some(run.outcome.name()),
            EventKind::Call(call) => Some(call.result.name()),
            _ => None,
        })
        .collect();
    assert_eq!(ends, ["failed", "failed", "panicked", "panicked"]);
}

#[test]
fn invalidations_tell_what_and_how() {
    let (cache, backend) = shared();
    let other = Cache::builder().backend(backend.another_process()).build().unwrap();
    let (mut here, mut there) = (cache.events(), other.events());
    cache.with_sync(|| blocking::invalidate_tag("does")).unwrap();
    let one = |events: &mut _| {
        let found = kinds(events).into_iter().find_map(|kind| match kind {
            EventKind::Invalidation(told) => Some(told),
            _ => None,
        });
        found.unwrap()
    };
    let (told, heard) = (one(&mut here), one(&mut there));
    assert_eq!((told.by, told.origin), (InvalidationBy::Tag, InvalidationOrigin::Here));
    assert_eq!(told.outcome, InvalidationOutcome::Done);
    assert_eq!(heard.origin, InvalidationOrigin::Elsewhere);
    assert_eq!(told.tags, heard.tags);
    assert_eq!(told.tags.len(), 1);
}

#[test]
fn backends_and_lost_messages() {
    let backend = Forgetful::default();
    let cache = Cache::builder().backend(backend.clone()).build().unwrap();
    let mut events = cache.events();
    cache.with_sync(|| does("a")).unwrap();
    let told = kinds(&mut events);
    let operations: Vec<_> = told
        .iter()
        .filter_map(|kind| match kind {
            EventKind::Backend(told) => Some((told.operation, told.outcome)),
            _ => None,
        })
        .collect();
    use BackendOperation::{Lease, Read, Store};
    assert_eq!(operations, [Read, Lease, Store].map(|operation| (operation, BackendOutcome::Ok)));
    backend.lose_messages();
    assert!(kinds(&mut events).contains(&EventKind::Gap));
    assert_eq!(cache.stats().gaps, 1);
}

#[test]
fn what_makes_room_is_told() {
    let cache = Cache::builder().memory(Memory::builder().max_entries(1)).build().unwrap();
    let mut events = cache.events();
    cache.with_sync(|| (does("a").unwrap(), does("b").unwrap()));
    let evicted: Vec<_> = kinds(&mut events)
        .into_iter()
        .filter_map(|kind| match kind {
            EventKind::Eviction(eviction) => Some((eviction.function, eviction.cause)),
            _ => None,
        })
        .collect();
    assert_eq!(evicted, [("seen.does", EvictionCause::Capacity)]);
}

#[tokio::test]
async fn who_waits_hears_of_what_comes_and_of_the_end() {
    let (cache, _) = timed();
    let mut events = cache.events();
    let heard = tokio::spawn(async move { (events.recv().await.is_ok(), events.recv().await) });
    tokio::task::yield_now().await;
    cache.invalidate_tag("a").await.unwrap();
    tokio::task::yield_now().await;
    drop(cache);
    assert_eq!(heard.await.unwrap(), (true, Err(RecvError::Closed)));
}

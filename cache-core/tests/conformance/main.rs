//! The conformance suite passes the reference backend, and fails backends that break the contract in one way each: a
//! suite that can't fail proves nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod flawed;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cache_core::backend::{Backend, BoxFuture};
use cache_core::conformance::{Broken, Conformance, ConformanceFailure, Point, Subject};
use cache_core::reference::SharedMemory;
use cache_core::{Clock, Error};

use self::flawed::{Flaw, Flawed};

fn sleep(time: Duration) -> BoxFuture<'static, ()> {
    Box::pin(tokio::time::sleep(time))
}

fn subject(memory: &SharedMemory, first: impl Backend, second: impl Backend) -> Subject {
    let hook = |lose: fn(&SharedMemory)| {
        let memory = memory.clone();
        move || {
            lose(&memory);
            std::future::ready(())
        }
    };
    Subject::new(first, second)
        .stranger(SharedMemory::new())
        .lose_tag_records(hook(SharedMemory::lose_buckets))
        .lose_clock(hook(SharedMemory::lose_clock))
        .lose_leases(hook(SharedMemory::lose_leases))
        .damage_entries(hook(|memory| {
            memory.corrupt(|blob| {
                let middle = blob.len() / 2;
                blob[middle] ^= 4;
            });
        }))
}

#[tokio::test]
async fn shared_memory_keeps_the_contract_by_a_manual_clock() {
    let make = || async {
        let clock = Clock::manual();
        let memory = SharedMemory::with_clock(&clock);
        let subject = subject(&memory, memory.clone(), memory.another_process());
        Ok(subject.advance(move |time| {
            clock.advance(time);
            std::future::ready(())
        }))
    };
    let report = Conformance::new(make, sleep).all().await.unwrap_or_else(|failure| panic!("{failure}"));
    let all_but_holds: Vec<_> = Point::ALL.into_iter().filter(|point| *point != Point::Holds).collect();
    assert_eq!(report.passed(), all_but_holds, "it has no holds");
}

#[tokio::test]
async fn shared_memory_keeps_the_contract_in_real_time_and_without_hooks() {
    let make = || async {
        let memory = SharedMemory::new();
        Ok(Subject::new(memory.another_process(), memory))
    };
    let suite = Conformance::new(make, sleep).lease(Duration::from_millis(50));
    let report = suite.all().await.unwrap_or_else(|failure| panic!("{failure}"));
    let skipped: Vec<_> = report.skipped().iter().map(|(point, _)| *point).collect();
    assert_eq!(skipped, [Point::FailClosed, Point::Fencing, Point::Holds]);
    assert!(report.to_string().contains("not checked: fail closed (needs `Subject::lose_tag_records`)"), "{report}");
}

/// On a runtime of nothing: a thread that sleeps for each timeout.
#[test]
fn the_suite_needs_no_runtime() {
    fn sleep(time: Duration) -> BoxFuture<'static, ()> {
        let done = Arc::new(AtomicBool::new(false));
        let mut started = false;
        Box::pin(std::future::poll_fn(move |context| {
            if done.load(Ordering::Acquire) {
                return std::task::Poll::Ready(());
            }
            if !std::mem::replace(&mut started, true) {
                let (done, waker) = (Arc::clone(&done), context.waker().clone());
                std::thread::spawn(move || {
                    std::thread::sleep(time.min(Duration::from_millis(300)));
                    done.store(true, Ordering::Release);
                    waker.wake();
                });
            }
            std::task::Poll::Pending
        }))
    }
    let make = || async {
        let memory = SharedMemory::new();
        Ok(Subject::new(memory.another_process(), memory))
    };
    let suite = Conformance::new(make, sleep);
    for point in [Point::Leases, Point::Wake] {
        pollster::block_on(suite.check(point)).unwrap();
    }
}

#[tokio::test]
async fn a_backend_that_cannot_be_made_is_a_failure() {
    let make = || async { Err(Error::new(cache_core::ErrorKind::Unavailable, "no server")) };
    let failure = Conformance::new(make, sleep).all().await.unwrap_err();
    assert_eq!(failure.broken().len(), Point::ALL.len());
    assert!(failure.to_string().contains("no server"), "{failure}");
}

async fn run(flaw: Flaw) -> Result<(), ConformanceFailure> {
    let make = move || async move {
        let clock = Clock::manual();
        let memory = SharedMemory::with_clock(&clock);
        let lost = Arc::new(AtomicBool::new(false));
        let first = Flawed { memory: memory.clone(), flaw, kept: Arc::default(), lost: Arc::clone(&lost) };
        let second = Flawed { memory: memory.another_process(), ..first.clone() };
        let hooked = subject(&memory, first, second);
        let lose = memory.clone();
        let hooked = hooked.lose_tag_records(move || {
            lose.lose_buckets();
            lost.store(true, Ordering::Release);
            std::future::ready(())
        });
        Ok(hooked.advance(move |time| {
            clock.advance(time);
            std::future::ready(())
        }))
    };
    let patience = Duration::from_millis(200);
    Conformance::new(make, sleep).patience(patience).limit(patience * 2).all().await.map(drop)
}

/// The flaw is found, under its name.
async fn finds(flaw: Flaw, points: &[Point]) -> ConformanceFailure {
    let failure = run(flaw).await.expect_err(&format!("{flaw:?} passes"));
    let found: Vec<_> = failure.broken().iter().map(Broken::point).collect();
    for point in points {
        assert!(found.contains(point), "{flaw:?} should break {point}, but: {failure}");
        assert!(failure.to_string().contains(&point.to_string()), "{failure}");
    }
    failure
}

/// And only there: the other points don't fail for it.
async fn finds_only(flaw: Flaw, points: &[Point]) {
    let failure = finds(flaw, points).await;
    let others = failure.broken().iter().filter(|broken| !points.contains(&broken.point())).count();
    assert_eq!(others, 0, "{flaw:?} should only break {points:?}, but: {failure}");
}

#[tokio::test]
async fn a_wrapper_without_flaws_passes() {
    run(Flaw::None).await.unwrap_or_else(|failure| panic!("{failure}"));
}

#[tokio::test]
async fn invalidation_flaws_are_found() {
    finds(Flaw::IgnoresTags, &[Point::Liveness, Point::FailClosed]).await;
    finds_only(Flaw::IgnoresStamps, &[Point::Liveness]).await;
    finds(Flaw::IgnoresLateTags, &[Point::Liveness]).await;
    finds(Flaw::InvalidatesOneTagOnly, &[Point::Sizes, Point::Listeners]).await;
    finds_only(Flaw::ForgetsInvalidationsOnLoss, &[Point::FailClosed]).await;
    finds(Flaw::ClockStandsStill, &[Point::Order]).await;
    finds_only(Flaw::DoesntLearnFromItself, &[Point::Order]).await;
}

#[tokio::test]
async fn lease_flaws_are_found() {
    finds(Flaw::NeverReleases, &[Point::Leases, Point::Wake]).await;
    finds(Flaw::StoreDoesntRelease, &[Point::Leases]).await;
    finds(Flaw::TwoLeases, &[Point::Leases, Point::Renewal]).await;
    finds_only(Flaw::LeasesExpireWhileHeld, &[Point::Renewal]).await;
    finds_only(Flaw::NoFence, &[Point::Fencing, Point::TakeOver]).await;
    finds_only(Flaw::IgnoresTakeOver, &[Point::TakeOver]).await;
    finds(Flaw::TakesOverAlways, &[Point::Leases, Point::Changed]).await;
    finds_only(Flaw::LeavesNothingAlways, &[Point::Unstored]).await;
    finds(Flaw::DropReleasesOthers, &[Point::Fencing]).await;
    finds_only(Flaw::KeepsWhatIsGivenUp, &[Point::Leases]).await;
    finds_only(Flaw::ForgetsChanged, &[Point::Changed, Point::Fencing]).await;
    finds(Flaw::AlwaysChanged, &[Point::Changed]).await;
}

#[tokio::test]
async fn waiting_flaws_are_found() {
    finds(Flaw::NeverWakes, &[Point::Wake]).await;
    finds(Flaw::WakesAtTheEndOfTheLease, &[Point::Wake]).await;
    finds(Flaw::Spins, &[Point::Wake]).await;
    finds_only(Flaw::LeaksCancelledLease, &[Point::Cancel]).await;
    finds(Flaw::Hangs, &[Point::Time]).await;
}

#[tokio::test]
async fn storage_flaws_are_found() {
    finds_only(Flaw::ForgetsTtl, &[Point::Lifetimes]).await;
    finds_only(Flaw::CutsTtlToSeconds, &[Point::Lifetimes]).await;
    finds_only(Flaw::SkipsWhatIsOver, &[Point::Lifetimes]).await;
    finds_only(Flaw::MixesKeys, &[Point::Separation]).await;
    finds_only(Flaw::LosesLargeValues, &[Point::Sizes]).await;
    finds(Flaw::LosesEmptyValues, &[Point::Sizes]).await;
}

#[tokio::test]
async fn other_flaws_are_found() {
    finds_only(Flaw::EndsHoldsSilently, &[Point::Holds]).await;
    finds_only(Flaw::ForgetsDroppedHolds, &[Point::Holds]).await;
    finds_only(Flaw::HoldsInvalidateEarly, &[Point::Holds]).await;
    finds_only(Flaw::DeafListener, &[Point::Listeners]).await;
    finds_only(Flaw::KeepsListenerAlive, &[Point::Listeners]).await;
    finds(Flaw::Panics, &[Point::Errors]).await;
    finds_only(Flaw::WorksAfterClose, &[Point::Errors]).await;
    finds_only(Flaw::AcceptsForeignLeases, &[Point::Errors]).await;
}

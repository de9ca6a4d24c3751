//! Each call counts once, and each run, whatever becomes of it.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use larder::reference::SharedMemory;
use larder::{Cache, Clock, ErrorKind, blocking, cached};
use proptest::prelude::*;

/// What bodies do that are polled.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mood {
    Wait,
    Return,
    Fail,
    Panic,
}

thread_local!(static MOOD: Cell<Mood> = const { Cell::new(Mood::Return) });

async fn body() -> Result<u64, String> {
    loop {
        match MOOD.get() {
            Mood::Wait => tokio::task::yield_now().await,
            Mood::Return => return Ok(1),
            Mood::Fail => return Err("no".into()),
            // Without a word on stderr.
            Mood::Panic => std::panic::resume_unwind(Box::new(())),
        }
    }
}

#[cached(name = "sums.plain", tags = ["sums"], ttl = "10s")]
async fn plain(_id: u8) -> Result<u64, String> {
    body().await
}

#[cached(name = "sums.falls_back", ttl = "10s", stale_if_error = "1h")]
async fn falls_back(_id: u8) -> Result<u64, String> {
    body().await
}

#[cached(name = "sums.revalidates", ttl = "10s", stale_while_revalidate = "1h", tags = ["sums"])]
async fn revalidates(_id: u8) -> Result<u64, String> {
    body().await
}

#[cached(name = "sums.is_patient", ttl = "10s", timeout = "1h", stale_if_error = "1h")]
async fn is_patient(_id: u8) -> Result<u64, String> {
    body().await
}

#[cached(name = "sums.asks", ttl = "10s", max_wait = "1ms")]
async fn asks(id: u8) -> Result<u64, String> {
    plain(id).await?;
    body().await
}

const NAMES: [&str; 5] = ["sums.plain", "sums.falls_back", "sums.revalidates", "sums.is_patient", "sums.asks"];

fn call(function: u8, id: u8) -> Pin<Box<dyn Future<Output = Result<u64, String>>>> {
    match function {
        0 => Box::pin(plain(id)),
        1 => Box::pin(falls_back(id)),
        2 => Box::pin(revalidates(id)),
        3 => Box::pin(is_patient(id)),
        _ => Box::pin(asks(id)),
    }
}

#[derive(Clone, Debug)]
enum Step {
    Call { function: u8, id: u8, uncached: bool },
    Poll(u8),
    Drop(u8),
    Mood(Mood),
    Advance,
    Invalidate,
    Backend(bool),
}

fn step() -> impl Strategy<Value = Step> {
    let mood = prop_oneof![
        3 => Just(Mood::Wait), 3 => Just(Mood::Return), 1 => Just(Mood::Fail), 1 => Just(Mood::Panic)
    ];
    prop_oneof![
        6 => (0..5_u8, 0..2_u8, prop::bool::weighted(0.1)).prop_map(|(function, id, uncached)| {
            Step::Call { function, id, uncached }
        }),
        6 => any::<u8>().prop_map(Step::Poll),
        2 => any::<u8>().prop_map(Step::Drop),
        4 => mood.prop_map(Step::Mood),
        1 => Just(Step::Advance),
        1 => Just(Step::Invalidate),
        1 => any::<bool>().prop_map(Step::Backend),
    ]
}

/// How many calls of each function began.
async fn play(steps: Vec<Step>, cache: &Cache, backend: &SharedMemory, clock: &larder::ManualClock) -> [u64; 5] {
    let mut begun = [0; 5];
    let mut calls: Vec<Pin<Box<dyn Future<Output = _>>>> = Vec::new();
    let poll = |future: &mut Pin<Box<dyn Future<Output = _>>>| {
        let mut polled = || future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        // A panic is an end as well.
        catch_unwind(AssertUnwindSafe(&mut polled)).unwrap_or(Poll::Ready(Err("panic".to_owned())))
    };
    for step in steps {
        match step {
            Step::Call { function, id, uncached } => {
                // A call inside another one is a call too.
                let cache = cache.clone();
                let future = call(function, id);
                let mut future: Pin<Box<dyn Future<Output = _>>> = if uncached {
                    Box::pin(async move { cache.with(larder::without_cache(future)).await })
                } else {
                    Box::pin(async move { cache.with(future).await })
                };
                begun[usize::from(function)] += 1;
                if poll(&mut future).is_pending() {
                    calls.push(future);
                }
            }
            Step::Poll(which) if !calls.is_empty() => {
                let which = usize::from(which) % calls.len();
                if poll(&mut calls[which]).is_ready() {
                    drop(calls.swap_remove(which));
                }
            }
            Step::Drop(which) if !calls.is_empty() => {
                let which = usize::from(which) % calls.len();
                drop(calls.swap_remove(which));
            }
            Step::Poll(_) | Step::Drop(_) => {}
            Step::Mood(mood) => MOOD.set(mood),
            Step::Advance => clock.advance(Duration::from_secs(11)),
            Step::Invalidate => drop(cache.with_sync(|| blocking::invalidate_tag("sums"))),
            Step::Backend(fails) => backend.fail_with(fails.then_some(ErrorKind::Unavailable)),
        }
        // Runs in the background go on.
        tokio::task::yield_now().await;
    }
    drop(calls);
    MOOD.set(Mood::Return);
    while cache.stats().flights > 0 {
        tokio::task::yield_now().await;
    }
    begun
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn each_call_and_each_run_counts_once(steps in prop::collection::vec(step(), 1..60), has_backend: bool) {
        MOOD.set(Mood::Return);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let clock = Clock::manual();
        let backend = SharedMemory::with_clock(&clock);
        let builder = Cache::builder().clock(&clock);
        let builder = if has_backend { builder.backend(backend.clone()) } else { builder };
        let cache = builder.build().unwrap();
        let begun = runtime.block_on(play(steps, &cache, &backend, &clock));
        drop(runtime);
        let stats = cache.stats();
        for (name, begun) in NAMES.into_iter().zip(begun) {
            let Some(of) = stats.function(name) else {
                assert_eq!(begun, 0);
                continue;
            };
            // The one that `asks` calls is called by it alone, once a body.
            let nested = if name == "sums.plain" { stats.function("sums.asks").map_or(0, |asks| asks.runs) } else { 0 };
            prop_assert_eq!(of.calls.total(), begun + nested, "{}: {:?}", name, of.calls);
            prop_assert_eq!(of.run_ends.total(), of.runs, "{}: {:?}", name, of.run_ends);
            prop_assert_eq!(of.missed.total(), of.misses);
            prop_assert_eq!(of.run_times.count, of.run_ends.total() - ends_without_value(of));
        }
    }
}

fn ends_without_value(of: &larder::FunctionStats) -> u64 {
    use larder::statistics::RunTrigger;
    RunTrigger::ALL.iter().map(|trigger| of.run_ends.get(*trigger)).map(|ends| ends.panicked + ends.cancelled).sum()
}

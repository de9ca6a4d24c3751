//! Futures that are polled again after their end, or dropped before; and what a hit knows of its function.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use super::shape::{LocalOnly, Whole};
use super::{Call, Here, Lookup, Place, Site, SiteOptions, lookup};
use crate::cache::Cache;
use crate::key::KeyBuf;
use crate::key::call_key::whose;
use crate::thread_cache::thread;

type OfNumber = Whole<u64, LocalOnly>;

const AT: Place = Place { module: "m", line: 1, column: 1, code: 1 };

/// A call of a function without arguments, which memory doesn't answer.
fn call(site: &'static Site, cache: &Cache) -> Call<OfNumber> {
    match lookup(site, Here::of(&|| ()), OfNumber::NEW, None, Some(cache), KeyBuf::new()) {
        Lookup::Miss(call) => call,
        Lookup::Hit(_) => panic!("memory has it"),
    }
}

fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// What a poll panics with.
fn panic_of<F: Future + ?Sized>(future: Pin<&mut F>) -> String {
    match catch_unwind(AssertUnwindSafe(|| poll(future).map(drop))) {
        Ok(polled) => panic!("{polled:?} is no panic"),
        Err(panic) => match panic.downcast::<String>() {
            Ok(message) => *message,
            Err(panic) => panic.downcast_ref::<&str>().unwrap().to_string(),
        },
    }
}

const AFTER: &str = "a call of a cached function polled after completion";

#[test]
fn a_call_that_ran() {
    static SITE: Site = Site::new(SiteOptions::of("f", AT));
    let cache = Cache::builder().build().unwrap();
    let mut running = pin!(call(&SITE, &cache).run(Box::pin(async { 7 })));
    assert_eq!(poll(running.as_mut()), Poll::Ready(7));
    assert_eq!(panic_of(running.as_mut()), AFTER);
    assert_eq!(panic_of(running.as_mut()), AFTER);
}

#[test]
fn a_call_that_another_run_answered() {
    static SITE: Site = Site::new(SiteOptions::of("f", AT));
    let cache = Cache::builder().build().unwrap();
    let mut yielded = false;
    let once = poll_fn(move |_| if std::mem::replace(&mut yielded, true) { Poll::Ready(7) } else { Poll::Pending });
    let mut leads = pin!(call(&SITE, &cache).run(Box::pin(once)));
    let mut waits = pin!(call(&SITE, &cache).run(Box::pin(async { panic!("it waits") })));
    assert_eq!((poll(leads.as_mut()), poll(waits.as_mut())), (Poll::Pending, Poll::Pending));
    assert_eq!((poll(leads.as_mut()), poll(waits.as_mut())), (Poll::Ready(7), Poll::Ready(7)));
    assert_eq!((panic_of(leads.as_mut()), panic_of(waits.as_mut())), (AFTER.into(), AFTER.into()));
}

#[test]
fn a_call_whose_body_panicked() {
    static SITE: Site = Site::new(SiteOptions::of("f", AT));
    let cache = Cache::builder().build().unwrap();
    let mut running = pin!(call(&SITE, &cache).run(Box::pin(async { panic_any("the body's".to_owned()) })));
    assert_eq!(panic_of(running.as_mut()), "the body's");
    assert_eq!(panic_of(running.as_mut()), AFTER);
}

#[test]
fn a_call_that_may_leave_its_run_behind() {
    static SITE: Site = Site::new(SiteOptions::of("f", AT));
    let cache = Cache::builder().build().unwrap();
    let mut running = call(&SITE, &cache).run_owned(|| Box::pin(async { 7 }));
    assert_eq!(poll(running.as_mut()), Poll::Ready(7));
    assert!(panic_of(running.as_mut()).contains("resumed after completion"), "the language's own");
}

/// Whoever waits for two that panicked runs its body unshared. Two that were dropped because something else panicked are none.
#[test]
fn calls_that_are_dropped_while_a_panic_unwinds_have_not_panicked() {
    static SITE: Site = Site::new(SiteOptions::of("f", AT));
    let cache = Cache::builder().build().unwrap();
    let [first, second, third, fourth] =
        std::array::from_fn(|_| Box::pin(call(&SITE, &cache).run(Box::pin(std::future::pending()))));
    let mut calls = [first, second, third, fourth];
    calls.iter_mut().for_each(|call| assert_eq!(poll(call.as_mut()), Poll::Pending));
    for number in 0..2 {
        let dropped =
            std::mem::replace(&mut calls[number], Box::pin(call(&SITE, &cache).run(Box::pin(std::future::pending()))));
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            let _dropped = dropped;
            panic_any("of something else");
        }));
        assert!(unwound.is_err());
        calls.iter_mut().skip(number + 1).for_each(|call| assert_eq!(poll(call.as_mut()), Poll::Pending));
    }
    let stats = cache.stats();
    let stats = &stats.functions[0];
    assert_eq!((stats.runs, stats.unshared), (3, 0), "each of them led in its turn");
}

/// So a hit of theirs is answered by the thread's table as well, without a lock and without a search.
#[test]
fn all_instantiations_of_a_function_are_known_to_the_threads_table() {
    static SITE: Site = Site::new(SiteOptions::of("f", AT));
    fn here_of<const N: usize>() -> Here {
        Here::of(&|| ())
    }
    let heres = [here_of::<0>(), here_of::<1>(), here_of::<2>(), here_of::<3>()];
    let function = SITE.in_process_cache();
    for _ in 0..2 {
        for (number, here) in (0..).zip(heres) {
            let seed = SITE.instance(here).id.seed;
            let mut known = None;
            thread::with(&mut |thread| known = SITE.known(thread, here));
            assert_eq!(known, Some((whose(function.id, number), seed)));
        }
    }
}

//! Futures that are polled again after their end.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use super::shape::{LocalOnly, Whole};
use super::{Call, Here, Lookup, Place, Site, SiteOptions, lookup};
use crate::cache::Cache;
use crate::key::KeyBuf;

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

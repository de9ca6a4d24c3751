//! Spans and events for the `tracing` facade, as a subscriber of this test's sees them.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, LazyLock, Mutex};

use larder::{Cache, blocking, cached};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::with_default;
use tracing::{Dispatch, Event, Level, Metadata, Subscriber, info};

use crate::support::{Forgetful, does, poll_once, seconds, timed};

#[derive(Clone, Debug, Default, PartialEq)]
struct Seen {
    name: String,
    level: String,
    target: String,
    fields: BTreeMap<String, String>,
    /// The span that it is in, by number; 0 for none.
    inside: u64,
    follows: Vec<u64>,
    is_closed: bool,
}

#[derive(Debug, Default)]
struct State {
    spans: Vec<Seen>,
    events: Vec<Seen>,
    entered: Vec<u64>,
    references: Vec<usize>,
}

#[derive(Clone, Default)]
struct Watching(Arc<Mutex<State>>);

struct Fields<'a>(&'a mut BTreeMap<String, String>);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}").trim_matches('"').to_owned());
    }
}

fn seen(metadata: &Metadata<'_>, inside: u64) -> Seen {
    Seen {
        name: metadata.name().to_owned(),
        level: metadata.level().to_string(),
        target: metadata.target().to_owned(),
        inside,
        ..Seen::default()
    }
}

impl Subscriber for Watching {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut state = self.0.lock().unwrap();
        let current = state.entered.last().copied().unwrap_or(0);
        let inside = match span.parent() {
            Some(parent) => parent.into_u64(),
            None if span.is_root() => 0,
            None => current,
        };
        let mut new = seen(span.metadata(), inside);
        span.record(&mut Fields(&mut new.fields));
        state.spans.push(new);
        state.references.push(1);
        Id::from_u64(state.spans.len() as u64)
    }
    fn record(&self, span: &Id, values: &Record<'_>) {
        let mut state = self.0.lock().unwrap();
        values.record(&mut Fields(&mut state.spans[span.into_u64() as usize - 1].fields));
    }
    fn record_follows_from(&self, span: &Id, follows: &Id) {
        let mut state = self.0.lock().unwrap();
        assert!(!state.spans[follows.into_u64() as usize - 1].is_closed, "what is followed is still there");
        state.spans[span.into_u64() as usize - 1].follows.push(follows.into_u64());
    }
    fn event(&self, event: &Event<'_>) {
        let mut state = self.0.lock().unwrap();
        let current = state.entered.last().copied().unwrap_or(0);
        let mut new = seen(event.metadata(), event.parent().map_or(current, Id::into_u64));
        event.record(&mut Fields(&mut new.fields));
        state.events.push(new);
    }
    fn enter(&self, span: &Id) {
        self.0.lock().unwrap().entered.push(span.into_u64());
    }
    fn exit(&self, span: &Id) {
        assert_eq!(self.0.lock().unwrap().entered.pop(), Some(span.into_u64()));
    }
    fn clone_span(&self, span: &Id) -> Id {
        self.0.lock().unwrap().references[span.into_u64() as usize - 1] += 1;
        span.clone()
    }
    fn try_close(&self, span: Id) -> bool {
        let mut state = self.0.lock().unwrap();
        let place = span.into_u64() as usize - 1;
        state.references[place] -= 1;
        state.spans[place].is_closed = state.references[place] == 0;
        state.spans[place].is_closed
    }
}

impl Watching {
    fn within<R>(work: impl FnOnce() -> R) -> (Self, R) {
        // With one subscriber at a time, `tracing` asks that of whichever thread comes to a callsite first, which may be
        // another test's that has none.
        static OTHERS: LazyLock<[Dispatch; 2]> = LazyLock::new(|| [(); 2].map(|()| Dispatch::new(Watching::default())));
        LazyLock::force(&OTHERS);
        let watching = Self::default();
        let result = with_default(watching.clone(), work);
        (watching, result)
    }

    fn spans(&self) -> Vec<Seen> {
        self.0.lock().unwrap().spans.clone()
    }

    fn events(&self, message: &str) -> Vec<Seen> {
        let state = self.0.lock().unwrap();
        let is_it = |event: &&Seen| event.fields.get("message").is_some_and(|found| found.contains(message));
        state.events.iter().filter(is_it).cloned().collect()
    }
}

impl Seen {
    fn has(&self, field: &str) -> Option<&str> {
        self.fields.get(field).map(String::as_str)
    }
}

#[test]
fn a_call_that_memory_does_not_answer_is_a_span_with_its_body_inside() {
    #[cached(name = "traces.outer")]
    fn outer(id: u64) -> u64 {
        info!("in the body");
        inner(id)
    }
    #[cached(name = "traces.inner")]
    fn inner(id: u64) -> u64 {
        id
    }
    let (cache, _) = timed();
    let (watching, _) = Watching::within(|| cache.with_sync(|| (outer(4711), outer(4711))));
    let spans = watching.spans();
    let [outer, inner] = &spans[..] else { panic!("{spans:#?}") };
    assert_eq!((outer.name.as_str(), outer.level.as_str(), outer.target.as_str()), ("larder.call", "DEBUG", "larder"));
    assert_eq!((outer.has("larder.function"), outer.has("cache.operation")), (Some("traces.outer"), Some("get")));
    assert_eq!((outer.has("cache.hit"), outer.has("larder.source")), (Some("false"), Some("ran")));
    assert_eq!((outer.has("larder.miss_reason"), outer.has("larder.store")), (Some("absent"), Some("stored")));
    assert_eq!((outer.inside, inner.inside), (0, 1));
    assert!(outer.is_closed && inner.is_closed);
    assert_eq!(watching.events("in the body")[0].inside, 1);
    let runs = watching.events("run");
    assert!(runs.iter().all(|run| run.level == "DEBUG" && run.has("larder.outcome") == Some("returned")));
    assert_eq!(runs.len(), 2);
    let state = watching.0.lock().unwrap();
    let told = state.spans.iter().chain(&state.events).flat_map(|seen| seen.fields.values());
    assert!(told.into_iter().all(|value| !value.contains("4711")), "nothing of arguments");
}

#[test]
fn who_waits_follows_from_who_leads() {
    #[cached(name = "traces.shared")]
    async fn shared() -> u64 {
        tokio::task::yield_now().await;
        1
    }
    let (cache, _) = timed();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let calls = || runtime.block_on(cache.with(async { tokio::join!(shared(), shared()) }));
    let (watching, _) = Watching::within(calls);
    let spans = watching.spans();
    let [leads, waits] = &spans[..] else { panic!("{spans:#?}") };
    assert_eq!((leads.has("larder.source"), waits.has("larder.source")), (Some("ran"), Some("waited")));
    assert_eq!((&leads.follows[..], &waits.follows[..]), (&[][..], &[1][..]));
}

#[test]
fn a_background_run_is_linked_to_what_started_it() {
    #[cached(name = "traces.renewed", ttl = "1s", stale_while_revalidate = "1h")]
    async fn renewed() -> u64 {
        1
    }
    let (cache, clock) = timed();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let calls = async {
        cache.with(renewed()).await;
        clock.advance(seconds(2));
        cache.with(renewed()).await;
        while cache.stats().flights > 0 {
            tokio::task::yield_now().await;
        }
    };
    let (watching, ()) = Watching::within(|| runtime.block_on(calls));
    let spans = watching.spans();
    let [_, starts, runs] = &spans[..] else { panic!("{spans:#?}") };
    assert_eq!((starts.has("larder.source"), starts.has("cache.hit")), (Some("stale"), Some("true")));
    assert_eq!((runs.name.as_str(), runs.inside, &runs.follows[..]), ("larder.background", 0, &[2][..]));
    let hits = watching.events("hit");
    assert_eq!((hits.len(), hits[0].level.as_str(), hits[0].inside), (1, "TRACE", 2));
    assert!(runs.is_closed);
}

#[test]
fn invalidations_and_trouble() {
    let backend = Forgetful::default();
    let cache = Cache::builder().backend(backend.clone()).build().unwrap();
    let (watching, ()) = Watching::within(|| {
        cache.with_sync(|| {
            does("a").unwrap();
            blocking::invalidate_tag("a secret").unwrap();
            backend.fail(true);
            for what in ["b", "c", "d"] {
                does(what).unwrap();
            }
            backend.fail(false);
            does("e").unwrap();
            does("f").unwrap();
        });
        backend.lose_messages();
    });
    let told = watching.events("invalidation");
    assert_eq!(told[0].level, "DEBUG");
    assert_eq!((told[0].has("larder.by"), told[0].has("larder.origin")), (Some("tag"), Some("here")));
    let levels = |message: &str| watching.events(message).into_iter().map(|event| event.level).collect::<Vec<_>>();
    assert_eq!(levels("the backend answers"), ["INFO", "INFO"], "at first, and when it is over");
    assert_eq!(levels("the backend answers again"), ["INFO"]);
    assert_eq!(levels("the backend fails"), ["WARN"], "once");
    assert_eq!(levels("messages about invalidations were lost"), ["WARN"]);
    let state = watching.0.lock().unwrap();
    let told = state.spans.iter().chain(&state.events).flat_map(|seen| seen.fields.values());
    assert!(told.into_iter().all(|value| !value.contains("secret")));
}

#[test]
fn a_call_that_is_dropped_closes_its_span() {
    let (cache, _) = timed();
    let (watching, ()) = Watching::within(|| {
        let mut call = Box::pin(cache.with(crate::support::waits(7)));
        assert!(!poll_once(call.as_mut()));
    });
    let spans = watching.spans();
    assert_eq!((spans[0].has("larder.source"), spans[0].is_closed), (Some("cancelled"), true));
    assert_eq!(watching.events("run")[0].has("larder.outcome"), Some("cancelled"));
    assert_eq!(Level::DEBUG.to_string(), spans[0].level);
}

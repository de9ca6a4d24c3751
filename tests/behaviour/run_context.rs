//! `Cache::builder().context(..)`: what is the caller's, in runs that outlive it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use larder::{Cache, Clock, ManualClock, cached};

use crate::support::{Gate, Runs, seconds, stats_of, until, until_sync};

tokio::task_local!(static TENANT: String);

fn tenant() -> String {
    TENANT.try_with(String::clone).unwrap_or_else(|_| "nobody".to_owned())
}

/// A cache that takes the tenant along.
fn with_tenant() -> (Cache, ManualClock) {
    let clock = Clock::manual();
    let cache = Cache::builder()
        .clock(&clock)
        .context(
            || TENANT.try_with(String::clone).ok(),
            |tenant, poll| match tenant {
                Some(tenant) => TENANT.sync_scope(tenant.clone(), poll),
                None => poll(),
            },
        )
        .build()
        .unwrap();
    (cache, clock)
}

/// Waits for all runs in the background.
async fn settled(cache: &Cache) {
    until(|| cache.stats().flights == 0).await;
}

#[tokio::test]
async fn a_task_local_in_a_background_run() {
    #[cached(ttl = "10s", stale_while_revalidate = "1h")]
    async fn renewed() -> String {
        let before = tenant();
        tokio::task::yield_now().await;
        before + "/" + &tenant()
    }
    let (cache, clock) = with_tenant();
    let as_tenant = |name: &str| TENANT.scope(name.to_owned(), cache.with(renewed()));
    assert_eq!(as_tenant("a").await, "a/a", "in the foreground it is there anyway");
    clock.advance(seconds(11));
    assert_eq!(as_tenant("b").await, "a/a", "the old value");
    settled(&cache).await;
    assert_eq!(as_tenant("c").await, "b/b", "at each poll");
    clock.advance(seconds(11));
    assert_eq!(cache.with(renewed()).await, "b/b");
    settled(&cache).await;
    assert_eq!(cache.with(renewed()).await, "nobody/nobody", "who has none hands none on");
}

#[tokio::test]
async fn a_task_local_under_a_timeout_and_refreshed_ahead() {
    #[cached(ttl = "10s", stale_if_error = "1h", timeout = "1h")]
    async fn patient() -> Result<String, String> {
        tokio::task::yield_now().await;
        Ok(tenant())
    }
    #[cached(ttl = "10s", refresh_ahead = 0.5)]
    fn ahead() -> String {
        tenant()
    }
    let (cache, clock) = with_tenant();
    let as_tenant = async |name: &str| {
        let calls = async { (patient().await.unwrap(), ahead()) };
        TENANT.scope(name.to_owned(), cache.with(calls)).await
    };
    let both = |name: &str| (name.to_owned(), name.to_owned());
    assert_eq!(as_tenant("a").await, both("a"));
    clock.advance(seconds(6));
    assert_eq!(as_tenant("b").await, both("a"));
    settled(&cache).await;
    assert_eq!(as_tenant("c").await, ("a".into(), "b".into()), "renewed ahead of time");
    clock.advance(seconds(6));
    assert_eq!(as_tenant("d").await.0, "d", "it is waited for, and runs elsewhere");
    settled(&cache).await;
}

#[test]
fn a_sync_function_is_entered_once() {
    static ENTERED: AtomicUsize = AtomicUsize::new(0);
    static CAPTURED: AtomicUsize = AtomicUsize::new(0);
    #[cached(ttl = "10s", stale_while_revalidate = "1h")]
    fn renewed() -> usize {
        ENTERED.load(Ordering::SeqCst)
    }
    let clock = Clock::manual();
    let context = Cache::builder().clock(&clock).context(
        || CAPTURED.fetch_add(1, Ordering::SeqCst),
        |_, poll| {
            ENTERED.fetch_add(1, Ordering::SeqCst);
            poll();
            poll(); // once is enough
        },
    );
    let cache = context.build().unwrap();
    assert_eq!(cache.with_sync(renewed), 0);
    for round in 1..4 {
        clock.advance(seconds(11));
        assert_eq!(cache.with_sync(renewed), round - 1);
        until_sync(|| cache.stats().flights == 0);
        assert_eq!(cache.with_sync(renewed), round);
    }
    assert_eq!((CAPTURED.load(Ordering::SeqCst), ENTERED.load(Ordering::SeqCst)), (3, 3));
}

/// Knows which span is current.
#[derive(Clone, Default)]
struct Spans {
    current: Arc<Mutex<Vec<u64>>>,
    all: Arc<Mutex<Vec<&'static tracing::Metadata<'static>>>>,
}

impl tracing::Subscriber for Spans {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, span: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        let mut all = self.all.lock().unwrap();
        all.push(span.metadata());
        tracing::span::Id::from_u64(all.len() as u64)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, _: &tracing::Event<'_>) {}
    fn enter(&self, span: &tracing::span::Id) {
        self.current.lock().unwrap().push(span.into_u64());
    }
    fn exit(&self, _: &tracing::span::Id) {
        self.current.lock().unwrap().pop();
    }
    fn current_span(&self) -> tracing_core::span::Current {
        match self.current.lock().unwrap().last() {
            Some(id) => {
                let metadata = self.all.lock().unwrap()[*id as usize - 1];
                tracing_core::span::Current::new(tracing::span::Id::from_u64(*id), metadata)
            }
            None => tracing_core::span::Current::none(),
        }
    }
}

impl Spans {
    /// The innermost span that isn't larder's own: with the feature `tracing` the body is in one of these.
    fn innermost() -> Option<String> {
        tracing::dispatcher::get_default(|dispatch| {
            let spans = dispatch.downcast_ref::<Self>()?;
            let (all, current) = (spans.all.lock().unwrap(), spans.current.lock().unwrap());
            let mut names = current.iter().rev().map(|id| all[*id as usize - 1].name());
            names.find(|name| !name.starts_with("larder.")).map(str::to_owned)
        })
    }
}

#[tokio::test]
async fn a_span_of_tracing() {
    #[cached(ttl = "10s", stale_while_revalidate = "1h")]
    async fn renewed() -> Option<String> {
        tokio::task::yield_now().await;
        Spans::innermost()
    }
    let clock = Clock::manual();
    let context = Cache::builder().clock(&clock).context(tracing::Span::current, |span, poll| span.in_scope(poll));
    let cache = context.build().unwrap();
    let _subscriber = tracing::subscriber::set_default(Spans::default());
    let within = |name: &'static str| {
        use tracing::Instrument as _;
        let span = if name == "first" { tracing::info_span!("first") } else { tracing::info_span!("second") };
        cache.with(renewed()).instrument(span)
    };
    assert_eq!(within("first").await.as_deref(), Some("first"));
    clock.advance(seconds(11));
    assert_eq!(within("second").await.as_deref(), Some("first"), "the old value");
    settled(&cache).await;
    assert_eq!(cache.with(renewed()).await.as_deref(), Some("second"));
}

#[tokio::test]
async fn a_panic_reaches_nobody_who_has_an_old_value() {
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Panics {
        Capture,
        Enter,
        NotEntered,
        Body,
    }
    static PANICS: Mutex<Option<Panics>> = Mutex::new(None);
    fn panics(at: Panics) -> bool {
        *PANICS.lock().unwrap() == Some(at)
    }
    static RUNS: Runs = Runs::new();
    #[cached(ttl = "10s", stale_while_revalidate = "1h")]
    async fn renewed() -> usize {
        assert!(!panics(Panics::Body), "the body");
        RUNS.add()
    }
    #[cached(ttl = "10s", stale_if_error = "1h", timeout = "1h")]
    fn patient() -> Result<usize, String> {
        assert!(!panics(Panics::Body), "the body");
        Ok(RUNS.add())
    }
    #[cached(ttl = "10s", stale_if_error = "1h", timeout = "1h")]
    async fn fallible() -> Result<usize, String> {
        assert!(!panics(Panics::Body), "the body");
        Ok(RUNS.add())
    }
    let clock = Clock::manual();
    let context = Cache::builder().clock(&clock).context(
        || assert!(!panics(Panics::Capture), "capture"),
        |(), poll| {
            assert!(!panics(Panics::Enter), "enter");
            if !panics(Panics::NotEntered) {
                poll();
            }
        },
    );
    let cache = context.build().unwrap();
    let all = async || {
        let all = async { [renewed().await, patient().unwrap(), fallible().await.unwrap()] };
        cache.with(all).await
    };
    let first = all().await;
    for at in [Panics::Capture, Panics::Enter, Panics::NotEntered, Panics::Body] {
        clock.advance(seconds(61));
        *PANICS.lock().unwrap() = Some(at);
        for _ in 0..3 {
            assert_eq!(all().await, first, "{at:?}");
            settled(&cache).await;
        }
        *PANICS.lock().unwrap() = None;
    }
    assert!(stats_of(&cache, "renewed").panics > 0, "those of `capture` are counted");
    clock.advance(seconds(61));
    all().await;
    settled(&cache).await;
    assert!(all().await.iter().zip(first).all(|(new, old)| *new > old), "and all goes on when it is over");
}

/// Without an old value the caller runs the body itself, where nothing has to be captured.
#[tokio::test]
async fn whoever_has_no_old_value_needs_no_context() {
    static CAPTURES: AtomicBool = AtomicBool::new(false);
    static GATE: Gate = Gate::new();
    #[cached(ttl = "10s", stale_if_error = "1h", timeout = "1h")]
    async fn f() -> Result<usize, String> {
        GATE.pass().await;
        Ok(1)
    }
    let context = Cache::builder().context(|| CAPTURES.store(true, Ordering::SeqCst), |(), poll| poll());
    let cache = context.build().unwrap();
    GATE.open(1);
    assert_eq!(cache.with(f()).await, Ok(1));
    assert!(!CAPTURES.load(Ordering::SeqCst));
}

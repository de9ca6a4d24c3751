//! What a call inherits from the code around it.
//!
//! One mechanism serves sync and async functions: a thread-local that is set while a future is polled or a closure
//! runs, and restored when it returns, panics included. So sync and async functions nest in each other.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::cache::{Cache, Engine};
use crate::caught::caught;
use crate::frame::Frame;
use crate::function::{Here, Site};
use crate::scope::Scope;
use crate::stored::{Assured, Stored};
use crate::tag::{IntoTag, TagSet};
use crate::thread::{self, Thread};

/// Whether calls may be answered from the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Answered from the cache if they can be, stored if they aren't.
    #[default]
    Cached,
    /// Neither answered nor stored.
    Bypassed,
    /// Not answered from the cache, but stored.
    Refreshed,
}

/// What a call inherits. Never changed: a changed one is a new one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Context {
    pub(crate) cache: Option<Cache>,
    pub(crate) scope: Option<Scope>,
    pub(crate) mode: Mode,
    /// The run that is calling.
    pub(crate) frame: Option<Arc<Frame>>,
    /// The first call of this function is refreshed, and no other one: taken by it.
    pub(crate) refreshes_first: Option<Arc<Refresh>>,
}

impl Context {
    /// What [`run_here`] is to say within it.
    fn here(&self) -> u64 {
        let scoped = self.scope.as_ref().is_some_and(|scope| !scope.name().is_empty());
        if self.cache.is_some() || scoped || !self.is_answered() { UNUSUAL } else { self.run() }
    }

    /// Whether calls may be answered from the cache, and none of them is to be refreshed.
    pub(crate) fn is_answered(&self) -> bool {
        self.mode == Mode::Cached && self.refreshes_first.is_none()
    }

    /// The number of the run that calls, 0 outside any.
    pub(crate) fn run(&self) -> u64 {
        self.frame.as_ref().map_or(OUTSIDE, |frame| frame.number)
    }

    /// Whether this call of the function is the one to be refreshed.
    pub(crate) fn take_refresh(&self, site: &'static Site, here: Here) -> bool {
        self.refreshes_first.as_ref().is_some_and(|first| first.take(site, here))
    }
}

/// One call to be refreshed. What its key and scope are made of may call other functions before.
#[derive(Debug)]
pub(crate) struct Refresh {
    site: &'static Site,
    here: Here,
    due: AtomicBool,
}

impl Refresh {
    pub(crate) fn new(site: &'static Site, here: Here) -> Self {
        Self { site, here, due: AtomicBool::new(true) }
    }

    fn take(&self, site: &'static Site, here: Here) -> bool {
        std::ptr::eq(self.site, site) && self.here.is(here) && self.due.swap(false, Ordering::AcqRel)
    }
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<Context>>> = const { RefCell::new(None) };
}

/// No run, and nothing unusual.
pub(crate) const OUTSIDE: u64 = 0;
/// A context that only the whole of it can tell of.
const UNUSUAL: u64 = u64::MAX;

/// The current context; `None` outside any, which costs next to nothing to find out.
#[inline]
pub(crate) fn current() -> Option<Arc<Context>> {
    // Not there any more while the thread's locals are destroyed.
    CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
}

/// The number of the run that calls, 0 outside any; `None` if the call is to be answered in an unusual way: in a scope,
/// from a particular cache, or not at all.
#[inline]
pub(crate) fn run_here(thread: &Thread) -> Option<u64> {
    Some(thread.here.get()).filter(|here| *here != UNUSUAL)
}

/// Has the run that calls depend on this entry, which was found live. `false` if a backend has to be asked first how far
/// it vouches for it, and `engine` isn't given.
#[cfg_attr(not(feature = "memory"), allow(dead_code, reason = "for the store"))]
pub(crate) fn inherit_here(entry: &Stored, engine: Option<&Engine>) -> bool {
    let assured = match engine {
        _ if entry.meta.assured() == Assured::default() => Assured::default(),
        Some(engine) => entry.assured(engine),
        None => return false,
    };
    let inherit = |current: &RefCell<Option<Arc<Context>>>| {
        let current = current.try_borrow().ok()?;
        current.as_ref()?.frame.as_ref()?.inherit(entry.meta.lineage(), entry.meta.is_uncached(), assured);
        Some(())
    };
    CURRENT.try_with(inherit).ok().flatten().is_some()
}

/// Whether runs can't be told what they use, as this thread's locals are being destroyed.
pub(crate) fn is_gone() -> bool {
    CURRENT.try_with(|_| ()).is_err()
}

/// A copy of the current context to derive another from.
pub(crate) fn derive() -> Context {
    current().map_or_else(Context::default, |context| (*context).clone())
}

struct Entered {
    outer: Option<Arc<Context>>,
    here: u64,
}

/// Both at once, or neither while the thread's locals are destroyed.
fn replace(context: Option<Arc<Context>>, here: u64) -> (Option<Arc<Context>>, u64) {
    let replaced = CURRENT.try_with(|current| {
        let mut outer = OUTSIDE;
        thread::with(&mut |thread| outer = thread.here.replace(here));
        (current.replace(context), outer)
    });
    replaced.unwrap_or((None, OUTSIDE))
}

fn enter(context: Option<Arc<Context>>) -> Entered {
    let here = context.as_deref().map_or(OUTSIDE, Context::here);
    let (outer, here) = replace(context, here);
    Entered { outer, here }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let inner = replace(self.outer.take(), self.here);
        drop(inner); // after the borrow: it may be the last handle of a cache
    }
}

/// Runs the future with this context current whenever it is polled.
pub(crate) async fn within<F: Future>(context: Option<Arc<Context>>, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|cx| {
        let _entered = enter(context.clone());
        future.as_mut().poll(cx)
    })
    .await
}

/// Runs the closure with this context current.
pub(crate) fn within_sync<R>(context: Option<Arc<Context>>, closure: impl FnOnce() -> R) -> R {
    let _entered = enter(context);
    closure()
}

/// Runs code that is no part of what is going on here. Cached functions that it calls run uncached.
pub(crate) fn beside<R>(closure: impl FnOnce() -> R) -> R {
    let context = Context { mode: Mode::Bypassed, ..Context::default() };
    within_sync(Some(Arc::new(context)), closure)
}

/// Drops things that the calling code has nothing to do with: what user code does meanwhile is no part of a run, nor
/// in a scope, and a panic in it is not the caller's.
#[cfg_attr(not(feature = "memory"), allow(dead_code, reason = "for the store"))]
pub(crate) fn let_go<T>(what: impl IntoIterator<Item = T>) {
    let frame = current().and_then(|context| Some(Arc::new(Frame::beside(context.frame.as_ref()?))));
    let context = frame.clone().map(|frame| Arc::new(Context { frame: Some(frame), ..Context::default() }));
    // One by one: a second panic while the first unwinds would abort the process.
    within_sync(context, || what.into_iter().for_each(|one| caught(|| drop(one)).unwrap_or_default()));
    frame.as_deref().map(Frame::end);
}

fn with_frame(change: impl FnOnce(&Frame)) {
    if let Some(frame) = current().as_deref().and_then(|context| context.frame.as_deref()) {
        change(frame);
    }
}

/// Adds a tag to the entry of the cached function that is running, and to every entry computed from it. Outside a
/// cached function it does nothing.
pub fn add_tag(tag: impl IntoTag) {
    let mut tags = TagSet::default();
    tags.add(tag);
    with_frame(|frame| frame.add_tags(tags));
}

/// Sets the lifetime of the entry of the cached function that is running, instead of its `ttl` option; the last call
/// counts, and zero means not to store it. Outside a cached function it does nothing.
pub fn set_ttl(ttl: Duration) {
    with_frame(|frame| frame.change(|collected| collected.ttl = Some(ttl)));
}

/// Keeps the result of the cached function that is running out of the cache, and with it the results of all cached
/// functions that are calling it. Outside a cached function it does nothing.
pub fn dont_cache() {
    with_frame(|frame| frame.change(|collected| collected.uncached = true));
}

/// The scope of the cached function that is running; `None` outside one.
pub fn scope() -> Option<Scope> {
    current()?.frame.as_ref()?.scope.clone()
}

/// Runs the future so that cached functions it calls act in this scope.
///
/// ```
/// # async fn run() {
/// # async fn get_user(id: u64) -> u64 { id }
/// let user = cache_core::with_scope("tenant-7", get_user(1)).await;
/// # }
/// ```
pub async fn with_scope<F: Future>(scope: impl Into<Scope>, future: F) -> F::Output {
    let context = Context { scope: Some(scope.into()), ..derive() };
    within(Some(Arc::new(context)), future).await
}

/// Runs the closure so that cached functions it calls act in this scope.
pub fn with_scope_sync<R>(scope: impl Into<Scope>, closure: impl FnOnce() -> R) -> R {
    let context = Context { scope: Some(scope.into()), ..derive() };
    within_sync(Some(Arc::new(context)), closure)
}

fn with_mode(mode: Mode) -> Option<Arc<Context>> {
    let outer = derive();
    // Nothing within is to be stored, whatever it says itself.
    let mode = if outer.mode == Mode::Bypassed { Mode::Bypassed } else { mode };
    Some(Arc::new(Context { mode, ..outer }))
}

/// Runs the future so that cached functions it calls run their bodies, and nothing is stored.
pub async fn without_cache<F: Future>(future: F) -> F::Output {
    within(with_mode(Mode::Bypassed), future).await
}

/// Runs the closure so that cached functions it calls run their bodies, and nothing is stored.
pub fn without_cache_sync<R>(closure: impl FnOnce() -> R) -> R {
    within_sync(with_mode(Mode::Bypassed), closure)
}

/// Runs the future so that cached functions it calls, nested ones included, run their bodies and replace their entries. They
/// wait for no run that is under way. An `Err` is returned also where `stale_if_error` has an old value. Within
/// [`without_cache`] nothing is stored.
pub async fn refreshing<F: Future>(future: F) -> F::Output {
    within(with_mode(Mode::Refreshed), future).await
}

/// Runs the closure so that cached functions it calls, nested ones included, run their bodies and replace their
/// entries; see [`refreshing`]. Within [`without_cache_sync`] nothing is stored.
pub fn refreshing_sync<R>(closure: impl FnOnce() -> R) -> R {
    within_sync(with_mode(Mode::Refreshed), closure)
}

/// Takes the current context along into a future that will run elsewhere: a spawned task has none of its own, so what
/// it calls would not count as used by the run that spawned it, and would not see its scope and cache.
///
/// ```
/// # async fn run() {
/// # async fn get_user(id: u64) -> u64 { id }
/// // inside a cached function
/// let user = tokio::spawn(cache_core::carry(get_user(1))).await;
/// # }
/// ```
///
/// The run has to wait for the task: what the task calls after the run has ended doesn't count any more.
pub fn carry<F: Future>(future: F) -> impl Future<Output = F::Output> + use<F> {
    let context = current();
    within(context, future)
}

/// Takes the current context along into a closure that will run on another thread; see [`carry`].
pub fn carry_sync<R, C: FnOnce() -> R>(closure: C) -> impl FnOnce() -> R + use<R, C> {
    let context = current();
    move || within_sync(context, closure)
}

mod switch {
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// 1 once a cache was installed, and 2 for each guard: all that a hit has to know of the process, in one number.
    static STATE: AtomicUsize = AtomicUsize::new(0);
    const INSTALLED: usize = 1;
    const GUARD: usize = 2;

    /// While it lives, no cached function of this process is answered from a cache, and nothing is stored. Made by
    /// [`disable`].
    #[derive(Debug)]
    #[must_use = "caching is disabled only while the guard lives"]
    pub struct Disabled(());

    /// Disables caching in the whole process while the guard lives. Guards may overlap.
    pub fn disable() -> Disabled {
        STATE.fetch_add(GUARD, Ordering::AcqRel);
        Disabled(())
    }

    impl Drop for Disabled {
        fn drop(&mut self) {
            STATE.fetch_sub(GUARD, Ordering::AcqRel);
        }
    }

    #[inline]
    pub(crate) fn is_disabled() -> bool {
        STATE.load(Ordering::Acquire) >= GUARD
    }

    /// From now on the process has a cache that was installed.
    pub(crate) fn installed() {
        STATE.fetch_or(INSTALLED, Ordering::AcqRel);
    }

    /// One thing of two: for the default cache, and for the installed one. `None` while caching is disabled.
    #[inline]
    pub(crate) fn in_process<T>(by_cache: &[T; GUARD]) -> Option<&T> {
        by_cache.get(STATE.load(Ordering::Acquire))
    }
}
pub use switch::{Disabled, disable};
pub(crate) use switch::{in_process, installed, is_disabled};

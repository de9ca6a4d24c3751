//! What a call inherits from the code around it.
//!
//! One mechanism serves sync and async functions: a thread-local that is set while a future is polled or a closure
//! runs, and restored when it returns, panics included. So sync and async functions nest in each other.

pub(crate) mod abandoned;
mod around_calls;
pub(crate) mod collector;
mod in_body;
mod observe;
pub(crate) mod observer;
pub(crate) mod run_frame;
mod switch;

use std::any::Any;
use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub use self::around_calls::{
    carry, carry_sync, refreshing, refreshing_sync, with_scope, with_scope_sync, without_cache, without_cache_sync,
};
pub(crate) use self::around_calls::{past_memory, past_memory_sync};
pub use self::collector::{all_scopes, all_scopes_sync};
pub use self::in_body::{add_tag, dont_cache, scope, set_ttl};
pub use self::observe::{Observed, SeenTag, SeenTags, observe, observe_sync};
pub use self::observer::Source;
pub use self::switch::{Disabled, disable};
pub(crate) use self::switch::{in_process, installed, is_disabled};
use crate::context::collector::Collector;
use crate::context::observer::Observer;
use crate::context::run_frame::Frame;
use crate::entry::CachedEntry;
use crate::key::here::Here;
use crate::rt::clock::Clock;
use crate::scope::Scope;
use crate::thread_cache::thread::{self, OUTSIDE, UNUSUAL};
use crate::trust::deadline::TrustDeadline;
use crate::trust::validity::Validity;
use crate::util::caught::caught;

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
    /// Not answered from memory, which may be behind, nor by runs that began before; but from the farthest backend. Stored.
    PastMemory,
}

/// A cache, which only `cache` can make something of.
#[derive(Clone, Debug)]
pub(crate) struct CacheHandle(pub(crate) Arc<dyn Any + Send + Sync>);

// As of the cache itself.
impl std::panic::UnwindSafe for CacheHandle {}
impl std::panic::RefUnwindSafe for CacheHandle {}

/// What a call inherits. Never changed: a changed one is a new one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Context {
    pub(crate) cache: Option<CacheHandle>,
    pub(crate) scope: Option<Scope>,
    /// Nobody has given the scope: it is the default one of a run that had none.
    pub(crate) unscoped: bool,
    pub(crate) mode: Mode,
    /// The run that is calling.
    pub(crate) frame: Option<Arc<Frame>>,
    /// The observer of the code that is calling; `None` in bodies that it calls.
    pub(crate) observer: Option<Arc<Observer>>,
    /// Where invalidations go instead of being made.
    pub(crate) collector: Option<Arc<Collector>>,
    /// The helpers of functions invalidate in every scope.
    pub(crate) all_scopes: bool,
    /// The first call of this function is refreshed, and no other one: taken by it.
    pub(crate) refreshes_first: Option<Arc<Refresh>>,
}

impl Context {
    /// What [`run_here`](thread::Thread::run_here) is to say within it.
    fn here(&self) -> u64 {
        let scoped = self.scope.as_ref().is_some_and(|scope| !scope.name().is_empty());
        let unusual = self.cache.is_some() || scoped || !self.is_answered();
        if unusual { UNUSUAL } else { self.run() }
    }

    /// Whether calls may be answered from the cache, and none of them is to be refreshed.
    pub(crate) fn is_answered(&self) -> bool {
        self.mode == Mode::Cached && self.refreshes_first.is_none()
    }

    /// The number of who is to be told of what the call uses: the observer, or else the run that calls; 0 if there is neither.
    pub(crate) fn run(&self) -> u64 {
        let observer = self.observer.as_ref().map(|observer| observer.number);
        observer.or_else(|| Some(self.frame.as_ref()?.number)).unwrap_or(OUTSIDE)
    }

    /// Whether this call of the function is the one to be refreshed.
    pub(crate) fn take_refresh(&self, function: usize, here: Here) -> bool {
        self.refreshes_first.as_ref().is_some_and(|first| first.take(function, here))
    }
}

/// One call to be refreshed. What its key and scope are made of may call other functions before.
#[derive(Debug)]
pub(crate) struct Refresh {
    /// Its id.
    function: usize,
    here: Here,
    due: AtomicBool,
}

impl Refresh {
    pub(crate) fn new(function: usize, here: Here) -> Self {
        Self { function, here, due: AtomicBool::new(true) }
    }

    fn take(&self, function: usize, here: Here) -> bool {
        self.function == function && self.here.is(here) && self.due.swap(false, Ordering::AcqRel)
    }
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<Context>>> = const { RefCell::new(None) };
}

/// The current context; `None` outside any, which costs next to nothing to find out.
#[inline]
pub(crate) fn current() -> Option<Arc<Context>> {
    // Not there any more while the thread's locals are destroyed.
    CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
}

/// Has the run that calls depend on this entry, which was found live, and its observer note it. `false` if a backend has to
/// be asked first how far it vouches for it, and `validity` isn't given.
#[cfg_attr(not(feature = "memory"), allow(dead_code, reason = "for the store"))]
pub(crate) fn inherit_here(entry: &CachedEntry, validity: Option<&Validity>) -> bool {
    let trust_deadline = match validity {
        _ if entry.meta.trust_deadline() == TrustDeadline::default() => TrustDeadline::default(),
        Some(validity) => entry.trust_deadline(validity),
        None => return false,
    };
    let inherit = |current: &RefCell<Option<Arc<Context>>>| {
        let current = current.try_borrow().ok()?;
        let Context { frame, observer, .. } = &**current.as_ref()?;
        if let Some(observer) = observer {
            // Without it, the entry is one of the process's cache.
            let clock = match validity {
                Some(validity) => &validity.clock,
                None => of_process()?,
            };
            observer.note(Source::Memory, clock, &entry.meta);
        }
        match frame {
            Some(frame) => frame.inherit(entry.meta.dependencies(), entry.meta.is_uncached(), trust_deadline),
            None => observer.is_some().then_some(())?,
        }
        Some(())
    };
    CURRENT.try_with(inherit).ok().flatten().is_some()
}

/// The clock of the process's cache, if that is the operating system's.
fn of_process() -> Option<&'static Clock> {
    static SYSTEM: Clock = Clock::SYSTEM;
    switch::goes_by_system().then_some(&SYSTEM)
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

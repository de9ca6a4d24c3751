//! The options of a cache.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::backend::measured::Measured;
use crate::backend::shielded::Shielded;
use crate::backend::{Backend, MAX_HOLD};
use crate::cache::Cache;
use crate::codec::Codec;
use crate::engine::{Capture, DefaultScope};
use crate::error::{Error, ErrorKind};
use crate::memory::{Bound, Memory};
use crate::rt::clock::Clock;
use crate::stats::report::{OnReport, Report};

/// Options of a [`Cache`].
#[must_use = "options do nothing until `build`"]
pub struct CacheBuilder {
    pub(super) memory: Option<Memory>,
    pub(super) backends: Vec<Arc<dyn Backend>>,
    /// Where their operations are counted.
    pub(super) measured: Vec<Arc<Measured>>,
    pub(super) name: Option<&'static str>,
    pub(super) codec: Option<Arc<dyn Codec>>,
    pub(super) clock: Clock,
    pub(super) max_wait: Option<Duration>,
    pub(super) hold: Duration,
    pub(super) default_scope: Option<Box<DefaultScope>>,
    pub(super) requires_scope: bool,
    pub(super) capture: Option<Box<Capture>>,
    pub(super) on_report: Option<Box<OnReport>>,
}

impl Default for CacheBuilder {
    fn default() -> Self {
        Self {
            memory: Some(Memory::default()),
            backends: Vec::new(),
            measured: Vec::new(),
            name: None,
            codec: None,
            clock: Clock::default(),
            max_wait: None,
            hold: MAX_HOLD,
            default_scope: None,
            requires_scope: false,
            capture: None,
            on_report: None,
        }
    }
}

impl CacheBuilder {
    /// Options of the memory layer. Without them it has its defaults.
    #[cfg(feature = "memory")]
    pub fn memory(mut self, memory: Memory) -> Self {
        self.memory = Some(memory);
        self
    }

    /// Leaves the memory layer out: every call asks the backends. Without a backend too, nothing is stored, and only
    /// concurrent calls of one key share a run.
    #[cfg(feature = "memory")]
    pub fn without_memory(mut self) -> Self {
        self.memory = None;
        self
    }

    /// Sets the name of the cache in metrics, in traces and in [`Stats::cache`](crate::Stats::cache). Default: `default` for the
    /// cache that is there without being built, otherwise its number.
    pub fn name(mut self, name: &'static str) -> Self {
        self.name = Some(name);
        self
    }

    /// Adds a backend, behind those added before. Backends are asked in the order in which they were added, and an entry
    /// that only a farther one has is copied to the nearer ones.
    ///
    /// All processes share the last backend. A nearer one may be shared by some processes, or by none. Each process that
    /// uses a nearer backend must use the same backends behind it, in the same order.
    ///
    /// A nearer backend is as fresh as the memory layer: an invalidation made in a process that doesn't share it takes
    /// effect within the [`max_staleness`](Backend::max_staleness) of the backends behind it, even if messages are lost or
    /// the process is cut off. It isn't asked while those behind it can't be heard. Entries from before such a gap, or from
    /// before this cache was built, are used only after they were compared with the last backend.
    pub fn backend(mut self, backend: impl Backend) -> Self {
        let (backend, measured) = Shielded::new(backend);
        self.backends.push(Arc::new(backend));
        self.measured.push(measured);
        self
    }

    /// Sets how values are encoded for the backends. Default: the codec that the backends [ask for](Backend::codec);
    /// otherwise the first of MessagePack, bincode and JSON whose Cargo feature is on.
    pub fn codec(mut self, codec: impl Codec) -> Self {
        self.codec = Some(Arc::new(codec));
        self
    }

    /// Sets the clock that lifetimes are measured with. Default: [the operating system's](Clock::system).
    pub fn clock(mut self, clock: impl Into<Clock>) -> Self {
        self.clock = clock.into();
        self
    }

    /// Limits how long a call waits for another call's run, in this process or another. After that it runs the body itself;
    /// that run is not shared and its result is not stored. With zero, no call waits. A function's own `max_wait` option
    /// takes precedence. Default: calls wait for as long as the run takes.
    pub fn max_wait(mut self, time: Duration) -> Self {
        self.max_wait = Some(time);
        self
    }

    /// Sets how long after a [`writing`](crate::writing) that failed or was dropped, or after the drop of a
    /// [`Hold`](crate::Hold), this process invalidates the tags once more. It should be longer than a commit can be on its way to
    /// your database. Backends with holds of their own, such as Redis, have an option of their own for it. Default, and the most:
    /// 30 s.
    pub fn hold(mut self, time: Duration) -> Self {
        self.hold = time;
        self
    }

    /// Sets the scope of calls that have none from their function's `scope` option or from
    /// [`with_scope`](crate::with_scope). The closure is called for each such call; `None` means the global scope. Cached
    /// functions that the closure itself calls are in the global scope, unless they are given another.
    pub fn default_scope(mut self, scope: impl Fn() -> Option<String> + Send + Sync + 'static) -> Self {
        self.default_scope = Some(Box::new(scope));
        self
    }

    /// Doesn't cache calls without a scope: they run their bodies, and nothing is stored. So a forgotten scope costs time, and
    /// never shows one tenant what belongs to another. [`stats`](Cache::stats) counts such calls as `unscoped`.
    ///
    /// A call has a scope by its function's `scope` option, by [`with_scope`](crate::with_scope), by
    /// [`default_scope`](Self::default_scope), or from the cached function that calls it. The empty name is a scope, if it is
    /// given: write `scope = ""` for functions whose results are the same for everybody.
    ///
    /// ```
    /// let cache = cache_core::Cache::builder().require_scope().build()?;
    /// # Ok::<(), cache_core::Error>(())
    /// ```
    pub fn require_scope(mut self) -> Self {
        self.requires_scope = true;
        self
    }

    /// Takes something of the caller along into runs that may outlive it: task-locals, the current tracing span, a request's
    /// id. Such runs (of functions with `timeout`, `stale_while_revalidate` or `refresh_ahead`) are polled by other tasks and
    /// threads, where these aren't set.
    ///
    /// `capture` is called by the caller when such a run begins. `enter` is called around each poll of the body, or once if the
    /// function is sync, and has to call the closure that it is given, once. All other runs stay on the caller's task or
    /// thread, and need neither.
    ///
    /// If `capture` panics, there is no such run: a caller with an old value is given that, and any other one runs the body
    /// itself. If `enter` panics, or doesn't call the closure, the run ends as if the body had panicked; a caller with an old
    /// value is given that. A second `context` replaces the first.
    ///
    /// ```
    /// use cache_core::Cache;
    ///
    /// tokio::task_local!(static TENANT: String);
    ///
    /// let cache = Cache::builder()
    ///     .context(
    ///         || TENANT.try_with(String::clone).ok(),
    ///         |tenant, poll| match tenant {
    ///             Some(tenant) => TENANT.sync_scope(tenant.clone(), poll),
    ///             None => poll(),
    ///         },
    ///     )
    ///     .build()?;
    /// # Ok::<(), cache_core::Error>(())
    /// ```
    ///
    /// With `tracing`: `.context(tracing::Span::current, |span, poll| span.in_scope(poll))`.
    pub fn context<C: Send + 'static>(
        mut self,
        capture: impl Fn() -> C + Send + Sync + 'static,
        enter: impl Fn(&C, &mut dyn FnMut()) + Send + Sync + 'static,
    ) -> Self {
        let enter = Arc::new(enter);
        self.capture = Some(Box::new(move || {
            let (captured, enter) = (capture(), Arc::clone(&enter));
            Box::new(move |poll: &mut dyn FnMut()| enter(&captured, poll))
        }));
        self
    }

    /// Sets a hook that is called when the type of a function's results keeps them out of backends, or makes entries there
    /// unusable, and when a recursion has too little room in memory: once per function and kind of problem. [`stats`](Cache::stats) counts each occurrence.
    ///
    /// ```
    /// let cache = cache_core::Cache::builder().on_report(|report| eprintln!("larder: {report}")).build()?;
    /// # Ok::<(), cache_core::Error>(())
    /// ```
    ///
    /// The hook runs on the calling thread, and the call goes on when it returns. A panic in it is ignored. Cached functions
    /// that it calls run uncached.
    pub fn on_report(mut self, on_report: impl Fn(&Report) + Send + Sync + 'static) -> Self {
        self.on_report = Some(Box::new(on_report));
        self
    }

    /// Makes the cache.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if there is a backend but no codec, if backends ask for different ones, if the memory layer
    /// is given a bound of zero entries or a `ttl` of zero, or if a hold is to last no time or more than 30 s.
    pub fn build(mut self) -> Result<Cache, Error> {
        if self.codec.is_none() {
            self.codec = codec_of(&self.backends)?;
        }
        if !self.backends.is_empty() && self.codec.is_none() && crate::codec::default_codec().is_none() {
            return Err(Error::new(
                ErrorKind::Config,
                "a backend needs a codec: switch on one of the features `msgpack`, `json` and `bincode`, or give one \
                 with `Cache::builder().codec(..)`",
            ));
        }
        if self.memory.as_ref().is_some_and(|memory| memory.bound == Bound::Entries(0)) {
            return Err(Error::new(
                ErrorKind::Config,
                "`Memory::max_entries(0)` keeps nothing: give a bound above zero, or leave the layer out with \
                 `without_memory`",
            ));
        }
        if self.memory.as_ref().and_then(|memory| memory.ttl).is_some_and(|ttl| ttl.is_zero()) {
            return Err(Error::new(
                ErrorKind::Config,
                "`Memory::ttl` is zero, which keeps nothing: give a time above zero, or leave the layer out with \
                 `without_memory`",
            ));
        }
        if self.hold.is_zero() || self.hold > MAX_HOLD {
            return Err(Error::new(
                ErrorKind::Config,
                "`Cache::builder().hold(..)` takes more than zero and at most 30 s: longer than a commit can be on its way",
            ));
        }
        Ok(Cache::from_builder(self))
    }
}

/// The one codec these ask for. A value has the same bytes in all of them.
fn codec_of(backends: &[Arc<dyn Backend>]) -> Result<Option<Arc<dyn Codec>>, Error> {
    let mut wanted: Option<(&str, Arc<dyn Codec>)> = None;
    for backend in backends {
        let Some(codec) = backend.codec() else { continue };
        match &wanted {
            Some((by, other)) if other.name() != codec.name() => {
                let message = format!(
                    "the backend `{by}` asks for the codec `{}`, the backend `{}` for `{}`, and a cache has one for all: \
                     choose it with `Cache::builder().codec(..)`",
                    other.name(),
                    backend.name(),
                    codec.name(),
                );
                return Err(Error::new(ErrorKind::Config, message));
            }
            Some(_) => {}
            None => wanted = Some((backend.name(), codec)),
        }
    }
    Ok(wanted.map(|(_, codec)| codec))
}

impl fmt::Debug for CacheBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheBuilder").field("backends", &self.backends).finish_non_exhaustive()
    }
}

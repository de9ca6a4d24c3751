//! A cache: its layers, and the handle users hold.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::hash::BuildHasherDefault;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, RwLock, Weak};
use std::time::Duration;

use crate::backend::{Backend, TagId};
use crate::clock::{Clock, to_nanos};
use crate::codec::Codec;
use crate::context::{self, Context};
use crate::deadlock::WaitGraph;
use crate::error::{Error, ErrorKind};
use crate::freshness::{Epoch, Freshness, IdHasher};
use crate::function::{Function, Site};
use crate::layers::Layers;
use crate::leases;
use crate::memory::{Bound, Memory, Store};
use crate::report::{OnReport, Report};
use crate::shielded::Shielded;
use crate::stats::Stats;
use crate::stored::{Assured, NEVER};
use crate::sync::lock;
use crate::tag::{self, IntoTag, Tag};

pub(crate) type DefaultScope = dyn Fn() -> Option<String> + Send + Sync;

/// After so many entries one of the stores is kept up.
const UPKEEP: usize = 256;

/// What all functions of a cache share: the layers and the order of invalidations.
pub(crate) struct Engine {
    pub(crate) id: u64,
    pub(crate) freshness: Arc<Freshness>,
    pub(crate) graph: Arc<WaitGraph>,
    pub(crate) clock: Clock,
    pub(crate) memory: Option<Store>,
    /// Those of functions with a bound of their own.
    own_stores: Mutex<Vec<Store>>,
    /// Counts what is stored in memory.
    stored: AtomicUsize,
    pub(crate) memory_ttl: Option<Duration>,
    /// From the nearest to the farthest.
    pub(crate) backends: Vec<Arc<dyn Backend>>,
    pub(crate) codec: Option<Arc<dyn Codec>>,
    /// How long calls wait for others' runs, if their function doesn't say.
    pub(crate) max_wait: Option<Duration>,
    /// How long an entry may be used without a backend vouching for it, in nanoseconds; [`NEVER`] if that is never
    /// needed.
    pub(crate) max_staleness: u64,
    /// What the backends say.
    pub(crate) layers: Layers,
    pub(crate) default_scope: Option<Box<DefaultScope>>,
    pub(crate) on_report: Option<Box<OnReport>>,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("id", &self.id).field("backends", &self.backends).finish_non_exhaustive()
    }
}

impl Engine {
    /// What the backends vouch for: all that is found live after this was asked.
    pub(crate) fn vouched(&self) -> u64 {
        self.layers.vouched()
    }

    /// When what is read from now on was read, for [`assured_from`](Self::assured_from): any time will do where nobody
    /// has to vouch for anything.
    pub(crate) fn began(&self) -> u64 {
        if self.max_staleness == NEVER { 0 } else { self.clock.nanos() }
    }

    /// Something is to be stored in memory. Now and then one of the stores frees what is over, which it does by itself only
    /// while it is used.
    pub(crate) fn keep_up(&self) {
        let stored = self.stored.fetch_add(1, Ordering::Relaxed);
        if !stored.is_multiple_of(UPKEEP) {
            return;
        }
        let stores = lock(&self.own_stores);
        let turn = (stored / UPKEEP) % (stores.len() + 1);
        let store = stores.get(turn).or(self.memory.as_ref()).cloned();
        drop(stores);
        store.as_ref().map(Store::maintain);
    }

    /// The store of one of its functions, if it has one.
    pub(crate) fn add_store(&self, store: Option<&Store>) {
        lock(&self.own_stores).extend(store.cloned());
    }

    /// What an answer is that is made of data read from now on.
    pub(crate) fn assured_from(&self, began: u64) -> Assured {
        Assured::new(began.saturating_add(self.max_staleness))
    }
}

/// A cache: a memory layer, backends behind it, or both. The handle is cheap to clone; clones are the same cache.
///
/// Nobody needs to make one: without, functions are cached in memory by a default cache. See [`Cache::builder`].
#[derive(Clone)]
pub struct Cache {
    inner: Arc<Inner>,
}

// A panic that passes through a call leaves a cache in order: that is part of promise 2.
impl std::panic::UnwindSafe for Cache {}
impl std::panic::RefUnwindSafe for Cache {}

struct Inner {
    engine: Arc<Engine>,
    /// By the place of the function's static, which is as good as a hash.
    functions: RwLock<HashMap<usize, Arc<Function>, BuildHasherDefault<IdHasher>>>,
}

pub(crate) static EPOCH: Epoch = Epoch::new();
static GRAPH: LazyLock<Arc<WaitGraph>> = LazyLock::new(Arc::default);
static NEXT_ID: AtomicU64 = AtomicU64::new(1);
static INSTALLED: OnceLock<Cache> = OnceLock::new();
static DEFAULT: LazyLock<Cache> = LazyLock::new(|| Cache::from_builder(CacheBuilder::default()));
/// For [`reset`]: every cache that still lives.
static ALL: Mutex<Vec<Weak<Inner>>> = Mutex::new(Vec::new());

impl Cache {
    /// Options of a new cache. Without any it has a memory layer and nothing else.
    ///
    /// ```
    /// use cache_core::{Cache, Memory};
    ///
    /// let cache = Cache::builder().memory(Memory::builder().max_entries(10_000)).build()?;
    /// cache.install()?;
    /// # Ok::<(), cache_core::Error>(())
    /// ```
    pub fn builder() -> CacheBuilder {
        CacheBuilder::default()
    }

    fn from_builder(builder: CacheBuilder) -> Self {
        let staleness = builder.backends.iter().filter_map(Backend::max_staleness).min();
        let freshness = Arc::new(Freshness::new(&EPOCH));
        let engine = Arc::new(Engine {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            layers: Layers::new(&builder.backends, &freshness, &builder.clock),
            freshness,
            graph: Arc::clone(&GRAPH),
            memory_ttl: builder.memory.as_ref().and_then(|memory| memory.ttl),
            memory: builder.memory.and_then(|memory| Store::open(memory.bound, &builder.clock)),
            clock: builder.clock,
            codec: builder.codec.or_else(crate::codec::default_codec),
            max_wait: builder.max_wait,
            max_staleness: staleness.map_or(NEVER, to_nanos),
            own_stores: Mutex::default(),
            stored: AtomicUsize::new(0),
            backends: builder.backends,
            default_scope: builder.default_scope,
            on_report: builder.on_report,
        });
        engine.layers.attach_to(&engine.backends);
        let inner = Inner { engine, functions: RwLock::default() };
        let cache = Self { inner: Arc::new(inner) };
        let mut all = lock(&ALL);
        all.retain(|cache| cache.strong_count() > 0);
        all.push(Arc::downgrade(&cache.inner));
        cache
    }

    /// Makes this the cache of every call in the process that isn't made within [`with`](Self::with).
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyInstalled`] if one was installed before; that one stays.
    pub fn install(&self) -> Result<(), Error> {
        let installed = INSTALLED.set(self.clone());
        // By whoever comes first: a call made after this has returned finds it, also if another thread installed it.
        context::installed();
        installed.map_err(|_| {
            Error::new(
                ErrorKind::AlreadyInstalled,
                "a cache is installed already; call `install` once, at the start of the program, or use `Cache::with`",
            )
        })
    }

    /// Runs the future so that cached functions it calls, and free functions such as
    /// [`invalidate_tag`](crate::invalidate_tag), act on this cache. Tasks that it spawns don't, unless they are given to
    /// [`carry`](crate::carry).
    pub async fn with<F: Future>(&self, future: F) -> F::Output {
        let context = Context { cache: Some(self.clone()), ..context::derive() };
        context::within(Some(Arc::new(context)), future).await
    }

    /// Runs the closure so that cached functions it calls act on this cache. Threads that it starts don't, unless they are
    /// given to [`carry_sync`](crate::carry_sync).
    pub fn with_sync<R>(&self, closure: impl FnOnce() -> R) -> R {
        let context = Context { cache: Some(self.clone()), ..context::derive() };
        context::within_sync(Some(Arc::new(context)), closure)
    }

    /// The cache that calls made here act on: that of [`with`](Self::with), else the installed one, else the default.
    pub fn ambient() -> Self {
        let here = context::current().and_then(|context| context.cache.clone());
        here.or_else(|| INSTALLED.get().cloned()).unwrap_or_else(|| DEFAULT.clone())
    }

    #[inline]
    pub(crate) fn installed() -> Option<&'static Self> {
        INSTALLED.get()
    }

    /// The cache for calls outside any context.
    pub(crate) fn of_process() -> &'static Self {
        Self::installed().unwrap_or_else(|| &DEFAULT)
    }

    /// Invalidates everything that carries this tag, or a tag that implies it, in all scopes: it and all that was
    /// computed from it isn't served any more: from here on by this process and from backends, and by the memory of other
    /// processes within the backend's [`max_staleness`](crate::backend::Backend::max_staleness).
    ///
    /// # Errors
    /// If a backend could not record it. This process's memory is cleared of it all the same, but nothing repeats it by
    /// itself: repeat it until it succeeds. Till then other processes may serve what it is to end, and so may this one
    /// again, once the backend can be reached and still has it.
    ///
    /// # Cancel safety
    /// A future dropped before it is done has cleared this process's memory; whether a backend recorded it isn't known.
    pub async fn invalidate_tag(&self, tag: impl IntoTag) -> Result<(), Error> {
        self.invalidate_ids(vec![Tag::new(tag).id()]).await
    }

    /// Invalidates several tags at once; see [`invalidate_tag`](Self::invalidate_tag).
    ///
    /// # Errors and cancel safety
    /// As [`invalidate_tag`](Self::invalidate_tag).
    pub async fn invalidate_tags<T: IntoTag>(&self, tags: impl IntoIterator<Item = T>) -> Result<(), Error> {
        self.invalidate_ids(tags.into_iter().map(|tag| Tag::new(tag).id()).collect()).await
    }

    /// Invalidates everything in this cache.
    ///
    /// # Errors and cancel safety
    /// As [`invalidate_tag`](Self::invalidate_tag).
    pub async fn reset(&self) -> Result<(), Error> {
        let result = self.invalidate_ids(vec![tag::EVERYTHING]).await;
        for store in self.stores() {
            store.clear();
        }
        result
    }

    pub(crate) async fn invalidate_ids(&self, ids: Vec<TagId>) -> Result<(), Error> {
        if ids.is_empty() {
            return Ok(());
        }
        // Memory last, so that nothing read from a backend before it was recorded there survives here; and also if
        // this future is dropped on the way.
        let engine = self.engine();
        let marks = MarkAtEnd { freshness: &engine.freshness, ids: &ids };
        let mut unrecorded = engine.layers.invalidation(&ids);
        let mut result = Ok(());
        // The farthest first: what a nearer layer takes over from a farther one is then never too new for it.
        for (layer, backend) in engine.backends.iter().enumerate().rev() {
            match backend.invalidate(&ids).await {
                Ok(()) => unrecorded.recorded_by(layer),
                Err(error) => result = Err(error.not_recorded()),
            }
        }
        drop(unrecorded);
        drop(marks);
        result
    }

    /// What this cache did.
    pub fn stats(&self) -> Stats {
        let functions = self.functions();
        let mut stats = Stats {
            functions: functions.iter().map(|function| function.counters.snapshot(function.site.name())).collect(),
            memory_entries: 0,
            tags: 0,
            flights: functions.iter().map(|function| function.flights.len()).sum(),
        };
        stats.memory_entries = self.stores().iter().map(Store::maintain).sum();
        stats.tags = self.inner.engine.freshness.tags_in_use();
        stats.functions.sort_by(|a, b| a.function.cmp(&b.function));
        stats
    }

    /// Ends the backends' connections and tasks. Calls made afterwards run their bodies and are cached in memory only,
    /// as far as the backends' `max_staleness` allows.
    pub async fn close(&self) {
        for backend in &self.inner.engine.backends {
            backend.close().await;
        }
    }

    fn functions(&self) -> Vec<Arc<Function>> {
        let functions = self.inner.functions.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        functions.values().map(Arc::clone).collect()
    }

    fn stores(&self) -> Vec<Store> {
        let own = lock(&self.inner.engine.own_stores).clone();
        own.into_iter().chain(self.inner.engine.memory.clone()).collect()
    }

    /// What this cache knows of a function.
    pub(crate) fn function(&self, site: &'static Site) -> Arc<Function> {
        let functions = self.inner.functions.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(function) = functions.get(&site.id()) {
            return Arc::clone(function);
        }
        drop(functions);
        let mut functions = self.inner.functions.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(function) = functions.get(&site.id()) {
            return Arc::clone(function);
        }
        let function = Arc::new(Function::new(site, Arc::clone(&self.inner.engine)));
        functions.insert(site.id(), Arc::clone(&function));
        function
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.inner.engine
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("id", &self.inner.engine.id)
            .field("backends", &self.inner.engine.backends)
            .finish()
    }
}

/// Marks the tags in memory when it is dropped.
struct MarkAtEnd<'a> {
    freshness: &'a Freshness,
    ids: &'a [TagId],
}

impl Drop for MarkAtEnd<'_> {
    fn drop(&mut self) {
        leases::invalidate(self.freshness, self.ids);
    }
}

/// Invalidates everything in every cache of this process.
///
/// # Errors and cancel safety
/// As [`Cache::invalidate_tag`]; all caches are gone through, also after an error.
pub async fn reset() -> Result<(), Error> {
    let caches: Vec<_> = lock(&ALL).iter().filter_map(Weak::upgrade).map(|inner| Cache { inner }).collect();
    let mut result = Ok(());
    for cache in caches {
        if let Err(error) = cache.reset().await {
            result = Err(error);
        }
    }
    result
}

/// Options of a [`Cache`].
#[must_use = "options do nothing until `build`"]
pub struct CacheBuilder {
    memory: Option<Memory>,
    backends: Vec<Arc<dyn Backend>>,
    codec: Option<Arc<dyn Codec>>,
    clock: Clock,
    max_wait: Option<Duration>,
    default_scope: Option<Box<DefaultScope>>,
    on_report: Option<Box<OnReport>>,
}

impl Default for CacheBuilder {
    fn default() -> Self {
        Self {
            memory: Some(Memory::default()),
            backends: Vec::new(),
            codec: None,
            clock: Clock::default(),
            max_wait: None,
            default_scope: None,
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

    /// No memory layer: every call asks the backends. Without a backend either nothing is kept at all; what is left is
    /// that calls at one moment share one run.
    #[cfg(feature = "memory")]
    pub fn without_memory(mut self) -> Self {
        self.memory = None;
        self
    }

    /// Adds a layer behind those there are. The first is asked first, and what the last one knows is copied to those before.
    ///
    /// The last one is shared by all processes. One before it may be shared by some of them, or by none; whoever uses it
    /// has to use those behind it as well, in the same order. What such a layer answers is then as fresh as memory is: an
    /// invalidation made in a process that doesn't share it is followed within the
    /// [`max_staleness`](Backend::max_staleness) of those behind it, also if messages are lost or the process is cut off. It
    /// isn't asked while those behind it can't be heard, nor is what it has from before that, or from before this cache was
    /// built, used until it was compared with the last one.
    pub fn backend(mut self, backend: impl Backend) -> Self {
        self.backends.push(Arc::new(Shielded(backend)));
        self
    }

    /// How values are encoded for the backends. Default: what the backends [ask for](Backend::codec), else the first of
    /// MessagePack, bincode and JSON whose Cargo feature is on.
    pub fn codec(mut self, codec: impl Codec) -> Self {
        self.codec = Some(Arc::new(codec));
        self
    }

    /// Where lifetimes read the time. Default: [the operating system's clock](Clock::system).
    pub fn clock(mut self, clock: impl Into<Clock>) -> Self {
        self.clock = clock.into();
        self
    }

    /// How long a call waits for another's run, in this process or another, before it runs the body itself: unshared, and
    /// its result isn't stored. A function's own `max_wait` option counts instead. Zero: no call waits. Default: as long as
    /// the run takes.
    pub fn max_wait(mut self, time: Duration) -> Self {
        self.max_wait = Some(time);
        self
    }

    /// Asked for the scope of every call that isn't given one by its function's `scope` option or
    /// [`with_scope`](crate::with_scope); `None` is the global scope. Cached functions that the closure itself calls are
    /// in the global scope, unless they are given one.
    pub fn default_scope(mut self, scope: impl Fn() -> Option<String> + Send + Sync + 'static) -> Self {
        self.default_scope = Some(Box::new(scope));
        self
    }

    /// Told of each function whose results can't all be kept in backends, or whose entries there can't be used, because of their
    /// type: once for each kind. The same is counted in [`stats`](Cache::stats).
    ///
    /// ```
    /// let cache = cache_core::Cache::builder().on_report(|report| eprintln!("larder: {report}")).build()?;
    /// # Ok::<(), cache_core::Error>(())
    /// ```
    ///
    /// It is called on the thread whose call it happened to, which goes on when it has returned. A panic in it is ignored, and
    /// cached functions that it calls run uncached.
    pub fn on_report(mut self, on_report: impl Fn(&Report) + Send + Sync + 'static) -> Self {
        self.on_report = Some(Box::new(on_report));
        self
    }

    /// Makes the cache.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if there is a backend but no codec, if backends ask for different ones, or if the memory layer
    /// is given a bound of zero entries or a `ttl` of zero.
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

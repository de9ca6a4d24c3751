//! A cache: its layers, and the handle users hold.

pub(crate) mod ambient;
pub(crate) mod at_least;
mod builder;
pub(crate) mod invalidated;
mod invalidation;
pub(crate) mod pending;
mod scope_methods;
pub(crate) mod site;
pub(crate) mod writes;

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::hash::BuildHasherDefault;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, RwLock, Weak};

pub use self::builder::CacheBuilder;
use self::invalidated::Invalidated;
use crate::backend::Backend;
use crate::context::collector::collector;
use crate::context::{self, CacheHandle, Context};
use crate::engine::Engine;
use crate::engine::descriptor::Descriptor;
use crate::engine::function::Function;
use crate::error::{Error, ErrorKind};
use crate::events::Events;
use crate::flight::wait_graph::WaitGraph;
use crate::memory::{Evict, Store};
use crate::rt::clock::NEVER;
use crate::rt::clock::to_nanos;
use crate::stats::Stats;
use crate::stats::kinds::InvalidationBy;
use crate::tag::{self, IntoTag, Tag};
use crate::trust::validity::Validity;
use crate::util::id_hasher::IdHasher;
use crate::util::sync::lock;

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

/// What its handles share.
pub(crate) struct Inner {
    engine: Arc<Engine>,
    /// By the place of the function's static, which is as good as a hash.
    functions: RwLock<HashMap<usize, Arc<Function>, BuildHasherDefault<IdHasher>>>,
}

static GRAPH: LazyLock<Arc<WaitGraph>> = LazyLock::new(Arc::default);
static NEXT_ID: AtomicU64 = AtomicU64::new(1);
static INSTALLED: OnceLock<Cache> = OnceLock::new();
static DEFAULT: LazyLock<Cache> = LazyLock::new(|| Cache::from_builder(CacheBuilder::default().name("default")));
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
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let engine = Arc::new(Engine {
            id,
            name: builder.name.map_or_else(|| id.to_string(), str::to_owned).into(),
            measured: builder.measured,
            graph: Arc::clone(&GRAPH),
            memory_ttl: builder.memory.as_ref().and_then(|memory| memory.ttl),
            memory: builder.memory.and_then(|memory| Store::open(memory.bound, Evict::default(), &builder.clock)),
            validity: Validity::new(&builder.backends, builder.clock),
            codec: builder.codec.or_else(crate::codec::default_codec),
            max_wait: builder.max_wait,
            hold: builder.hold,
            max_staleness: staleness.map_or(NEVER, to_nanos),
            own_stores: Mutex::default(),
            stored: AtomicUsize::new(0),
            backends: builder.backends,
            default_scope: builder.default_scope,
            requires_scope: builder.requires_scope,
            capture: builder.capture,
            on_report: builder.on_report,
        });
        engine.measured.iter().for_each(|measured| measured.tell(engine.validity.layers.ledger()));
        engine.validity.layers.attach_to(&engine.backends);
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
        context::installed(Self::of_process().engine().validity.clock.is_system());
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
        let context = Context { cache: Some(self.handle()), ..context::derive() };
        context::within(Some(Arc::new(context)), future).await
    }

    /// Runs the closure so that cached functions it calls act on this cache. Threads that it starts don't, unless they are
    /// given to [`carry_sync`](crate::carry_sync).
    pub fn with_sync<R>(&self, closure: impl FnOnce() -> R) -> R {
        let context = Context { cache: Some(self.handle()), ..context::derive() };
        context::within_sync(Some(Arc::new(context)), closure)
    }

    /// The cache that calls made here act on: that of [`with`](Self::with), else the installed one, else the default.
    pub fn ambient() -> Self {
        let here = context::current().and_then(|context| Self::around(&context));
        here.or_else(|| INSTALLED.get().cloned()).unwrap_or_else(|| DEFAULT.clone())
    }

    #[inline]
    pub(crate) fn installed() -> Option<&'static Self> {
        INSTALLED.get()
    }

    /// Every cache of this process.
    pub(crate) fn all() -> Vec<Self> {
        lock(&ALL).iter().filter_map(Weak::upgrade).map(|inner| Self { inner }).collect()
    }

    /// The cache for calls outside any context.
    pub(crate) fn of_process() -> &'static Self {
        Self::installed().unwrap_or_else(|| &DEFAULT)
    }

    /// Invalidates everything that carries this tag, or a tag that implies it, in all scopes: it and all that was
    /// computed from it isn't served any more: from here on by this process and from backends, and by the memory of other
    /// processes within the backend's [`max_staleness`](crate::backend::Backend::max_staleness). What is returned lets readers
    /// there know of it at once: see [`at_least`](crate::at_least).
    ///
    /// # Errors
    /// If a backend could not record it. This process's memory is cleared of it all the same. Redis remembers it: this process
    /// records it before it reads from Redis again, and until then other processes may serve what it is to end. If the error
    /// [isn't remembered](Error::is_remembered), repeat it until it succeeds.
    ///
    /// # Cancel safety
    /// A future dropped before it is done has cleared this process's memory; whether a backend recorded it isn't known.
    pub async fn invalidate_tag(&self, tag: impl IntoTag) -> Result<Invalidated, Error> {
        self.invalidate_ids(InvalidationBy::Tag, vec![Tag::id_of(tag)]).await
    }

    /// Invalidates several tags at once; see [`invalidate_tag`](Self::invalidate_tag).
    ///
    /// # Errors and cancel safety
    /// As [`invalidate_tag`](Self::invalidate_tag).
    pub async fn invalidate_tags<T: IntoTag>(&self, tags: impl IntoIterator<Item = T>) -> Result<Invalidated, Error> {
        self.invalidate_ids(InvalidationBy::Tag, tags.into_iter().map(|tag| Tag::id_of(tag)).collect()).await
    }

    /// Invalidates everything in this cache.
    ///
    /// # Errors and cancel safety
    /// As [`invalidate_tag`](Self::invalidate_tag).
    pub async fn reset(&self) -> Result<Invalidated, Error> {
        let result = self.invalidate_ids(InvalidationBy::Everything, vec![tag::EVERYTHING]).await;
        if collector().is_some() {
            return result;
        }
        for store in self.stores() {
            store.clear();
        }
        result
    }

    /// What this cache did.
    pub fn stats(&self) -> Stats {
        let (functions, engine) = (self.functions(), self.engine());
        // First: it frees what is over.
        let memory_entries = self.stores().iter().map(Store::maintain).sum();
        let ledger = engine.validity.layers.ledger();
        let mut stats = Stats {
            cache: engine.name.to_string(),
            functions: functions.iter().map(|function| function.stats()).collect(),
            memory_entries,
            tags: engine.validity.freshness.tags_in_use(),
            flights: functions.iter().map(|function| function.flights.len()).sum(),
            invalidations: ledger.counters.invalidations(),
            gaps: ledger.counters.gaps.get(),
            backends: engine.measured.iter().map(|measured| measured.snapshot()).collect(),
            trusted_for: engine.validity.trusted_for(),
        };
        stats.functions.sort_by(|a, b| a.function.cmp(&b.function));
        stats
    }

    /// Tells what happens in this cache from here on: calls that memory didn't answer at once, runs, stores, evictions,
    /// invalidations and operations of backends. Each receiver is told of everything.
    ///
    /// ```
    /// use cache_core::EventKind;
    ///
    /// let cache = cache_core::Cache::builder().build()?;
    /// let mut events = cache.events();
    /// cache.with_sync(|| cache_core::blocking::invalidate_tag("users"))?;
    /// assert!(matches!(events.blocking_recv()?.kind, EventKind::Invalidation(_)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// While nobody listens, this costs a look at a flag for each call that memory doesn't answer, and nothing for others.
    pub fn events(&self) -> Events {
        Events::of(&self.engine().validity.layers.ledger().hub)
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

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }

    pub(crate) fn engine(&self) -> &Engine {
        self.inner.engine()
    }

    fn handle(&self) -> CacheHandle {
        let inner = Arc::clone(&self.inner);
        CacheHandle(inner)
    }

    /// That of [`with`](Self::with) in this context.
    fn around(context: &Context) -> Option<Self> {
        Self::of_handle(context.cache.clone()?)
    }

    fn of_handle(CacheHandle(handle): CacheHandle) -> Option<Self> {
        handle.downcast().ok().map(|inner| Self { inner })
    }
}

impl Inner {
    /// The same as [`Cache::around`], borrowed.
    #[inline]
    pub(crate) fn around(context: &Context) -> Option<&Self> {
        context.cache.as_ref()?.0.downcast_ref()
    }

    /// What this cache knows of a function.
    pub(crate) fn function(&self, function: &'static Descriptor) -> Arc<Function> {
        let functions = self.functions.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(known) = functions.get(&function.id()) {
            return Arc::clone(known);
        }
        drop(functions);
        let mut functions = self.functions.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(known) = functions.get(&function.id()) {
            return Arc::clone(known);
        }
        let id = function.id();
        let function = Arc::new(Function::new(function, Arc::clone(&self.engine)));
        functions.insert(id, Arc::clone(&function));
        function
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
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

impl Drop for Inner {
    fn drop(&mut self) {
        self.engine.validity.layers.ledger().hub.close();
    }
}

/// Invalidates everything in every cache of this process.
///
/// # Errors and cancel safety
/// As [`Cache::invalidate_tag`]; all caches are gone through, also after an error.
pub async fn reset() -> Result<Invalidated, Error> {
    let (mut tokens, mut result) = (Invalidated::default(), Ok(()));
    for cache in Cache::all() {
        match cache.reset().await {
            Ok(token) => tokens = tokens.and(token),
            Err(error) => result = Err(error),
        }
    }
    result.map(|()| tokens)
}

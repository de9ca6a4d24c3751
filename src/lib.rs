//! A function cache that stays fresh.
//!
//! Put [`#[cached]`](macro@cached) on a function, and its results are kept in memory, and optionally in a Redis that all your
//! processes share. When data changes, invalidate a tag, a function or one result. larder then drops those results and every
//! cached result that was computed from them.
//!
//! ```
//! use larder::cached;
//!
//! #[cached(tags = [("article", id)])]
//! async fn price(id: u64) -> u64 {
//!     id * 10 // reads a database
//! }
//!
//! #[cached(ttl = "5m")]
//! async fn total(ids: &[u64]) -> u64 {
//!     let mut total = 0;
//!     for id in ids {
//!         total += price(*id).await;
//!     }
//!     total
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), larder::Error> {
//! assert_eq!(total(&[1, 2]).await, 30);
//! assert_eq!(total(&[1, 2]).await, 30); // no body runs
//!
//! larder::invalidate_tag(("article", 2)).await?;
//! assert_eq!(total(&[1, 2]).await, 30); // `total` and `price(2)` run, `price(1)` doesn't
//! # let runs = |function| larder::stats().function(function).map(|stats| stats.runs);
//! # assert_eq!((runs("total"), runs("price")), (Some(2), Some(3)));
//! # Ok(()) }
//! ```
//!
//! Sync functions are cached in the same way, and need no async runtime.
//!
//! # Where to read on
//!
//! - [`#[cached]`](macro@cached#options): every option, with an example.
//! - The [guides](https://docs.rs/larder/latest/larder/guide/index.html): web services, errors, types, multi-tenancy,
//!   production, troubleshooting, guarantees, performance, and moving from other libraries.
//!
//! # Around calls
//!
//! ```
//! use std::time::Duration;
//! use larder::{Cache, Clock, Memory, Scope, cached};
//!
//! #[cached]
//! async fn greet(name: &str) -> String {
//!     larder::add_tag(("name", name)); // like `tags`, from inside the body; there are `set_ttl` and `dont_cache` too
//!     format!("hello {name}")
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), larder::Error> {
//! larder::with_scope("tenant-7", greet("ann")).await; // stored for this tenant only
//! Scope::new("tenant-7").invalidate_tag("name").await?; // other tenants keep theirs
//! larder::without_cache(greet("ann")).await; // runs the body and stores nothing
//! larder::refreshing(greet("ann")).await; // runs the body and replaces the entry
//! # async fn rename() -> Result<(), larder::Error> { Ok(()) }
//! larder::writing([("name", "ann")], rename()).await?; // invalidates the tag at its end, whatever becomes of this future
//!
//! // A cache with options. `cache.install()` makes it the one of the whole process.
//! let clock = Clock::manual(); // for tests of lifetimes, which then need not sleep
//! let memory = Memory::builder().max_entries(10_000).ttl(Duration::from_secs(60));
//! let cache = Cache::builder().memory(memory).clock(&clock).build()?;
//! cache.with(greet("ann")).await;
//! clock.advance(Duration::from_secs(60));
//! cache.with(greet("ann")).await;
//! println!("{}", cache.stats()); // a table of hits, misses, runs and time saved
//!
//! // Where a value came from, how old it is, and what it depends on.
//! let seen = larder::observe(greet("ann")).await;
//! println!("{} from {:?}, {:?} old", seen.value, seen.source, seen.age);
//! assert!(seen.tags.contains(("name", "ann")));
//! # assert_eq!(cache.stats().function("greet").map(|stats| stats.runs), Some(2));
//! # Ok(()) }
//! ```
//!
//! Each of these has a form for sync code: [`with_scope_sync`] and so on, and [`blocking`].
//!
//! # Promises
//!
//! - **Fresh.** Once an invalidation has returned `Ok`, no later call returns a value whose computation began before it. The
//!   memory of other processes follows within the backend's `max_staleness` (Redis: 5 s by default, usually the time of one
//!   message).
//! - **Once.** Calls with the same key at the same moment share one run, across all processes. If the call that runs the body
//!   is cancelled or panics, another one takes over at once. Functions that call themselves or each other don't deadlock.
//! - **Never worse than no cache.** No fault of the cache makes a function fail or hang. A call waits for each operation of a
//!   backend at most for its timeout, then the body runs. A panic in a value's `Serialize` or `Deserialize` costs the store.
//! - **Fail closed.** Data lost from a backend costs misses. It never brings an invalidated value back.
//! - **Bounded.** Memory is bounded, and bookkeeping doesn't grow with the number of entries.
//! - **Constant-time invalidation.** Invalidating a tag costs the same for one entry and for a million.
//! - **Exact cascade.** Invalidating a result drops exactly the results that were computed from it.
//! - **No forgotten write.** Data written within [`writing`] is invalidated whatever becomes of the writer: it fails, panics, is
//!   dropped with its commit on its way, or is killed.
//! - **No mix-ups.** Functions, arguments, scopes, receivers and types never share an entry. Bytes of another type or version
//!   are a miss, and so are entries from before the function's arguments were renamed or swapped.
//!
//! The guide [Guarantees](https://docs.rs/larder/latest/larder/guide/guarantees/index.html) has the limits of each.
//!
//! # Cargo features
//!
//! | feature | what it adds |
//! |---|---|
//! | `memory` (default) | the memory layer. Without it, concurrent calls still share one run |
//! | `redis` | `Redis`, a backend that all processes share, and `msgpack` |
//! | `redis-tls` | Redis over TLS, by rustls |
//! | `compression` | LZ4 compression of large values in Redis |
//! | `deep-recursion` | sync functions that call themselves get further pieces of stack when theirs is used up |
//! | `metrics` | `larder::metrics`: counters and durations for the `metrics` facade |
//! | `tracing` | spans and events for the `tracing` facade |
//! | `msgpack`, `bincode`, `json` | codecs for values in backends. The first of them that is on is the default |
//!
//! What must be serializable doesn't depend on features: results and keys of all functions that aren't `local`.
//!
//! # Other backends
//!
//! Implement [`Backend`](backend::Backend) for a layer of your own, and check it with the suite in [`conformance`].
//! [`reference`](mod@reference) has a backend in memory, for tests with several "processes" in one.

// docs.rs shows which feature each item needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

// Text only, for docs.rs. Its code is tested by `docs/tests`, which has the crates it needs.
#[cfg(all(doc, not(doctest)))]
pub mod guide;

#[doc = include_str!("cached.md")]
#[doc(inline)]
pub use cache_macros::cached;

#[cfg(feature = "redis-tls")]
#[doc(inline)]
pub use cache_redis::Tls;
#[cfg(feature = "redis")]
#[doc(inline)]
pub use cache_redis::{Health, Recovery, Redis, RedisBuilder, Trouble, TroubleKind};

#[cfg(feature = "memory")]
#[doc(inline)]
pub use cache_core::Memory;
#[doc(inline)]
pub use cache_core::{
    BackendEvent, Cache, CacheBuilder, CallEvent, Clock, Disabled, Error, ErrorKind, Event, EventKind, Events,
    EvictionEvent, Explanation, Finding, FunctionStats, Hold, IntoTag, Invalidated, InvalidationEvent, ManualClock,
    Observed, Pending, RecvError, Report, ReportKind, RunEvent, Scope, SeenTag, SeenTags, SharedFailure, Source, Stats,
    StoreEvent, StrictWriting, Tag, Writing, add_tag, all_scopes, all_scopes_sync, at_least, at_least_sync, backend,
    blocking, carry, carry_sync, codec, conformance, disable, dont_cache, events, hold, invalidate_tag,
    invalidate_tags, observe, observe_sync, reference, refreshing, refreshing_sync, reset, scope, set_ttl, statistics,
    stats, with_scope, with_scope_sync, without_cache, without_cache_sync, writing,
};

/// What makes calls differ: how a type of yours says what identifies it.
pub mod key {
    #[doc(inline)]
    pub use cache_core::key::{Identity, KeyWriter};
}

/// What happened so far, for the [`metrics`](https://docs.rs/metrics) facade.
#[cfg(feature = "metrics")]
#[doc(inline)]
pub use cache_core::metrics;

#[doc(hidden)]
pub use cache_core::__private;

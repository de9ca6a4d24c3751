//! Function caching that stays fresh.
//!
//! Write [`#[cached]`](macro@cached) over a function you already have. Calls are answered from memory, or from a layer that
//! processes share, and the body runs only when it must: once, however many ask at the same moment. When data changes, you
//! invalidate by tag, by function or by exact arguments, and what was computed *from* the old answers goes with them.
//!
//! ```
//! use larder::cached;
//!
//! #[cached(tags = [("article", id)])]
//! async fn price(id: u64) -> u64 {
//!     id * 10 // asks a database
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
//! Functions that aren't async are cached in the same way, and need no runtime.
//!
//! # Options
//!
//! | option | for example | meaning |
//! |---|---|---|
//! | [`ttl`](macro@cached#when-and-how-long) | `"5m"`, `\|token\| token.expires_in` | how long an entry lives |
//! | [`memory_ttl`](macro@cached#when-and-how-long) | `"5s"` | how long at most in this process's memory |
//! | [`none_ttl`](macro@cached#when-and-how-long) | `"10s"` | how long a `None` lives |
//! | [`cache_none`](macro@cached#when-and-how-long) | `false` | whether a `None` is stored |
//! | [`cache_if`](macro@cached#when-and-how-long) | `\|page\| page.len() > 0` | which results are stored |
//! | [`cache_err`](macro@cached#when-and-how-long) | `true` | whether an `Err` is stored |
//! | [`tags`](macro@cached#what-it-is-known-by) | `["users", "team:{team}", ("user", id)]` | what the answer is about |
//! | [`result_tags`](macro@cached#what-it-is-known-by) | `\|user\| [("org", user.org)]` | the same, from the result |
//! | [`key`](macro@cached#what-it-is-known-by) | `(self.id, article)` | what identifies a call |
//! | [`skip`](macro@cached#what-it-is-known-by) | `skip(db, self)` | arguments that don't |
//! | [`name`](macro@cached#what-it-is-known-by) | `"users.get"` | what the function is called |
//! | [`version`](macro@cached#what-it-is-known-by) | `2` | entries of another one don't count |
//! | [`max_entries`](macro@cached#where-it-is-kept) | `10_000` | bound in memory |
//! | [`max_bytes`, `weigh`](macro@cached#where-it-is-kept) | `"64MiB"`, `\|image\| image.len()` | the same by size |
//! | [`scope`](macro@cached#what-it-is-known-by) | `tenant` | partition of the cache |
//! | [`cache`](macro@cached#where-it-is-kept) | `MY_CACHE` | another cache than the ambient one |
//! | [`local`](macro@cached#where-it-is-kept) | | this process only, no serde |
//! | [`map`, `stored`](macro@cached#what-comes-of-it) | `decorate`, `Raw` | what is done to every answer |
//! | [`stale_while_revalidate`](macro@cached#how-it-is-renewed) | `"10m"` | the old value while one run renews it |
//! | [`stale_if_error`](macro@cached#how-it-is-renewed) | `"1h"` | the old value instead of an `Err` |
//! | [`timeout`](macro@cached#how-it-is-renewed) | `"200ms"` | how long to wait before getting the old value |
//! | [`refresh_ahead`](macro@cached#how-it-is-renewed) | `0.8` | renewed after this share of the `ttl` |
//! | [`jitter`](macro@cached#how-it-is-renewed) | `0.1` | spread of the `ttl` |
//! | [`lease`](macro@cached#how-it-is-renewed) | `"10s"` | how long the right to run lasts |
//! | [`helpers`](macro@cached#generated-functions) | `[refresh, prime, peek]`, `none` | further functions beside it, or none |
//! | [`crate`](macro@cached#what-comes-of-it) | `my::larder` | where larder is |
//!
//! Each has an example at [`cached`](macro@cached).
//!
//! # Around calls
//!
//! ```
//! use std::time::Duration;
//! use larder::{Cache, Clock, Memory, Scope, cached};
//!
//! #[cached]
//! async fn greet(name: &str) -> String {
//!     larder::add_tag(("name", name)); // as `tags`, known only now; also `set_ttl` and `dont_cache`
//!     format!("hello {name}")
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), larder::Error> {
//! larder::with_scope("tenant-7", greet("ann")).await; // nobody else's
//! Scope::new("tenant-7").invalidate_tag("name").await?; // nor is this
//! larder::without_cache(greet("ann")).await; // neither answered nor stored
//! larder::refreshing(greet("ann")).await; // not answered, but stored
//!
//! // Optional: without it everything is cached in memory. `install` makes it the one of the process.
//! let clock = Clock::manual(); // tests of lifetimes don't sleep
//! let memory = Memory::builder().max_entries(10_000).ttl(Duration::from_secs(60));
//! let cache = Cache::builder().memory(memory).clock(&clock).build()?;
//! cache.with(greet("ann")).await;
//! clock.advance(Duration::from_secs(60));
//! cache.with(greet("ann")).await;
//! println!("{}", cache.stats()); // a table: hits, misses, runs, time saved
//! # assert_eq!(cache.stats().function("greet").map(|stats| stats.runs), Some(2));
//! # Ok(()) }
//! ```
//!
//! Each of these has a form for code that isn't async: [`with_scope_sync`] and so on, and [`blocking`].
//!
//! # What you can rely on
//!
//! - **Fresh.** Once an invalidation has returned, no call that starts later gets what began to be computed before it. Also
//!   not if it was computed before, and stored after it. The memory of other processes follows within the backend's
//!   `max_staleness` (Redis: 5 s unless told otherwise; in practice the time of one message).
//! - **Once.** However many ask at the same moment, the body runs once for each key. Those who wait get its result, or its
//!   error; if the one who ran it goes away, another takes over at once. Functions that reach themselves, or each other,
//!   never wait for themselves: within a process they run at once, round other processes after a few `lease`s.
//! - **Never worse than no cache.** Whatever is wrong with a shared layer, a call is answered: at worst by its body, after
//!   that layer's timeout.
//! - **Fail closed.** What a shared layer loses costs misses. It never brings an invalidated answer back.
//! - **Bounded.** Memory is, and whatever is kept besides entries doesn't grow with them.
//! - **Constant.** An invalidation costs the same for one entry as for a million.
//! - **Exact.** What was computed from an answer goes with it, and nothing else does.
//! - **No mix-ups.** Functions, arguments, scopes, receivers and types never share a key, and bytes of another type or
//!   version are a miss.
//!
//! # Features
//!
//! | feature | brings |
//! |---|---|
//! | `memory` (default) | the memory layer; without it concurrent calls still share one run |
//! | `redis` | `Redis`, a layer that all processes share, and `msgpack` |
//! | `redis-tls` | the same over TLS, by rustls |
//! | `compression` | the same with large values compressed |
//! | `msgpack`, `bincode`, `json` | a codec, which a backend needs; the first of those that are on is used unless told otherwise |
//!
//! What must be serializable doesn't depend on features: results and keys of all functions that aren't `local`.
//!
//! # Layers of your own
//!
//! A [`Backend`](backend::Backend) is a layer that processes share; [`conformance`] tells whether one keeps its contract.
//! [`reference`](mod@reference) has one in memory, for tests with several "processes" in one.

#[doc = include_str!("cached.md")]
#[doc(inline)]
pub use cache_macros::cached;

#[cfg(feature = "redis-tls")]
#[doc(inline)]
pub use cache_redis::Tls;
#[cfg(feature = "redis")]
#[doc(inline)]
pub use cache_redis::{Health, Redis, RedisBuilder, Trouble, TroubleKind};

#[cfg(feature = "memory")]
#[doc(inline)]
pub use cache_core::Memory;
#[doc(inline)]
pub use cache_core::{
    Cache, CacheBuilder, Clock, Disabled, Error, ErrorKind, FunctionStats, IntoTag, ManualClock, Scope, SharedFailure,
    Stats, Tag, add_tag, backend, blocking, carry, carry_sync, codec, conformance, disable, dont_cache, invalidate_tag,
    invalidate_tags, reference, refreshing, refreshing_sync, reset, scope, set_ttl, stats, with_scope, with_scope_sync,
    without_cache, without_cache_sync,
};

/// What makes calls differ: how a type of yours says what identifies it.
pub mod key {
    #[doc(inline)]
    pub use cache_core::key::{Identity, KeyWriter};
}

#[doc(hidden)]
pub use cache_core::__private;

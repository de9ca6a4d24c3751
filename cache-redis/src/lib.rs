//! The Redis backend of [larder](https://docs.rs/larder): one cache for all processes. Depend on `larder` with its feature
//! `redis`, not on this crate.
//!
//! Works with Redis 6.2 or newer and with Valkey: single servers, sentinels, clusters.
//!
//! ```no_run
//! # mod larder { pub use {cache_core::Cache, cache_redis::Redis}; }
//! # async fn example() -> Result<(), cache_core::Error> {
//! use std::time::Duration;
//!
//! use larder::{Cache, Redis}; // with larder's feature `redis`
//!
//! let redis = Redis::builder("redis://localhost:6379").prefix("myapp").ttl(Duration::from_secs(86_400));
//! let cache = Cache::builder().backend(redis.connect().await?).build()?;
//! # Ok(()) }
//! ```
//!
//! # URLs
//!
//! | deployment | URL |
//! |---|---|
//! | one server | `redis://user:password@host:6379/database` |
//! | unix socket | `redis+unix:///path/to.sock?db=1` |
//! | cluster | `redis-cluster://host:6379?node=other:6379` (some of the nodes) |
//! | sentinel | `redis-sentinel://host:26379?service=mymaster&node=other:26379`, and `sentinel_username`, `sentinel_password` |
//!
//! Write `rediss` instead of `redis` for TLS (larder's feature `redis-tls`; `tls` of this crate). Percent-encode a `/`, `?`, `#`
//! or `%` in a user name or password, or use [`username`](RedisBuilder::username) and [`password`](RedisBuilder::password).
//!
//! # Permissions
//!
//! The Redis user needs `~prefix:* &prefix:* +@read +@write +@scripting +@connection +@pubsub +time`. In key and channel names,
//! characters of the prefix other than letters, digits and `._-/` are percent-encoded.
//!
//! | also | for |
//! |---|---|
//! | `+cluster\|slots +asking` | clusters |
//! | `+role` | sentinels |
//! | `+config\|get +config\|set &__keyspace@0__:prefix:{*}:l` | keyspace notifications. The channel must be written exactly like this, with the number of the database, because Redis compares patterns literally |
//! | `+multi +exec` | with notifications: switching them on never undoes a change that another client makes at the same moment |
//!
//! Without permission for keyspace notifications, or with [`without_notifications`](RedisBuilder::without_notifications), waiting
//! processes are woken by messages. A user who may not subscribe is refused by [`connect`](RedisBuilder::connect).
//!
//! `notify-keyspace-events` is a setting that all clients of a server share. larder adds its flags and never removes any. If another
//! client removes them, larder notices it at the next heartbeat, or within half a second while a call waits, and adds them again.
//! Meanwhile, waiting processes look at their leases. Without `+multi +exec` there is a window of microseconds in which a flag that
//! another client sets can be lost.
//!
//! # Commands and round trips
//!
//! | what | commands | round trips |
//! |---|---|---|
//! | hit, whatever its tags | ZRANGE of the holds, GET of the sequence, GET of the entry, TIME | 1 |
//! | hits at the same moment | the same for all of them, with MGET of the entries (in a cluster GET each, per server, and TIME of two servers) | 1 |
//! | the first read after a hold has ended by itself | the same; EVALSHA stamp; the same again | 3 |
//! | first hit of an entry from before this process listened, or while a message is on its way | the same; one HMGET per tag bucket that the process can't judge (at most one per tag) | 2 |
//! | hit while the process receives no messages, tags as at the last read | all of these | 1 |
//! | miss that runs the body | the read; EVALSHA lease and EVALSHA stamp; EVALSHA store, and EVALSHA stamp if the run added tags | 3 |
//! | run that takes longer than a third of its lease | EVALSHA renew, every third of the lease | |
//! | run that depends on something that was invalidated meanwhile | EVALSHA give up, then EVALSHA release at its end | |
//! | miss that waits for another process | the read; EVALSHA lease and EVALSHA stamp; GET of the lease (repeated at growing intervals while the process hears no messages); the read again | 4 |
//! | invalidation of any number of entries | one EVALSHA for up to 512 tags; for more tags several, two at a time | 1, or one for each two scripts |
//! | write with a hold | EVALSHA hold before it and EVALSHA invalidate after it; EVALSHA hold every third of the hold's duration | 1 before, 1 after |
//! | heartbeat, three times per `max_staleness` | EVALSHA stamp; PING where messages are heard; for a new connection HMGET, to check that it leads to the same order, and PUBLISH, to check that it is heard; CONFIG GET, to check keyspace notifications | 1 |
//!
//! All invalidations are numbered. The *sequence* is an integer in Redis (the key `clock`) that holds the latest number. It is
//! read with every entry, and shows whether the process has missed an invalidation. If so, or if the entry is older than what
//! the process has heard, it asks the *tag buckets*, hashes in Redis that record each tag's last invalidation. An entry's age
//! is the server's time now minus the server's time when it was stored.
//!
//! # Logs
//!
//! larder logs nothing. It reports trouble to [`on_error`](RedisBuilder::on_error) when it begins and to
//! [`on_recovery`](RedisBuilder::on_recovery) when it is over; [`Redis::health`] returns the current state. The client library, fred,
//! logs through the `log` facade under the target `fred`: a warning for each lost connection, and one for each connection of a user
//! without `+info`. Filter that target, for example with `RUST_LOG=info,fred=off`; this works with `env_logger` and with
//! `tracing-subscriber`.
//!
//! # Guarantees
//!
//! - **Invalidations are atomic.** An invalidation of up to 512 tags is one step, and so is each 512 of more tags.
//! - **Lost data costs misses.** Eviction, `FLUSHALL`, failover or `DEL` of any key never brings an invalidated value back.
//! - **Damaged keys count as lost.** If a key of larder holds something else (another type, or no number where there should be one),
//!   it is replaced, and counted as [`TroubleKind::WrongType`].
//! - **Operations are bounded.** No operation of a call takes longer than [`timeout`](RedisBuilder::timeout). A call makes up to three
//!   operations (read, lease, store), and each cached function that its body calls makes its own. After a few failures in a row, no call waits
//!   until Redis is back. An invalidation of more than 512 tags has the timeout for each request, and fails with the first that fails.
//! - **A stuck thread blocks nobody.** If larder's own thread is stuck, for example in a debugger, its callers go on shortly after the
//!   timeout, and later calls at once.
//! - **Leases end.** A lease that isn't renewed blocks nobody for longer than was asked for, whatever happens to its key or to the
//!   server's clock. If Redis can't be reached when a run ends, the lease is released as soon as there is a connection again.
//! - **Writes aren't forgotten.** A hold on the tags of a write lives in Redis, and ends by itself whatever becomes of the process.
//! - **Bookkeeping is bounded.** Nothing grows with the number of entries or tags, except the entries themselves.
//!
//! # Limits
//!
//! - **Failed invalidations.** An invalidation while Redis can't be reached is an error. The process remembers it and records it before
//!   it reads from Redis again; until then other processes may serve the old value. Beyond 10,000 tags, everything is invalidated
//!   instead. What is remembered is lost with the process.
//! - **Holds.** A hold ends early if the server's time is set forward. A failover that loses a hold is noticed as one that loses
//!   invalidations is. A prefix that is new or was flushed begins with a hold on everything: it is invalidated once, 30 s later.
//! - **`fork`.** A handle can't be used after a `fork`, because its thread stays in the parent. In the child, its operations fail at once, so
//!   cached functions run their bodies. Make a new handle there. The parent's connections aren't touched, but the child keeps copies
//!   of their sockets until it ends or calls `exec`.
//! - **The server's clock.** Lifetimes follow it. If it is set, or a server with another time takes over after a failover, ages are off
//!   by the difference. Set forward, entries end early. Set back, entries that seem to come from the future are misses; others live
//!   longer by as much as the clock was set back, but less than twice their lifetime. The order of invalidations doesn't depend on it.
//! - **Failovers that lose writes** lose the invalidations among them. larder notices it as soon as a process uses the sequence that had
//!   heard of them, or that finds an entry stored after them. Then it drops everything older. Until then, invalidated values may be
//!   served; and also afterwards, if by then as many new invalidations were made as were lost, the last of them for the same tag.
//!   In a cluster, an entry on another shard that was stored after the lost invalidations can outlive new ones too, if the processes
//!   that make these don't know of the lost ones and make at least as many.
//! - **Network splits.** A process that reaches only a replaced primary reads what that primary has, and doesn't hear invalidations at
//!   its successor. Redis's `min-replicas-to-write 1` bounds this: larder stops using a primary that misses its replicas at the next
//!   heartbeat, which also detects a primary that became a replica.
//! - **Clusters.** The sequence and all tag buckets are on one shard, which makes an invalidation atomic. Without that shard nothing can
//!   be validated, and functions run their bodies. Without another shard, only that shard's entries are missing.
//! - **Trust.** Anyone who can write to the prefix's keys can forge entries, and anyone who can publish on its channels can make
//!   processes believe that something else was invalidated. Neither stops invalidation: a sequence that was overwritten is restarted, and
//!   a made-up number is ignored. Both cost misses.

// docs.rs shows which feature each item needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

// The modules are layers: `tests/layers` has their order, and what each is.
mod backend;
mod builder;
mod bus;
mod connection;
mod entry;
mod error;
mod handle;
mod health;
mod heartbeat;
mod hold;
mod invalidation;
mod invalidation_log;
mod keys;
mod lease;
mod lease_waiters;
mod operations;
#[doc(hidden)]
pub mod operator;
mod options;
#[cfg(test)]
mod proptest_config;
#[cfg(test)]
mod protocol;
mod random;
mod runtime;
mod scripts;
mod sequence;
mod shared;
mod tag_buckets;
mod topology;

pub use self::builder::RedisBuilder;
#[cfg(feature = "tls")]
pub use self::connection::Tls;
pub use self::handle::Redis;
pub use self::health::{Health, Recovery, Trouble, TroubleKind};

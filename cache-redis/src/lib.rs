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
//! | hit, whatever its tags | GET, GET of the clock, TIME | 1 |
//! | hits at the same moment | MGET, GET of the clock, TIME, for all of them (in a cluster GET each, per server) | 1 |
//! | first hit of an entry from before this process listened, or while a message is on its way | the same; one HMGET per tag bucket that the process can't judge (at most one per tag) | 2 |
//! | hit while the process doesn't hear invalidations, tags as at the last read | all of these | 1 |
//! | miss that runs the body | the read; EVALSHA lease and EVALSHA stamp; EVALSHA store, and EVALSHA stamp if the run added tags | 3 |
//! | run that takes longer than a third of its lease | EVALSHA renew, every third of the lease | |
//! | run that depends on something that was invalidated meanwhile | EVALSHA give up, then EVALSHA release at its end | |
//! | miss that waits for another process | the read; EVALSHA lease and EVALSHA stamp; GET of the lease (repeated at growing intervals while the process hears no messages); the read again | 4 |
//! | invalidation of any number of entries | one EVALSHA for up to 512 tags; for more tags several, two at a time | 1, or one for each two scripts |
//! | heartbeat, three times per `max_staleness` | EVALSHA stamp; PING where messages are heard; for a new connection HMGET, to check that it leads to the same order, and PUBLISH, to check that it is heard; CONFIG GET, to check keyspace notifications | 1 |
//!
//! A process judges an entry by the invalidations it has heard. They are numbered, so the clock, which is read with the entry, shows
//! whether one was missed. If so, or if the entry is older than what the process has heard, it asks the tag buckets, which hold the
//! truth. An entry's age is the server's time now minus the server's time when it was stored.
//!
//! # Logs
//!
//! larder logs nothing. It reports trouble to [`on_error`](RedisBuilder::on_error) when it begins and to
//! [`on_recovery`](RedisBuilder::on_recovery) when it is over; [`Redis::health`] describes the connection. The client library, fred,
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
//! - **Operations are bounded.** No operation takes longer than [`timeout`](RedisBuilder::timeout). A call makes up to three operations
//!   (read, lease, store), and each cached function that its body calls makes its own. After a few failures in a row, no call waits
//!   until Redis is back. An invalidation of more than 512 tags has the timeout for each request, and fails with the first that fails.
//! - **A stuck thread blocks nobody.** If larder's own thread is stuck, for example in a debugger, its callers go on shortly after the
//!   timeout, and later calls at once.
//! - **Leases end.** A lease that isn't renewed blocks nobody for longer than was asked for, whatever happens to its key or to the
//!   server's clock. If Redis can't be reached when a run ends, the lease is released as soon as there is a connection again.
//! - **Bookkeeping is bounded.** Nothing grows with the number of entries or tags, except the entries themselves.
//!
//! # Limits
//!
//! - **Failed invalidations.** An invalidation while Redis can't be reached is an error, and larder doesn't repeat it. Repeat it until
//!   it succeeds. Until then, the old value may be served from Redis once that can be reached again.
//! - **`fork`.** A handle doesn't survive a `fork`, because its thread stays in the parent. In the child, its operations fail at once, so
//!   cached functions run their bodies. Make a new handle there. The parent's connections aren't touched, but the child keeps copies
//!   of their sockets until it ends or calls `exec`.
//! - **The server's clock.** Lifetimes follow it. If it is set, or a server with another time takes over after a failover, ages are off
//!   by the difference. Set forward, entries end early. Set back, entries that seem to come from the future are misses; others live
//!   longer by as much as the clock was set back, but less than twice their lifetime. The order of invalidations doesn't depend on it.
//! - **Failovers that lose writes** lose the invalidations among them. larder notices it as soon as a process uses the clock that had
//!   heard of them, or that finds an entry stored after them. Then it drops everything older. Until then, invalidated values may be
//!   served; and also afterwards, if by then as many new invalidations were made as were lost, the last of them for the same tag.
//!   In a cluster, an entry on another shard that was stored after the lost invalidations can outlive new ones too, if the processes
//!   that make these don't know of the lost ones and make at least as many.
//! - **Network splits.** A process that reaches only a replaced primary reads what that primary has, and doesn't hear invalidations at
//!   its successor. Redis's `min-replicas-to-write 1` bounds this: larder stops using a primary that misses its replicas at the next
//!   heartbeat, which also detects a primary that became a replica.
//! - **Clusters.** The clock and all tag buckets are on one shard, which makes an invalidation atomic. Without that shard nothing can
//!   be validated, and functions run their bodies. Without another shard, only that shard's entries are missing.
//! - **Trust.** Anyone who can write to the prefix's keys can forge entries, and anyone who can publish on its channels can make
//!   processes believe that something else was invalidated. Neither stops invalidation: a clock that was overwritten is made anew, and
//!   a made-up number is not believed. Both cost misses.

// docs.rs shows which feature each item needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod address;
mod backend;
mod buckets;
mod builder;
mod bus;
mod clock;
mod connection;
mod core;
mod entry;
mod error;
mod health;
#[cfg(test)]
mod hostile;
mod keys;
mod lease;
mod log;
mod message;
mod misfit;
mod order;
#[cfg(test)]
mod protocol;
mod pulse;
mod random;
mod reads;
mod refusal;
mod returns;
mod runtime;
mod scripts;
mod wake;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cache_core::Error;
use tokio::time::Instant;

pub use self::builder::RedisBuilder;
#[cfg(feature = "tls")]
pub use self::connection::tls::Tls;
pub use self::health::{Health, Recovery, Trouble, TroubleKind};

use self::buckets::Memo;
use self::builder::Options;
use self::bus::Bus;
use self::connection::ear::Subscriptions;
use self::connection::servers::{Factory, Servers};
use self::connection::target::Target;
use self::core::{Core, heartbeat};
use self::error::Fault;
use self::health::{Monitor, Operation};
use self::keys::Names;
use self::lease::Held;
use self::pulse::{Bound, Pulse};
use self::returns::Returns;
use self::runtime::Runtime;

/// A [`Backend`](cache_core::backend::Backend) on Redis. Cheap to clone; clones share connections and a thread, which end
/// with [`close`](cache_core::backend::Backend::close) or with the last clone.
///
/// Works from every runtime, several, or none: its tasks run on a thread of its own.
#[derive(Clone)]
pub struct Redis {
    inner: Arc<Inner>,
}

struct Inner {
    core: Arc<Core>,
    runtime: Runtime,
}

impl Redis {
    /// Options of a connection to the server (cluster, sentinels) at this URL; the forms are in the
    /// [crate's docs](crate).
    pub fn builder(url: impl AsRef<str>) -> RedisBuilder {
        RedisBuilder::new(url.as_ref())
    }

    /// How the connection fares.
    pub fn health(&self) -> Health {
        let servers = &self.core().servers;
        let open = !self.core().closed.load(Ordering::Acquire) && !self.core().pulse.is_elsewhere();
        self.core().monitor.snapshot(
            open && servers.all_up(),
            open && servers.all_listening(),
            open && servers.all_have_keyspace_events(),
        )
    }

    fn start(options: Options) -> Result<Self, Error> {
        let (runtime, last_words) = Runtime::start()?;
        let entered = runtime.handle().enter();
        let names = Arc::new(Names::new(&options.prefix, options.database));
        let monitor = Arc::new(Monitor::new(options.hooks.clone()));
        let origin = format!("{:032x}", random::wide());
        let bus = Arc::new(Bus::new(Arc::clone(&names), origin, Arc::clone(&monitor)));
        let factory = Factory {
            target: Target::new(&options, names.clock.clone()),
            pool_size: options.pool_size,
            subscriptions: Subscriptions {
                channels: vec![names.bus.clone(), names.wake.clone()],
                pattern: options.notifications.then(|| names.lease_events.clone()),
                pause: options.pause(),
                permission: names.permission_to_listen().into(),
            },
            hear: bus.clone(),
            monitor: Arc::clone(&monitor),
        };
        let core = Arc::new(Core {
            servers: Servers::start(&options, factory),
            options,
            names,
            bus,
            memo: Memo::new(),
            monitor,
            runtime: runtime.handle().clone(),
            pulse: Pulse::new(),
            closed: AtomicBool::new(false),
            held: Held::default(),
            returns: Returns::default(),
        });
        tokio::spawn(heartbeat(Arc::clone(&core)));
        last_words.are(farewell(Arc::clone(&core)));
        drop(entered);
        Ok(Self { inner: Arc::new(Inner { core, runtime }) })
    }

    fn core(&self) -> &Arc<Core> {
        &self.inner.core
    }

    /// The same for an operation, before it takes any lock: one that another thread held when this process was forked
    /// stays locked.
    fn usable(&self, operation: Operation) -> Result<&Arc<Core>, Fault> {
        self.core().is_of_use(operation)?;
        Ok(self.core())
    }

    /// Waits until there is a connection that can be used, or one attempt has failed.
    async fn first_attempt(&self) -> Result<(), Fault> {
        let work = |core: Arc<Core>| async move {
            core.servers.first_attempt().await?;
            // Scripts must be allowed, and the clock must be writable. Where both are new to the server, this takes five round
            // trips.
            core.stamp(Operation::Connect, &[], Instant::now() + core.options.timeout * 2).await.map(drop)
        };
        let bound = Bound::Within(self.core().servers.opening_takes() + self.core().options.timeout * 2);
        self.core().run_within(bound, Operation::Connect, work).await
    }

    /// Gives back what is being given back, then ends everything.
    fn shut_down(&self) -> impl Future<Output = ()> + Send + 'static {
        let core = Arc::clone(self.core());
        let stopper = self.inner.runtime.stopper().clone();
        async move {
            core.closed.store(true, Ordering::Release);
            if core.pulse.is_elsewhere() {
                // The connections are the parent's.
                return;
            }
            core.bus.waiters.wake_all();
            stopper.stop((core.options.timeout * 2).max(Duration::from_secs(1))).await;
        }
    }
}

/// The last thing that is done.
async fn farewell(core: Arc<Core>) {
    let _ = tokio::time::timeout(core.options.timeout, core.give_all_back()).await;
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.core.closed.store(true, Ordering::Release);
        if !self.core.pulse.is_elsewhere() {
            self.runtime.stopper().signal();
        }
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("options", &self.core().options).finish_non_exhaustive()
    }
}

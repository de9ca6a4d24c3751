//! The Redis backend of [larder](https://docs.rs/larder): one cache for all processes.
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
//! With `rediss` instead of `redis` the connection uses TLS (larder's feature `redis-tls`; `tls` of this crate). A `/`, `?`,
//! `#` or `%` in a user name or password is percent-encoded, or they are given by
//! [`username`](RedisBuilder::username) and [`password`](RedisBuilder::password).
//!
//! # What goes over the wire
//!
//! | what | commands | round trips |
//! |---|---|---|
//! | hit, whatever its tags | GET, GET of the clock, TIME | 1 |
//! | hits at one moment | MGET, GET of the clock, TIME, for all of them (in a cluster GET each, per server) | 1 |
//! | first hit of an entry from before this process listened, or while a message is under way | the same; one HMGET per tag bucket it can't tell of (at most one a tag) | 2 |
//! | hit while nobody listens to invalidations, tags as at the last read | all of these | 1 |
//! | miss that runs | the read; EVALSHA lease and EVALSHA stamp; EVALSHA store, and EVALSHA stamp if the run added tags | 3 |
//! | run that takes longer than a third of its lease | EVALSHA renew, every third | |
//! | run that an invalidation has made worthless | EVALSHA give up, then EVALSHA release at its end | |
//! | miss that waits | the read; EVALSHA lease and EVALSHA stamp; GET of the lease (again and again, ever more rarely, while nobody listens or nothing is heard on that connection); the read again | 4 |
//! | invalidation, of however many entries | one EVALSHA for up to 512 tags; for more of them several, two at a time | 1, or one for each two |
//! | heartbeat, three times in `max_staleness` | EVALSHA stamp, and PING where messages are heard; for a new connection HMGET, to see that it leads to the same order, and PUBLISH, to see that this is heard; CONFIG GET, to see that keyspace notifications are still on | 1 |
//!
//! Whether an entry is live is judged by what this process has heard of invalidations, all of which are numbered: if the
//! clock, read along with the entry, shows that nothing was missed, the entry's tags need not be asked for. Where that
//! doesn't suffice the tag buckets are asked; they are the truth. An entry's age follows from the server's time when it was
//! stored, which stands in it.
//!
//! # Permissions
//!
//! `~prefix:* &prefix:* +@read +@write +@scripting +@connection +@pubsub +time` suffices (a prefix with other characters
//! than letters, digits and `._-/` is percent-encoded in names). Clusters also need `+cluster|slots +asking`, sentinels
//! `+role`. For keyspace notifications add `+config|get +config|set` and exactly `&__keyspace@0__:prefix:{*}:l` (with the
//! number of the database; for patterns Redis compares literally); without these, or with
//! [`without_notifications`](RedisBuilder::without_notifications), waiters are woken by messages. A user who may not
//! subscribe is refused by [`connect`](RedisBuilder::connect).
//!
//! All clients of a server share the setting `notify-keyspace-events`. larder adds flags to it and removes none. If another
//! client removes one that larder needs, larder notices at the next heartbeat, or within half a second while somebody
//! waits, and adds it again; meanwhile waiters look at their leases. With `+multi +exec` a flag that another client sets
//! at the same moment is kept; without them there is a window of microseconds in which it can be lost.
//!
//! # Logs
//!
//! larder logs nothing: trouble is reported to [`on_error`](RedisBuilder::on_error) when it begins and to
//! [`on_recovery`](RedisBuilder::on_recovery) when it is over, and [`Redis::health`] tells what is going on. The client
//! library, fred, logs through the `log` facade under the target `fred`: a warning for each connection that is lost, and
//! for each connection that is opened by a user without `+info`. One library can't lower the level of another, so filter
//! that target, as in `RUST_LOG=info,fred=off`, with `env_logger` as with `tracing-subscriber`.
//!
//! # What it promises
//!
//! - An invalidation is one atomic step, and so is each 512 of many tags. Whatever Redis loses (eviction, `FLUSHALL`, failover,
//!   `DEL` of any key) costs misses, and brings no invalidated value back.
//! - No operation takes longer than [`timeout`](RedisBuilder::timeout). A call makes up to three (it reads, takes the lease,
//!   and stores), and so does each cached function that its body calls; after a few that failed, none waits until Redis
//!   is back. An invalidation of more than 512 tags has the timeout for each request that it takes, and fails with the first.
//!   What goes wrong is counted and reported.
//! - The same holds if larder's own thread is stuck, for example in a debugger: its callers go on after the timeout.
//! - A lease blocks nobody for longer than it was asked for without being renewed, whatever happens to its key or to the
//!   server's clock. A run that ends while Redis can't be reached gives its lease back as soon as there is a connection.
//! - Keys of larder's that hold something else (another type, no number where there should be one) count as lost: they are
//!   replaced, counted ([`TroubleKind::WrongType`]), and cost misses.
//! - Nothing grows with the number of entries or tags, except the entries themselves.
//!
//! and what it doesn't:
//!
//! - A handle doesn't survive `fork`: its thread stays in the parent. In the child, calls fail at once, so cached functions
//!   run their bodies; make a new handle there. The parent's connections aren't touched, but the child keeps copies of
//!   their sockets until it ends or calls `exec`.
//! - An invalidation while Redis can't be reached is an error, and nothing repeats it: repeat it until it succeeds. Till then
//!   what it is to end may be served from Redis, as soon as that can be reached again.
//! - Ages are measured by the server's clock. If that is set, or a server whose clock differs takes over after a failover, ages
//!   differ by as much, as do the ends of lifetimes in Redis itself: set forward, entries end early; set back, those that seem
//!   to come from the future are misses, and others may live longer by as much as it was set back, but for less than twice
//!   their lifetime. The order of invalidations doesn't depend on the server's clock.
//! - A failover that loses writes loses the invalidations among them. This is noticed as soon as a process that had heard
//!   of them, or that finds an entry stored after them, uses the clock; then everything older is dropped. Until then, what
//!   they invalidated may be served; also afterwards, if by then others have made as many as were lost, the last of them
//!   for the same tag.
//! - Whoever reaches only a primary that has been replaced, while that doesn't know it (a network that is split), reads
//!   what it has, and doesn't hear of invalidations at its successor. Redis's `min-replicas-to-write 1` bounds this: a
//!   primary that misses its replicas is used no more, as of the next heartbeat (which also finds one that was made a
//!   replica).
//! - In a cluster, the clock and all tag buckets are on one shard (that is what makes an invalidation atomic): without
//!   that shard nothing can be validated, and functions run. Without another shard, only its own entries are missing.
//! - Whoever may write to the prefix's keys can forge entries, and whoever may publish on its channels can make processes
//!   believe that an invalidation was another one. Neither stops invalidation: a clock that was overwritten is made anew, a
//!   number that somebody made up counts for nothing, and both cost misses.

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
            // Scripts must be allowed, and the clock must be writable.
            core.stamp(Operation::Connect, &[], core.deadline()).await.map(drop)
        };
        let bound = Bound::Within(self.core().servers.opening_takes() + self.core().options.timeout);
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

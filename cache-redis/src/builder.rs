//! Options.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cache_core::codec::Codec;
use cache_core::{Error, ErrorKind};

use crate::Redis;
#[cfg(feature = "tls")]
use crate::Tls;
use crate::address::{Address, Place, Secret};
use crate::health::{Hooks, Recovery, Trouble};

/// As good as for ever, and far from where clocks end.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(31_536_000);

/// Options of a [`Redis`]; see [`Redis::builder`].
#[must_use = "options do nothing until `connect` or `connect_lazy`"]
#[derive(Clone)]
pub struct RedisBuilder {
    address: Result<Address, Error>,
    prefix: String,
    database: Option<u8>,
    ttl: Option<Duration>,
    lease: Duration,
    timeout: Duration,
    max_staleness: Duration,
    username: Option<String>,
    password: Option<Secret>,
    pool_size: usize,
    notifications: bool,
    compress_above: Option<usize>,
    codec: Option<Arc<dyn Codec>>,
    hooks: Hooks,
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
}

/// The same, checked.
#[derive(Clone)]
pub(crate) struct Options {
    pub(crate) place: Place,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<Secret>,
    pub(crate) database: u8,
    pub(crate) prefix: String,
    pub(crate) ttl: Option<Duration>,
    pub(crate) lease: Duration,
    pub(crate) timeout: Duration,
    pub(crate) max_staleness: Duration,
    pub(crate) pool_size: usize,
    pub(crate) notifications: bool,
    pub(crate) compress_above: Option<usize>,
    pub(crate) codec: Option<Arc<dyn Codec>>,
    pub(crate) hooks: Hooks,
    #[cfg(feature = "tls")]
    pub(crate) tls_connector: Option<rustls::ClientConfig>,
}

impl Options {
    /// Between heartbeats.
    pub(crate) fn pause(&self) -> Duration {
        (self.max_staleness / 3).max(Duration::from_millis(1))
    }
}

impl RedisBuilder {
    pub(crate) fn new(url: &str) -> Self {
        Self {
            address: Address::parse(url),
            prefix: "larder".to_owned(),
            database: None,
            ttl: None,
            lease: Duration::from_secs(10),
            timeout: Duration::from_millis(200),
            max_staleness: Duration::from_secs(5),
            username: None,
            password: None,
            pool_size: 1,
            notifications: true,
            compress_above: None,
            codec: None,
            hooks: Hooks::default(),
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// What the names of all keys and channels begin with. Any text; caches with different prefixes never touch each
    /// other. Default: `larder`.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// The number of the database. Default: that of the URL, else 0. Clusters have only 0.
    pub fn database(mut self, database: u8) -> Self {
        self.database = Some(database);
        self
    }

    /// How long entries are kept that have no lifetime of their own. Default: until Redis evicts them; then Redis
    /// should be allowed to (`maxmemory-policy allkeys-lru`).
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// How long a process that runs a body may be silent before another takes over. It is renewed while the body runs,
    /// so it need not be as long as a run. A call from within another cached function's run waits for a process that runs
    /// the body for two to three times this long, as it may be waiting for us; then the body runs here too, and its result
    /// isn't stored in Redis. Default: 10 seconds.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// How long a call may wait for Redis; then the body runs as if there were no Redis. Default: 200 ms.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How long this process's memory may serve what another has invalidated, if messages are lost or Redis can't be
    /// reached. Default: 5 seconds.
    pub fn max_staleness(mut self, max_staleness: Duration) -> Self {
        self.max_staleness = max_staleness;
        self
    }

    /// The ACL user. Default: that of the URL.
    pub fn username(mut self, username: impl Into<String>) -> Self {
        self.username = Some(username.into());
        self
    }

    /// The password. Default: that of the URL. It is never shown.
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(Secret(password.into()));
        self
    }

    /// How many connections commands are spread over, per server. One connection takes all calls at once without
    /// waiting for each other, and more were slower when we measured. Default: 1.
    pub fn pool_size(mut self, pool_size: usize) -> Self {
        self.pool_size = pool_size;
        self
    }

    /// Whom to trust, and what to show. For `rediss` URLs; without it they trust what the operating system trusts. Needs
    /// larder's feature `redis-tls`.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Called when trouble begins, once per kind until it is over. Runs on a thread that belongs to larder and may block;
    /// further reports wait for it.
    pub fn on_error(mut self, on_error: impl Fn(&Trouble) + Send + Sync + 'static) -> Self {
        self.hooks.on_error = Some(Arc::new(on_error));
        self
    }

    /// Called when trouble is over that [`on_error`](Self::on_error) has reported, with how long it lasted. Trouble of a
    /// connection is over when the server answers again; that of an operation when it succeeds again, or wasn't met for a
    /// minute. Runs on the same thread as `on_error`.
    pub fn on_recovery(mut self, on_recovery: impl Fn(&Recovery) + Send + Sync + 'static) -> Self {
        self.hooks.on_recovery = Some(Arc::new(on_recovery));
        self
    }

    /// Doesn't use keyspace notifications, and so doesn't try to switch them on by `CONFIG SET`: waiters are woken by
    /// a message of whoever gives a lease back.
    pub fn without_notifications(mut self) -> Self {
        self.notifications = false;
        self
    }

    /// How values are encoded. Processes with another codec don't understand each other's entries and replace them.
    /// Default: that of [`Cache::builder`](cache_core::Cache::builder), which also counts more than this one.
    pub fn codec(mut self, codec: impl Codec) -> Self {
        self.codec = Some(Arc::new(codec));
        self
    }

    /// Compresses values of more bytes than that (LZ4). Processes with and without it understand each other's entries,
    /// if they have larder's feature `compression`.
    #[cfg(feature = "compression")]
    pub fn compress_above(mut self, bytes: usize) -> Self {
        self.compress_above = Some(bytes);
        self
    }

    /// Connects, and makes sure that the server can be used.
    ///
    /// If nothing answers at the address, this ends after [`timeout`](Self::timeout), or after a second if that is longer.
    /// Opening a connection takes several round trips, so a server that answers, but slowly, gets four times as long.
    /// Sentinels, and the nodes named for a cluster, are tried one after the other.
    ///
    /// # Errors
    /// - [`ErrorKind::Config`]: the URL or an option makes no sense, or the certificates can't be read.
    /// - [`ErrorKind::Unavailable`]: no server there, or not ready.
    /// - [`ErrorKind::Refused`]: wrong password, missing permissions (also to subscribe), a read-only replica, a server
    ///   that is too old, a certificate we don't trust, or no Redis: another program, or one with TLS where the URL has
    ///   none or the other way round.
    ///
    /// # Cancel safety
    /// Dropping the future ends everything it has begun.
    pub async fn connect(self) -> Result<Redis, Error> {
        let redis = self.connect_lazy()?;
        redis.first_attempt().await?;
        Ok(redis)
    }

    /// Starts to connect, and goes on trying for as long as the handle lives. Until there is a connection, functions
    /// run as if there were no Redis.
    ///
    /// # Errors
    /// [`ErrorKind::Config`]: the URL or an option makes no sense, or the certificates can't be read.
    pub fn connect_lazy(self) -> Result<Redis, Error> {
        Redis::start(self.check()?)
    }

    fn check(self) -> Result<Options, Error> {
        let address = self.address?;
        let config = |message: &str| Err(Error::new(ErrorKind::Config, message));
        for (name, duration) in
            [("lease", self.lease), ("timeout", self.timeout), ("max_staleness", self.max_staleness)]
        {
            if duration.is_zero() {
                return config(&format!("`Redis::builder(..).{name}(..)` is zero; give it a duration above zero"));
            }
        }
        if self.ttl.is_some_and(|ttl| ttl.is_zero()) {
            return config(
                "`Redis::builder(..).ttl(..)` is zero, which would store nothing; give it a duration above zero",
            );
        }
        if self.pool_size == 0 {
            return config("`Redis::builder(..).pool_size(0)` leaves no connection; give it 1 or more");
        }
        let database = self.database.or(address.database).unwrap_or(0);
        if database > 0 && matches!(address.place, Place::Cluster(_)) {
            return config("a Redis cluster has only database 0; use `prefix` to keep caches apart");
        }
        let password = self.password.or(address.password);
        let username = self.username.or(address.username);
        if username.is_some() && password.is_none() {
            return config("a Redis user was given without a password; add `.password(..)`, or write it into the URL");
        }
        #[cfg(not(feature = "tls"))]
        if address.tls {
            return config(
                "a `rediss` URL needs larder's feature `redis-tls` (`tls` of cache-redis, if that is used by itself)",
            );
        }
        #[cfg(feature = "tls")]
        if self.tls.is_some() && !address.tls {
            return config(
                "`Redis::builder(..).tls(..)` was given, but the URL doesn't ask for TLS; write `rediss://`",
            );
        }
        Ok(Options {
            place: address.place,
            username,
            password,
            database,
            prefix: self.prefix,
            ttl: self.ttl,
            lease: self.lease,
            timeout: self.timeout.min(LONGEST_TIMEOUT),
            max_staleness: self.max_staleness,
            pool_size: self.pool_size,
            notifications: self.notifications,
            compress_above: self.compress_above,
            codec: self.codec,
            hooks: self.hooks,
            #[cfg(feature = "tls")]
            tls_connector: address.tls.then(|| self.tls.unwrap_or_default().client_config()).transpose()?,
        })
    }
}

impl fmt::Debug for RedisBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBuilder")
            .field("place", &self.address.as_ref().map(|address| &address.place))
            .field("prefix", &self.prefix)
            .field("ttl", &self.ttl)
            .field("lease", &self.lease)
            .field("timeout", &self.timeout)
            .field("max_staleness", &self.max_staleness)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("place", &self.place)
            .field("database", &self.database)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

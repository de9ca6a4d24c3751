//! The options as users write them. [`connect`](RedisBuilder::connect) checks them and starts the backend.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cache_core::backend::MAX_HOLD;
use cache_core::codec::Codec;
use cache_core::{Error, ErrorKind};

#[cfg(feature = "tls")]
use crate::connection::Tls;
use crate::handle::Redis;
use crate::health::{Hooks, Recovery, Trouble};
use crate::options::Options;
use crate::options::address::{Address, Place, Secret};

/// A year. Longer timeouts are cut to this, so that adding one to a point in time never overflows.
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
    hold: Duration,
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

impl Redis {
    /// Options of a connection to the server (cluster, sentinels) at this URL; the forms are in the
    /// [crate's docs](crate).
    pub fn builder(url: impl AsRef<str>) -> RedisBuilder {
        RedisBuilder::new(url.as_ref())
    }
}

impl RedisBuilder {
    fn new(url: &str) -> Self {
        Self {
            address: Address::parse(url),
            prefix: "larder".to_owned(),
            database: None,
            ttl: None,
            lease: Duration::from_secs(10),
            hold: MAX_HOLD,
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

    /// The beginning of the names of all keys and channels. It can be any text. Caches with different prefixes never touch
    /// each other's keys. Default: `larder`.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// The number of the database. A cluster has only database 0. Default: the database in the URL, otherwise 0.
    pub fn database(mut self, database: u8) -> Self {
        self.database = Some(database);
        self
    }

    /// The lifetime of entries that have none of their own. Default: such entries stay until Redis evicts them, so allow
    /// Redis to evict keys (`maxmemory-policy allkeys-lru`).
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// The duration of a lease. If the process that runs a body dies, another process takes over after this time. A lease
    /// is renewed while the body runs, so it can be shorter than a run. Default: 10 seconds.
    ///
    /// A call inside another cached function's body waits for a run in another process for two to three times this long,
    /// because that run may be waiting for this one. Then the body runs here too, and its result isn't stored in Redis.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// How long a hold lives after its last renewal; see [`writing`](cache_core::writing). It should be longer than a commit can be
    /// on its way to your database. It is renewed every third of this time while its write goes on. Default, and the most: 30
    /// seconds.
    pub fn hold(mut self, hold: Duration) -> Self {
        self.hold = hold;
        self
    }

    /// How long one operation may wait for Redis: reading an entry, taking a lease or storing a result. After that, the
    /// cached function goes on as if there were no Redis. Default: 200 ms.
    ///
    /// - A call makes up to three such operations.
    /// - An invalidation of up to 512 tags fails after this time. With more tags, each request to Redis has this time.
    /// - Waiting for a run in another process is bounded by the [lease](Self::lease), not by the timeout.
    /// - [`connect`](Self::connect) opens connections, which may take longer, and may then wait twice the timeout for its
    ///   first script.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How long this process may serve an entry from memory that another process has invalidated, if messages are lost or
    /// Redis can't be reached. Default: 5 seconds.
    pub fn max_staleness(mut self, max_staleness: Duration) -> Self {
        self.max_staleness = max_staleness;
        self
    }

    /// The ACL user. Default: the user name in the URL.
    pub fn username(mut self, username: impl Into<String>) -> Self {
        self.username = Some(username.into());
        self
    }

    /// The password. It never appears in errors or `Debug` output. Default: the password in the URL.
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(Secret(password.into()));
        self
    }

    /// The number of connections for commands to each server. Calls share a connection without waiting for each other, and
    /// more connections were slower in our benchmarks. Default: 1.
    pub fn pool_size(mut self, pool_size: usize) -> Self {
        self.pool_size = pool_size;
        self
    }

    /// Options of TLS, for `rediss` URLs. Default: the operating system's certificate authorities are trusted, and no client
    /// certificate is sent. Needs larder's feature `redis-tls`.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// A function that is called when trouble begins: once for each kind of trouble until it is over. It runs on a thread of
    /// larder's and may block. Further reports wait until it returns.
    pub fn on_error(mut self, on_error: impl Fn(&Trouble) + Send + Sync + 'static) -> Self {
        self.hooks.on_error = Some(Arc::new(on_error));
        self
    }

    /// A function that is called when trouble is over that [`on_error`](Self::on_error) has reported. Trouble with a
    /// connection is over when the server answers again. Trouble with an operation is over when the operation succeeds
    /// again, or when the trouble hasn't occurred for a minute. It runs on the same thread as `on_error`.
    pub fn on_recovery(mut self, on_recovery: impl Fn(&Recovery) + Send + Sync + 'static) -> Self {
        self.hooks.on_recovery = Some(Arc::new(on_recovery));
        self
    }

    /// Doesn't use keyspace notifications, and never calls `CONFIG SET`. A process that waits for a lease is then woken by a
    /// message from the process that releases it.
    pub fn without_notifications(mut self) -> Self {
        self.notifications = false;
        self
    }

    /// How values are encoded. Processes with different codecs can't read each other's entries, and replace them. A codec
    /// given to [`Cache::builder`](cache_core::Cache::builder) takes precedence over this one.
    pub fn codec(mut self, codec: impl Codec) -> Self {
        self.codec = Some(Arc::new(codec));
        self
    }

    /// Compresses values of more than this many bytes with LZ4. Processes with different settings can read each other's
    /// entries, if all of them have larder's feature `compression`.
    #[cfg(feature = "compression")]
    pub fn compress_above(mut self, bytes: usize) -> Self {
        self.compress_above = Some(bytes);
        self
    }

    /// Connects, and checks that the server can be used: that scripts are allowed and that keys can be written.
    ///
    /// If nothing answers at the address, this fails after [`timeout`](Self::timeout), or after one second if that is longer.
    /// A server that answers slowly gets four times as long, because opening a connection takes several round trips. The
    /// first script may then take twice the timeout. Sentinels, and the nodes named for a cluster, are tried one after the
    /// other.
    ///
    /// # Errors
    /// - [`ErrorKind::Config`]: the URL or an option is invalid, or the certificates can't be read.
    /// - [`ErrorKind::Unavailable`]: no server answers at the address, or it isn't ready.
    /// - [`ErrorKind::Refused`]: the password is wrong; permissions are missing (also the one to subscribe); the server is a
    ///   read-only replica, too old, or not Redis; its certificate isn't trusted; or only one of server and URL uses TLS.
    ///
    /// # Cancel safety
    /// Dropping the future closes all connections that it has opened.
    pub async fn connect(self) -> Result<Redis, Error> {
        let redis = self.connect_lazy()?;
        redis.first_attempt().await?;
        Ok(redis)
    }

    /// Starts to connect in the background, and keeps trying for as long as the handle lives. Until there is a connection,
    /// cached functions work as if there were no Redis.
    ///
    /// # Errors
    /// [`ErrorKind::Config`]: the URL or an option is invalid, or the certificates can't be read.
    pub fn connect_lazy(self) -> Result<Redis, Error> {
        Redis::start(self.check()?)
    }

    fn check(self) -> Result<Options, Error> {
        let address = self.address?;
        let config = |message: &str| Err(Error::new(ErrorKind::Config, message));
        for (name, duration) in [
            ("lease", self.lease),
            ("hold", self.hold),
            ("timeout", self.timeout),
            ("max_staleness", self.max_staleness),
        ] {
            if duration.is_zero() {
                return config(&format!("`Redis::builder(..).{name}(..)` is zero; give it a duration above zero"));
            }
        }
        if self.hold > MAX_HOLD {
            return config("`Redis::builder(..).hold(..)` is longer than 30 s; give it 30 s or less");
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
            hold: self.hold,
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
            .field("hold", &self.hold)
            .field("timeout", &self.timeout)
            .field("max_staleness", &self.max_staleness)
            .finish_non_exhaustive()
    }
}

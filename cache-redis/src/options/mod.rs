//! The options of a backend, checked: what [`RedisBuilder`](crate::RedisBuilder) makes of what the user wrote.

pub(crate) mod address;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cache_core::codec::Codec;

use self::address::{Place, Secret};
use crate::health::Hooks;

#[derive(Clone)]
pub(crate) struct Options {
    pub(crate) place: Place,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<Secret>,
    pub(crate) database: u8,
    pub(crate) prefix: String,
    pub(crate) ttl: Option<Duration>,
    pub(crate) lease: Duration,
    pub(crate) hold: Duration,
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

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("place", &self.place)
            .field("database", &self.database)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

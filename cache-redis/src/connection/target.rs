//! Where to connect to, and what is wrong where no connection can be opened.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use fred::types::config::{Config, Server, ServerConfig};
use tokio::time::Instant;

use super::probe::{self, At, Found};
use crate::error::{CLOSED, Fault, Mismatch, Schemes};
use crate::options::Options;
use crate::options::address::{Host, Place};

/// Whom to connect to, and how.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// For messages.
    name: Arc<str>,
    place: Place,
    pub(super) config: Config,
    /// Of the URL.
    schemes: Schemes,
    /// A key of ours, to see whether the server lets us write.
    pub(super) probe: Bytes,
    /// For the answer to the first command; connecting itself may take longer.
    timeout: Duration,
    /// Which of several sentinels has led to the server last.
    sentinel: Arc<AtomicUsize>,
    /// It was Redis once.
    is_redis: Arc<AtomicBool>,
}

impl Target {
    /// The server or sentinels that the options name. In a cluster, its first node.
    pub(crate) fn new(options: &Options, probe: Bytes) -> Self {
        let config = Config {
            fail_fast: true,
            username: options.username.clone(),
            password: options.password.clone().map(|password| password.0),
            database: Some(options.database).filter(|database| *database > 0),
            server: server_config(&options.place),
            #[cfg(feature = "tls")]
            tls: options.tls_connector.clone().map(Into::into),
            ..Config::default()
        };
        Self {
            name: name(&options.place).into(),
            place: options.place.clone(),
            config,
            schemes: schemes(&options.place),
            probe,
            timeout: options.timeout,
            sentinel: Arc::default(),
            is_redis: Arc::default(),
        }
    }

    /// The same for a certain server.
    pub(crate) fn at(&self, host: &Host) -> Self {
        let place = Place::Server(host.clone());
        Self { name: name(&place).into(), is_redis: Arc::default(), ..self.with(place) }
    }

    fn with(&self, place: Place) -> Self {
        let config = Config { server: server_config(&place), ..self.config.clone() };
        Self { place, config, ..self.clone() }
    }

    /// What is to be tried one after the other until one leads to the server: the sentinels, each of which may be gone
    /// or hang. Where there are none, it is this.
    pub(super) fn ways(&self) -> Vec<(usize, Self)> {
        let Place::Sentinel { sentinels, service, username, password } = &self.place else {
            return vec![(0, self.clone())];
        };
        let by = |index: usize, sentinel: &Host| {
            let (service, username, password) = (service.clone(), username.clone(), password.clone());
            (index, self.with(Place::Sentinel { sentinels: vec![sentinel.clone()], service, username, password }))
        };
        let mut ways: Vec<_> = sentinels.iter().enumerate().map(|(index, sentinel)| by(index, sentinel)).collect();
        ways.rotate_left(self.sentinel.load(Ordering::Relaxed).min(sentinels.len().saturating_sub(1)));
        ways
    }

    /// This way has led to the server.
    pub(super) fn was_reached(&self, way: usize) {
        self.sentinel.store(way, Ordering::Relaxed);
        self.is_redis.store(true, Ordering::Relaxed);
    }

    /// Where to look what answers.
    fn at_first(&self) -> Option<At<'_>> {
        match &self.place {
            Place::Server(host) => Some(At::Host(host)),
            Place::Cluster(hosts) | Place::Sentinel { sentinels: hosts, .. } => hosts.first().map(At::Host),
            Place::Unix(path) => Some(At::Socket(path)),
        }
    }

    fn has_tls(&self) -> bool {
        #[cfg(feature = "tls")]
        return self.config.tls.is_some();
        #[cfg(not(feature = "tls"))]
        false
    }

    /// For messages.
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// For one answer.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// How long the first sign of life of a server is waited for.
    fn first_sign(&self) -> Duration {
        self.timeout.max(Duration::from_secs(1))
    }

    /// How long opening a connection may take: handshakes need several round trips.
    pub(crate) fn patience(&self) -> Duration {
        self.first_sign().saturating_mul(2)
    }

    /// How long it may take until a connection listens: all ways there are, and subscribing.
    pub(crate) fn opening_takes(&self) -> Duration {
        let ways = match &self.place {
            Place::Sentinel { sentinels, .. } => u32::try_from(sentinels.len()).unwrap_or(u32::MAX),
            _ => 1,
        };
        self.patience().saturating_mul(ways.saturating_add(1))
    }

    /// Why no connection can be opened, unless something that may be the server shows a sign of life in time.
    pub(super) async fn no_sign(&self, began: Instant) -> Fault {
        let Some(at) = self.at_first().filter(|_| !self.is_redis.load(Ordering::Relaxed)) else {
            return std::future::pending().await;
        };
        tokio::time::sleep_until(began + self.first_sign() / 2).await;
        match (probe::look(at, began + self.first_sign()).await, self.has_tls()) {
            (Found::Redis, false) | (Found::Tls, true) => std::future::pending().await,
            (Found::Nobody, _) => Fault::unreachable("nobody has accepted the connection in time"),
            (found, _) => self.judged(found, Fault::TimedOut(None)),
        }
    }

    /// The fault of a connection that could not be opened, or what is behind it.
    pub(super) async fn diagnosed(&self, fault: Fault, began: Instant) -> Fault {
        match self.at_first() {
            Some(at) if fault.is_of_connection() && !self.is_redis.load(Ordering::Relaxed) => {
                self.judged(probe::look(at, began + self.first_sign()).await, fault)
            }
            _ => fault,
        }
    }

    fn judged(&self, found: Found, fault: Fault) -> Fault {
        let mismatch = match (found, self.has_tls()) {
            (Found::Tls, false) => Mismatch::SpeaksTls(self.schemes),
            (Found::Redis, true) => Mismatch::SpeaksNoTls(self.schemes),
            (Found::Http, _) => Mismatch::SpeaksHttp,
            (Found::Stranger, _) => Mismatch::Stranger,
            (Found::Closed, _) => return Fault::unreachable(CLOSED),
            (Found::Nobody | Found::Silence | Found::Redis | Found::Tls, _) => return fault,
        };
        Fault::Mismatch(None, mismatch, fault.why())
    }
}

fn schemes(place: &Place) -> Schemes {
    let (plain, tls) = match place {
        Place::Server(_) | Place::Unix(_) => ("redis", "rediss"),
        Place::Cluster(_) => ("redis-cluster", "rediss-cluster"),
        Place::Sentinel { .. } => ("redis-sentinel", "rediss-sentinel"),
    };
    Schemes { plain, tls }
}

fn name(place: &Place) -> String {
    let list = |hosts: &[Host]| hosts.iter().map(named).collect::<Vec<_>>().join(", ");
    match place {
        Place::Server(host) => named(host),
        Place::Unix(path) => path.display().to_string(),
        Place::Cluster(hosts) => format!("the cluster at {}", list(hosts)),
        Place::Sentinel { sentinels, service, .. } => format!("`{service}` by the sentinels {}", list(sentinels)),
    }
}

fn named((host, port): &Host) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn server_config(place: &Place) -> ServerConfig {
    match place {
        Place::Server(host) => ServerConfig::Centralized { server: server(host) },
        Place::Unix(path) => ServerConfig::Unix { path: path.clone() },
        Place::Cluster(hosts) => {
            ServerConfig::Centralized { server: hosts.first().map_or_else(|| Server::new("", 0), server) }
        }
        Place::Sentinel { sentinels, service, username, password } => ServerConfig::Sentinel {
            hosts: sentinels.iter().map(server).collect(),
            service_name: service.clone(),
            username: username.clone(),
            password: password.clone().map(|password| password.0),
        },
    }
}

fn server((host, port): &Host) -> Server {
    if host.contains(':') {
        #[allow(unused_mut, reason = "only TLS has another name to set")]
        let mut server = Server::new(format!("[{host}]"), *port);
        #[cfg(feature = "tls")]
        {
            server.tls_server_name = Some(host.as_str().into());
        }
        return server;
    }
    Server::new(host.as_str(), *port)
}

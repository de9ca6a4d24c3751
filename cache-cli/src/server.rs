//! The server: larder's own backend for what larder does, and plain commands for what it has no use for.

use std::time::Duration;

use cache_redis::Redis;
use fred::clients::Client;
use fred::error::Error as FredError;
use fred::interfaces::{ClientLike as _, EventInterface as _, PubsubInterface as _};
use fred::types::config::{Config, ConnectionConfig, ServerConfig};
use fred::types::{Builder, ClusterHash, CustomCommand, Message, Value};
use fred::util::redis_keyslot;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;

use crate::arguments::Place;
use crate::output::Failure;

/// larder's backend, which says what is wrong if it can't be used.
pub(crate) async fn backend(place: &Place) -> Result<Redis, Failure> {
    let builder = Redis::builder(&place.url).prefix(&place.prefix).timeout(place.timeout).pool_size(1);
    Ok(builder.connect().await?)
}

/// A connection to one server, or to a cluster.
pub(crate) struct Server {
    /// `host:port`, for messages.
    pub(crate) name: String,
    config: Config,
    client: Client,
    patience: Duration,
}

impl Server {
    pub(crate) async fn connect(place: &Place) -> Result<Self, Failure> {
        let opened = match Config::from_url(&place.url) {
            Ok(config) => Self::open(config, place.timeout).await,
            Err(error) => Err(Failure::new(format!("the URL can't be used: {}", error.details()))),
        };
        match opened {
            Ok(server) => Ok(server),
            // larder's own connection knows better what is wrong, and what to do.
            Err(failure) => Err(backend(place).await.err().unwrap_or(failure)),
        }
    }

    /// Another server of the same deployment.
    async fn sibling(&self, host: &str, port: u16) -> Result<Self, Failure> {
        let server = ServerConfig::new_centralized(host, port);
        Self::open(Config { server, ..self.config.clone() }, self.patience).await
    }

    async fn open(config: Config, patience: Duration) -> Result<Self, Failure> {
        let mut names = config.server.hosts();
        let name =
            names.pop().map_or_else(|| "the server".to_owned(), |server| format!("{}:{}", server.host, server.port));
        let failed = |why: &str| Failure::new(format!("{name} can't be reached: {why}"));
        let mut builder = Builder::from_config(config.clone());
        builder.set_connection_config(ConnectionConfig {
            connection_timeout: patience,
            max_command_attempts: 1,
            ..ConnectionConfig::default()
        });
        let client = builder.build().map_err(|error| failed(error.details()))?;
        match timeout(patience, client.init()).await {
            Ok(Ok(_)) => Ok(Self { name, config, client, patience }),
            Ok(Err(error)) => Err(failed(error.details())),
            Err(_) => Err(failed(&format!("no answer within {patience:?}"))),
        }
    }

    pub(crate) fn database(&self) -> u8 {
        self.config.database.unwrap_or(0)
    }

    pub(crate) fn is_cluster(&self) -> bool {
        self.config.server.is_clustered()
    }

    pub(crate) fn is_sentinel(&self) -> bool {
        self.config.server.is_sentinel()
    }

    /// The answer, or what the server or the connection says against it.
    pub(crate) async fn command(&self, words: &[&str]) -> Result<Value, String> {
        let Some((name, arguments)) = words.split_first() else { return Ok(Value::Null) };
        // In a cluster the key says which node is asked; without one, any may be.
        let hash = match (*name, arguments) {
            (_, []) | ("CLUSTER" | "CONFIG" | "PUBLISH", _) => ClusterHash::Random,
            ("EVAL", [_, _, key, ..]) => ClusterHash::Custom(redis_keyslot(key.as_bytes())),
            _ => ClusterHash::FirstKey,
        };
        let command = CustomCommand::new((*name).to_owned(), hash, false);
        let arguments: Vec<Value> = arguments.iter().map(|word| Value::from(*word)).collect();
        match timeout(self.patience, self.client.custom::<Value, _>(command, arguments)).await {
            Ok(answer) => answer.map_err(|error| error.details().to_owned()),
            Err(_) => Err(format!("no answer within {:?}", self.patience)),
        }
    }

    /// The primaries of a cluster, each with a connection of its own; else this server alone.
    pub(crate) async fn primaries(self) -> Result<Vec<Self>, Failure> {
        if !self.is_cluster() {
            return Ok(vec![self]);
        }
        let slots = self.command(&["CLUSTER", "SLOTS"]).await.map_err(|why| {
            Failure::new(format!("{} doesn't say which nodes the cluster has: {why}; grant +cluster|slots", self.name))
        })?;
        let mut addresses: Vec<(String, u16)> = slots.into_array().into_iter().filter_map(primary_of).collect();
        addresses.sort();
        addresses.dedup();
        let mut primaries = Vec::new();
        for (host, port) in addresses {
            primaries.push(self.sibling(&host, port).await?);
        }
        Ok(primaries)
    }

    /// Listens to a channel.
    pub(crate) async fn subscribe(&self, channel: &str) -> Result<Messages, Failure> {
        let received = self.client.message_rx();
        self.try_listen(self.client.subscribe(channel)).await.map_err(|why| {
            Failure::new(format!("{} doesn't let this user listen: {why}; grant `+@pubsub &{channel}`", self.name))
        })?;
        Ok(Messages { received })
    }

    /// Whether a channel, or a pattern of channels, may be listened to.
    pub(crate) async fn may_listen(&self, channel: &str, is_pattern: bool) -> Result<(), String> {
        // On a connection of its own: one that listens takes no other commands.
        let listening = Self::open(self.config.clone(), self.patience).await.map_err(|failure| failure.to_string())?;
        if is_pattern {
            listening.try_listen(listening.client.psubscribe(channel)).await
        } else {
            listening.try_listen(listening.client.subscribe(channel)).await
        }
    }

    async fn try_listen(&self, listen: impl Future<Output = Result<(), FredError>>) -> Result<(), String> {
        // It is ready once it is sent. If the server refuses, its answer counts as the one to what was sent next; so that has to
        // be on its way by then.
        let (sent, answer) = tokio::join!(timeout(self.patience, listen), self.command(&["PING"]));
        match sent {
            Ok(Ok(())) => answer.map(drop),
            Ok(Err(error)) => Err(error.details().to_owned()),
            Err(_) => Err(format!("no answer within {:?}", self.patience)),
        }
    }
}

/// Where the primary of a range of slots is.
fn primary_of(range: Value) -> Option<(String, u16)> {
    let mut primary = range.into_array().into_iter().nth(2)?.into_array().into_iter();
    let (host, port) = (primary.next()?.into_string()?, primary.next()?.as_u64()?);
    Some((host, u16::try_from(port).ok()?))
}

/// What is heard.
pub(crate) struct Messages {
    received: Receiver<Message>,
}

impl Messages {
    /// The next message; `None` if some were lost, as there were too many.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        match self.received.recv().await {
            Ok(message) => Ok(message.value.into_owned_bytes()),
            Err(RecvError::Lagged(_)) => Ok(None),
            Err(RecvError::Closed) => Err(Failure::new("the connection is gone")),
        }
    }
}

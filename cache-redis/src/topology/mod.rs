//! Which server a command goes to: the only one, or the owner of its slot in a cluster.
//!
//! | file | what it is about |
//! |---|---|
//! | `node` | one server: its connection pool, its subscriber, its queue of reads |
//! | `read_queue` | reads that wait to be sent in a batch |
//! | `layout`, `cluster` | which node owns a slot; keeping that up to date |

mod cluster;
mod layout;
mod node;
mod read_queue;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use self::cluster::Cluster;
use self::node::Node;
pub(crate) use self::node::NodeFactory;
pub(crate) use self::read_queue::{Batch, Found, ReadQueue, Request, Turn, Wanted};
use crate::connection::{Answer, Command, ConnectionId, Pool, Reconnection, Subscriber};
use crate::error::Fault;
use crate::options::Options;
use crate::options::address::Place;

/// All servers.
#[derive(Debug)]
pub(crate) enum Topology {
    One(Node),
    Many(Arc<Cluster>),
}

impl Topology {
    /// Starts to connect. Must be called on the backend's runtime.
    pub(crate) fn start(options: &Options, factory: NodeFactory) -> Self {
        match &options.place {
            Place::Cluster(hosts) => Self::Many(Cluster::start(hosts.clone(), factory)),
            _ => Self::One(factory.node(factory.target.clone())),
        }
    }

    /// For messages.
    pub(crate) fn name(&self) -> &Arc<str> {
        match self {
            Self::One(node) => node.pool.target.name(),
            Self::Many(cluster) => cluster.name(),
        }
    }

    /// How long the first attempt to connect may take.
    pub(crate) fn opening_takes(&self) -> Duration {
        match self {
            Self::One(node) => node.pool.target.opening_takes(),
            Self::Many(cluster) => cluster.opening_takes(),
        }
    }

    /// Waits for the first attempt to connect to come to its end.
    pub(crate) async fn first_attempt(&self) -> Result<(), Fault> {
        match self {
            Self::One(node) => {
                node.pool.first_attempt().await?;
                node.subscriber.first_attempt().await
            }
            Self::Many(cluster) => cluster.first_attempt().await,
        }
    }

    /// Sends the commands, each to where its key is; those for one server in their order. Returns as soon as all are
    /// answered, but not after the deadline.
    pub(crate) async fn call(&self, commands: Vec<Command>, deadline: Instant) -> Vec<Answer> {
        self.call_by(commands, deadline).await.1
    }

    /// The same, saying which connection the first command was answered by.
    pub(crate) async fn call_by(
        &self,
        commands: Vec<Command>,
        deadline: Instant,
    ) -> (Option<ConnectionId>, Vec<Answer>) {
        match self {
            Self::One(node) => node.pool.call_by(&commands, deadline).await,
            Self::Many(cluster) => cluster.call_by(commands, deadline).await,
        }
    }

    pub(crate) async fn call_one(&self, command: Command, deadline: Instant) -> Answer {
        self.call(vec![command], deadline).await.pop().unwrap_or(Err(Fault::Unexpected("a command")))
    }

    /// Where reads of what is at the same server as this key wait for each other.
    pub(crate) fn reads(&self, key: &[u8]) -> Arc<ReadQueue> {
        match self {
            Self::One(node) => Arc::clone(&node.reads),
            Self::Many(cluster) => cluster.reads(key),
        }
    }

    /// Whether one command may name several keys.
    pub(crate) fn is_one(&self) -> bool {
        matches!(self, Self::One(_))
    }

    /// Of the owner of this key, for messages.
    pub(crate) fn name_of(&self, key: &[u8]) -> Arc<str> {
        self.pool(key).map_or_else(|| Arc::clone(self.name()), |pool| Arc::clone(pool.target.name()))
    }

    /// The pool to the owner of this key.
    pub(crate) fn pool(&self, key: &[u8]) -> Option<Arc<Pool>> {
        match self {
            Self::One(node) => Some(Arc::clone(&node.pool)),
            Self::Many(cluster) => cluster.pool(key),
        }
    }

    /// The next time that connections to the owner of this key are opened.
    pub(crate) fn reconnection(&self, key: &[u8]) -> Reconnection {
        self.pool(key).map_or_else(Reconnection::never, |pool| pool.reconnection())
    }

    /// Whether the end of this lease will be heard of by a keyspace notification.
    pub(crate) fn has_keyspace_events(&self, lease: &[u8]) -> bool {
        match self {
            Self::One(node) => node.subscriber.has_keyspace_events(),
            Self::Many(cluster) => cluster.has_keyspace_events(lease),
        }
    }

    /// Whether the end of this lease will be heard of, if whoever ends it was asked for a message (`asked`) or the server
    /// sends notifications.
    pub(crate) fn hears_of(&self, lease: &[u8], asked: bool) -> bool {
        let hears = |subscriber: &Subscriber| subscriber.is_prompt() && (asked || subscriber.has_keyspace_events());
        match self {
            Self::One(node) => hears(&node.subscriber),
            Self::Many(cluster) => cluster.owner(lease).is_some_and(|node| hears(&node.subscriber)),
        }
    }

    /// Makes the subscribers reconnect.
    pub(crate) fn reconnect_subscribers(&self) {
        self.each(|node| node.subscriber.kick());
    }

    pub(crate) fn all_up(&self) -> bool {
        self.all(|node| node.pool.is_up())
    }

    pub(crate) fn all_listening(&self) -> bool {
        self.all(|node| node.subscriber.is_prompt())
    }

    pub(crate) fn all_have_keyspace_events(&self) -> bool {
        self.all(|node| node.subscriber.has_keyspace_events())
    }

    fn all(&self, mut condition: impl FnMut(&Node) -> bool) -> bool {
        let (mut all, mut any) = (true, false);
        self.each(|node| {
            any = true;
            all &= condition(node);
        });
        all && any
    }

    fn each(&self, visit: impl FnMut(&Node)) {
        match self {
            Self::One(node) => std::iter::once(node).for_each(visit),
            Self::Many(cluster) => cluster.each(visit),
        }
    }
}

//! Which server a command goes to: the one there is, or the owner of its slot in a cluster.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::cluster::Cluster;
use super::ear::{Ear, Hear, Subscriptions};
use super::link::{Link, State};
use super::target::Target;
use super::{Answer, Command};
use crate::address::Place;
use crate::builder::Options;
use crate::error::Fault;
use crate::health::Monitor;
use crate::log::ConnectionId;
use crate::reads::Queue;

/// A server: commands and messages. Dropping it ends its connections.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) link: Arc<Link>,
    pub(crate) ear: Arc<Ear>,
    pub(crate) reads: Arc<Queue>,
    tasks: [AbortHandle; 2],
}

impl Drop for Node {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

/// Makes nodes.
pub(crate) struct Factory {
    pub(crate) target: Target,
    pub(crate) pool_size: usize,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) hear: Arc<dyn Hear>,
    pub(crate) monitor: Arc<Monitor>,
}

impl Factory {
    /// Starts to connect. Must be called on the backend's runtime.
    pub(super) fn node(&self, target: Target) -> Node {
        let link = Arc::new(Link::new(target, Arc::clone(&self.monitor)));
        let (subscriptions, hear) = (self.subscriptions.clone(), Arc::clone(&self.hear));
        let ear = Arc::new(Ear::new(Arc::clone(&link), subscriptions, hear, Arc::clone(&self.monitor)));
        let tasks = [
            tokio::spawn(Arc::clone(&link).supervise(self.pool_size)).abort_handle(),
            tokio::spawn(Arc::clone(&ear).supervise()).abort_handle(),
        ];
        Node { link, ear, reads: Arc::default(), tasks }
    }
}

/// All servers.
#[derive(Debug)]
pub(crate) enum Servers {
    One(Node),
    Many(Arc<Cluster>),
}

impl Servers {
    /// Starts to connect. Must be called on the backend's runtime.
    pub(crate) fn start(options: &Options, factory: Factory) -> Self {
        match &options.place {
            Place::Cluster(hosts) => Self::Many(Cluster::start(hosts.clone(), factory)),
            _ => Self::One(factory.node(factory.target.clone())),
        }
    }

    /// For messages.
    pub(crate) fn name(&self) -> &Arc<str> {
        match self {
            Self::One(node) => node.link.target.name(),
            Self::Many(cluster) => cluster.name(),
        }
    }

    /// How long the first attempt to connect may take.
    pub(crate) fn opening_takes(&self) -> Duration {
        match self {
            Self::One(node) => node.link.target.opening_takes(),
            Self::Many(cluster) => cluster.opening_takes(),
        }
    }

    /// Waits for the first attempt to connect to come to its end.
    pub(crate) async fn first_attempt(&self) -> Result<(), Fault> {
        match self {
            Self::One(node) => {
                first_attempt(&node.link).await?;
                node.ear.first_attempt().await
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
            Self::One(node) => node.link.call_by(&commands, deadline).await,
            Self::Many(cluster) => cluster.call_by(commands, deadline).await,
        }
    }

    pub(crate) async fn call_one(&self, command: Command, deadline: Instant) -> Answer {
        self.call(vec![command], deadline).await.pop().unwrap_or(Err(Fault::Unexpected("a command")))
    }

    /// Where reads of what is at the same server as this key wait for each other.
    pub(crate) fn reads(&self, key: &[u8]) -> Arc<Queue> {
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
        self.link(key).map_or_else(|| Arc::clone(self.name()), |link| Arc::clone(link.target.name()))
    }

    /// The link to the owner of this key.
    pub(crate) fn link(&self, key: &[u8]) -> Option<Arc<Link>> {
        match self {
            Self::One(node) => Some(Arc::clone(&node.link)),
            Self::Many(cluster) => cluster.link(key),
        }
    }

    /// Whether the end of this lease will be heard of by a keyspace notification.
    pub(crate) fn has_keyspace_events(&self, lease: &[u8]) -> bool {
        match self {
            Self::One(node) => node.ear.has_keyspace_events(),
            Self::Many(cluster) => cluster.has_keyspace_events(lease),
        }
    }

    /// Whether the end of this lease will be heard of, if whoever ends it was asked for a message (`asked`) or the server
    /// sends notifications.
    pub(crate) fn hears_of(&self, lease: &[u8], asked: bool) -> bool {
        let hears = |ear: &Ear| ear.is_prompt() && (asked || ear.has_keyspace_events());
        match self {
            Self::One(node) => hears(&node.ear),
            Self::Many(cluster) => cluster.owner(lease).is_some_and(|node| hears(&node.ear)),
        }
    }

    /// Makes the ears reconnect.
    pub(crate) fn kick_ears(&self) {
        self.each(|node| node.ear.kick());
    }

    pub(crate) fn all_up(&self) -> bool {
        self.all(|node| node.link.is_up())
    }

    pub(crate) fn all_listening(&self) -> bool {
        self.all(|node| node.ear.is_prompt())
    }

    pub(crate) fn all_have_keyspace_events(&self) -> bool {
        self.all(|node| node.ear.has_keyspace_events())
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

pub(super) async fn first_attempt(link: &Link) -> Result<(), Fault> {
    let mut state = link.watch();
    loop {
        match &*state.borrow_and_update() {
            State::Up(_) => return Ok(()),
            State::Down(fault) => return Err(fault.clone()),
            State::Connecting => {}
        }
        if state.changed().await.is_err() {
            return Err(Fault::Closed);
        }
    }
}

//! A cluster: a pool and a subscriber for each primary, and the layout that says which of them owns a slot.
//!
//! fred's own cluster mode is not used. With it, one dead primary makes the commands to all others fail until the failover,
//! and subscriptions reach one node only. Here a dead primary fails only the commands for its own slots, at once after its
//! breaker has opened.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};

use super::layout::{Layout, Range, named, parse};
use super::node::{Node, NodeFactory};
use super::read_queue::ReadQueue;
use crate::connection::{Answer, Command, Connection, ConnectionId, Pool, slot};
use crate::error::{Fault, ServerError};
use crate::health::{Operation, TroubleKind};
use crate::options::address::Host;

/// The layout is read again at least this often, and at most every tenth of it when commands go astray.
const REFRESH: Duration = Duration::from_secs(5);

pub(crate) struct Cluster {
    seeds: Vec<Host>,
    factory: NodeFactory,
    layout: Mutex<Arc<Layout>>,
    /// How the first attempts to read the layout ended.
    known: watch::Sender<Option<Result<(), Fault>>>,
    /// Something went astray.
    stale: Notify,
    /// Reads of what nobody is known to own.
    lost: Arc<ReadQueue>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("seeds", &self.seeds).finish_non_exhaustive()
    }
}

impl Cluster {
    pub(super) fn start(seeds: Vec<Host>, factory: NodeFactory) -> Arc<Self> {
        let (layout, known, stale) = (Mutex::default(), watch::Sender::new(None), Notify::new());
        let cluster = Arc::new(Self { seeds, factory, layout, known, stale, lost: Arc::default() });
        tokio::spawn(keep_layout(Arc::downgrade(&cluster)));
        cluster
    }

    /// One seed after the other is asked for the layout, then all nodes are connected to at once.
    pub(super) fn opening_takes(&self) -> Duration {
        let target = &self.factory.target;
        let seeds = u32::try_from(self.seeds.len()).unwrap_or(u32::MAX);
        (target.patience() * 2).saturating_mul(seeds).saturating_add(target.opening_takes())
    }

    /// For messages.
    pub(super) fn name(&self) -> &Arc<str> {
        self.factory.target.name()
    }

    pub(super) async fn first_attempt(&self) -> Result<(), Fault> {
        self.known_layout().await?;
        let nodes: Vec<_> = self.layout().nodes.values().cloned().collect();
        let attempts = join_all(nodes.iter().map(|node| node.pool.first_attempt())).await;
        let heard = join_all(nodes.iter().map(|node| node.subscriber.first_attempt())).await;
        // One dead node doesn't make a cluster unusable, but something like a wrong password does.
        attempts
            .into_iter()
            .find(Result::is_ok)
            .unwrap_or(Err(Fault::unreachable("no node of the cluster").at(self.name())))?;
        heard.into_iter().find(|heard| matches!(heard, Err(Fault::MayNotListen(..)))).unwrap_or(Ok(()))
    }

    /// Like [`Topology::call_by`](super::Topology::call_by).
    pub(super) async fn call_by(
        &self,
        commands: Vec<Command>,
        deadline: Instant,
    ) -> (Option<ConnectionId>, Vec<Answer>) {
        let fail = |fault: Fault| (None, commands.iter().map(|_| Err(fault.clone())).collect());
        match tokio::time::timeout_at(deadline, self.known_layout()).await {
            Ok(Ok(())) => {}
            Ok(Err(fault)) => return fail(fault),
            Err(_) => return fail(Fault::unreachable("still connecting").at(self.name())),
        }
        let layout = self.layout();
        let mut groups: Vec<(Arc<Pool>, Vec<usize>, Vec<Command>)> = Vec::new();
        for (index, command) in commands.iter().enumerate() {
            let Some(node) = layout.owner(slot(&command.key)) else { continue };
            match groups.iter_mut().find(|(pool, ..)| Arc::ptr_eq(pool, &node.pool)) {
                Some((_, indices, group)) => {
                    indices.push(index);
                    group.push(command.clone());
                }
                None => groups.push((Arc::clone(&node.pool), vec![index], vec![command.clone()])),
            }
        }
        let nobody = Fault::unreachable("nobody owns the slot");
        let mut answers: Vec<Answer> = commands.iter().map(|_| Err(nobody.clone().at(self.name()))).collect();
        let calls = groups.iter().map(|(pool, indices, group)| async move {
            let (by, answers) = pool.call_by(group, deadline).await;
            (by, indices.iter().copied().zip(answers).collect::<Vec<_>>())
        });
        let mut first = None;
        for (by, answered) in join_all(calls).await {
            for (index, answer) in answered {
                if index == 0 {
                    first = by;
                }
                if let Some(place) = answers.get_mut(index) {
                    *place = answer;
                }
            }
        }
        for (index, (command, answer)) in commands.iter().zip(&mut answers).enumerate() {
            if let Some(elsewhere) = self.redirect(command, answer, deadline).await {
                *answer = elsewhere;
                if index == 0 {
                    first = None;
                }
            }
        }
        (first, answers)
    }

    pub(super) fn reads(&self, key: &[u8]) -> Arc<ReadQueue> {
        self.layout().owner(slot(key)).map_or_else(|| Arc::clone(&self.lost), |node| Arc::clone(&node.reads))
    }

    pub(super) fn pool(&self, key: &[u8]) -> Option<Arc<Pool>> {
        self.layout().owner(slot(key)).map(|node| Arc::clone(&node.pool))
    }

    /// Follows MOVED and ASK, once.
    async fn redirect(&self, command: &Command, answer: &Answer, deadline: Instant) -> Option<Answer> {
        let fault = answer.as_ref().err()?;
        if fault.is_of_connection() {
            self.stale.notify_one();
        }
        let Fault::Refused(refusal @ (ServerError::Moved | ServerError::Ask), text) = fault else { return None };
        let (host, port) = text.split_ascii_whitespace().nth(2)?.rsplit_once(':')?;
        let asked = self.layout().place(slot(&command.key)).map(|(host, _)| host.clone()).unwrap_or_default();
        let host = (named(host.to_owned(), &asked), port.parse().ok()?);
        if *refusal == ServerError::Moved {
            self.stale.notify_one();
        }
        let node = self.layout().nodes.get(&host).cloned();
        let node = node.unwrap_or_else(|| self.add(&host));
        let commands = match refusal {
            // It counts for one command, so that must not be one the server may ask to be sent again.
            ServerError::Ask => vec![Command::new("ASKING", Vec::new()), command.in_full().unwrap_or(command.clone())],
            _ => vec![command.clone()],
        };
        node.pool.call(&commands, deadline).await.pop()
    }

    /// A node the layout doesn't know yet; the next one will.
    fn add(&self, host: &Host) -> Arc<Node> {
        let mut layout = self.layout.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(node) = layout.nodes.get(host) {
            return Arc::clone(node);
        }
        let node = Arc::new(self.factory.node(self.factory.target.at(host)));
        let mut nodes = layout.nodes.clone();
        nodes.insert(host.clone(), Arc::clone(&node));
        *layout = Arc::new(Layout { ranges: layout.ranges.clone(), nodes });
        node
    }

    pub(super) fn has_keyspace_events(&self, key: &[u8]) -> bool {
        self.owner(key).is_some_and(|node| node.subscriber.has_keyspace_events())
    }

    pub(super) fn owner(&self, key: &[u8]) -> Option<Arc<Node>> {
        self.layout().owner(slot(key)).cloned()
    }

    pub(super) fn each(&self, mut visit: impl FnMut(&Node)) {
        self.layout().nodes.values().for_each(|node| visit(node));
    }

    fn layout(&self) -> Arc<Layout> {
        Arc::clone(&self.layout.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn known_layout(&self) -> Result<(), Fault> {
        let mut known = self.known.subscribe();
        let known = known.wait_for(Option::is_some).await.map_err(|_| Fault::Closed)?;
        known.clone().unwrap_or(Err(Fault::Closed))
    }

    async fn refresh(&self) -> Result<(), Fault> {
        let ranges = self.read_layout().await?;
        let mut layout = self.layout.lock().unwrap_or_else(PoisonError::into_inner);
        let mut nodes = BTreeMap::new();
        for (_, _, host) in &ranges {
            let node = layout.nodes.get(host).cloned();
            nodes
                .entry(host.clone())
                .or_insert_with(|| node.unwrap_or_else(|| Arc::new(self.factory.node(self.factory.target.at(host)))));
        }
        *layout = Arc::new(Layout { ranges, nodes });
        Ok(())
    }

    async fn read_layout(&self) -> Result<Vec<Range>, Fault> {
        let command = [Command::new("CLUSTER", vec![Bytes::from_static(b"SLOTS")])];
        let nodes: Vec<_> = self.layout().nodes.iter().map(|(host, node)| (host.clone(), Arc::clone(node))).collect();
        let patience = self.factory.target.patience();
        for (host, node) in nodes.iter().filter(|(_, node)| node.pool.is_up()) {
            let answer = node.pool.call(&command, Instant::now() + self.factory.target.timeout()).await.pop();
            if let Some(ranges) = answer.and_then(Result::ok).and_then(|reply| parse(reply, &host.0)) {
                return Ok(ranges);
            }
        }
        let mut fault = Fault::Unexpected("CLUSTER SLOTS");
        for host in self.seeds.iter().chain(nodes.iter().map(|(host, _)| host)) {
            let connection = match Connection::open(&self.factory.target.at(host)).await {
                Ok((connection, ..)) => connection,
                Err(failed) => {
                    // An answer says more than that there was none.
                    if !failed.is_of_connection() || !matches!(fault, Fault::Refused(..)) {
                        fault = failed;
                    }
                    continue;
                }
            };
            match timeout(patience, connection.call(&command)).await.ok().and_then(|mut answers| answers.pop()) {
                Some(Ok(reply)) => match parse(reply, &host.0) {
                    Some(ranges) => return Ok(ranges),
                    None => fault = Fault::Unexpected("CLUSTER SLOTS"),
                },
                Some(Err(failed)) => fault = failed,
                None => fault = Fault::TimedOut(None).at(self.factory.target.at(host).name()),
            }
        }
        Err(fault)
    }
}

/// Keeps the layout fresh for as long as there is a cluster.
async fn keep_layout(cluster: Weak<Cluster>) {
    loop {
        let Some(here) = cluster.upgrade() else { return };
        let result = here.refresh().await;
        match &result {
            Ok(()) => {
                here.factory.monitor.success(Operation::Layout);
                let layout = here.layout();
                let names: Vec<_> = layout.nodes.values().map(|node| Arc::clone(node.pool.target.name())).collect();
                here.factory.monitor.servers(&names);
            }
            Err(fault) => {
                here.factory.monitor.trouble(Operation::Layout, TroubleKind::Layout, fault.report());
            }
        }
        // A layout that was known stays in use.
        let first = here.layout().ranges.is_empty();
        if result.is_ok() || first {
            here.known.send_replace(Some(result));
        }
        let pause = if first { REFRESH / 20 } else { REFRESH / 10 };
        tokio::time::sleep(pause).await;
        if !first {
            let _ = timeout(REFRESH - pause, here.stale.notified()).await;
        }
    }
}

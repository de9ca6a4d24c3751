//! The layout of a cluster: which node owns which slots, and a link to each.
//!
//! fred's own cluster mode is not used: with it one dead primary makes the commands to all others fail until the
//! failover, and subscriptions reach one node only. Here each primary has a link and an ear of its own, so that a dead
//! one fails what belongs to it, at once after its breaker has opened, and nothing else.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};

use super::client::{Connection, slot};
use super::link::Link;
use super::servers::{Factory, Node, first_attempt};
use super::{Answer, Command, Reply};
use crate::address::Host;
use crate::error::Fault;
use crate::health::{Operation, TroubleKind};
use crate::log::ConnectionId;
use crate::reads::Queue;
use crate::refusal::Refusal;

/// The layout is read again at least this often, and at most every tenth of it when commands go astray.
const REFRESH: Duration = Duration::from_secs(5);

/// Who owns the slots from the first to the last.
type Range = (u16, u16, Host);

#[derive(Debug, Default)]
struct Layout {
    /// Sorted, disjoint.
    ranges: Vec<Range>,
    nodes: BTreeMap<Host, Arc<Node>>,
}

impl Layout {
    fn owner(&self, slot: u16) -> Option<&Arc<Node>> {
        self.nodes.get(self.place(slot)?)
    }

    fn place(&self, slot: u16) -> Option<&Host> {
        let index = self.ranges.partition_point(|(_, last, _)| *last < slot);
        let (first, _, place) = self.ranges.get(index)?;
        (*first <= slot).then_some(place)
    }
}

pub(crate) struct Cluster {
    seeds: Vec<Host>,
    factory: Factory,
    layout: Mutex<Arc<Layout>>,
    /// How the first attempts to read the layout ended.
    known: watch::Sender<Option<Result<(), Fault>>>,
    /// Something went astray.
    stale: Notify,
    /// Reads of what nobody is known to own.
    lost: Arc<Queue>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("seeds", &self.seeds).finish_non_exhaustive()
    }
}

impl Cluster {
    pub(super) fn start(seeds: Vec<Host>, factory: Factory) -> Arc<Self> {
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
        let attempts = join_all(nodes.iter().map(|node| first_attempt(&node.link))).await;
        let heard = join_all(nodes.iter().map(|node| node.ear.first_attempt())).await;
        // One dead node doesn't make a cluster unusable, but something like a wrong password does.
        attempts
            .into_iter()
            .find(Result::is_ok)
            .unwrap_or(Err(Fault::unreachable("no node of the cluster").at(self.name())))?;
        heard.into_iter().find(|heard| matches!(heard, Err(Fault::MayNotListen(..)))).unwrap_or(Ok(()))
    }

    /// Like [`Servers::call_by`](super::servers::Servers::call_by).
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
        let mut groups: Vec<(Arc<Link>, Vec<usize>, Vec<Command>)> = Vec::new();
        for (index, command) in commands.iter().enumerate() {
            let Some(node) = layout.owner(slot(&command.key)) else { continue };
            match groups.iter_mut().find(|(link, ..)| Arc::ptr_eq(link, &node.link)) {
                Some((_, indices, group)) => {
                    indices.push(index);
                    group.push(command.clone());
                }
                None => groups.push((Arc::clone(&node.link), vec![index], vec![command.clone()])),
            }
        }
        let nobody = Fault::unreachable("nobody owns the slot");
        let mut answers: Vec<Answer> = commands.iter().map(|_| Err(nobody.clone().at(self.name()))).collect();
        let calls = groups.iter().map(|(link, indices, group)| async move {
            let (by, answers) = link.call_by(group, deadline).await;
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

    pub(super) fn reads(&self, key: &[u8]) -> Arc<Queue> {
        self.layout().owner(slot(key)).map_or_else(|| Arc::clone(&self.lost), |node| Arc::clone(&node.reads))
    }

    pub(super) fn link(&self, key: &[u8]) -> Option<Arc<Link>> {
        self.layout().owner(slot(key)).map(|node| Arc::clone(&node.link))
    }

    /// Follows MOVED and ASK, once.
    async fn redirect(&self, command: &Command, answer: &Answer, deadline: Instant) -> Option<Answer> {
        let fault = answer.as_ref().err()?;
        if fault.is_of_connection() {
            self.stale.notify_one();
        }
        let Fault::Refused(refusal @ (Refusal::Moved | Refusal::Ask), text) = fault else { return None };
        let (host, port) = text.split_ascii_whitespace().nth(2)?.rsplit_once(':')?;
        let asked = self.layout().place(slot(&command.key)).map(|(host, _)| host.clone()).unwrap_or_default();
        let host = (named(host.to_owned(), &asked), port.parse().ok()?);
        if *refusal == Refusal::Moved {
            self.stale.notify_one();
        }
        let node = self.layout().nodes.get(&host).cloned();
        let node = node.unwrap_or_else(|| self.add(&host));
        let commands = match refusal {
            // It counts for one command, so that must not be one the server may ask to be sent again.
            Refusal::Ask => vec![Command::new("ASKING", Vec::new()), command.in_full().unwrap_or(command.clone())],
            _ => vec![command.clone()],
        };
        node.link.call(&commands, deadline).await.pop()
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
        self.owner(key).is_some_and(|node| node.ear.has_keyspace_events())
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
        for (host, node) in nodes.iter().filter(|(_, node)| node.link.is_up()) {
            let answer = node.link.call(&command, Instant::now() + self.factory.target.timeout()).await.pop();
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
                let names: Vec<_> = layout.nodes.values().map(|node| Arc::clone(node.link.target.name())).collect();
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

/// A node that doesn't know its name has that of the one that was asked.
fn named(host: String, asked: &str) -> String {
    if host.is_empty() || host == "?" { asked.to_owned() } else { host }
}

/// `(first, last, (host, port, ..) of the primary, ..)*`.
fn parse(reply: Reply, asked: &str) -> Option<Vec<Range>> {
    let mut ranges = Vec::new();
    for range in reply.list()? {
        let mut range = range.list()?.into_iter();
        let first = u16::try_from(range.next()?.number()?).ok()?;
        let last = u16::try_from(range.next()?.number()?).ok()?;
        let mut primary = range.next()?.list()?.into_iter();
        let host = primary.next()?.text().unwrap_or_default();
        let host = named(String::from_utf8(host.to_vec()).ok()?, asked);
        ranges.push((first, last, (host, u16::try_from(primary.next()?.number()?).ok()?)));
    }
    ranges.sort();
    (!ranges.is_empty()).then_some(ranges)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts() {
        let text = |text: &'static str| Ok(Reply::Text(Bytes::from_static(text.as_bytes())));
        let range = |first, last, host| {
            let primary = Reply::List(vec![text(host), Ok(Reply::Number(7000)), text("id")]);
            Ok(Reply::List(vec![Ok(Reply::Number(first)), Ok(Reply::Number(last)), Ok(primary)]))
        };
        let reply = Reply::List(vec![range(100, 16383, "b"), range(0, 99, "")]);
        let ranges = parse(reply, "a").unwrap();
        assert_eq!(ranges, [(0, 99, ("a".to_owned(), 7000)), (100, 16383, ("b".to_owned(), 7000))]);
        assert_eq!(parse(Reply::Nil, "a"), None);
    }
}

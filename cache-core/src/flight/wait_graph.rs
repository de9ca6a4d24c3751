//! Who waits for whom: a call that would wait for itself, directly or round a circle, doesn't wait.
//!
//! A run that calls a cached function and has to wait for another flight adds edges from its own flight, and from those
//! of the runs it was called from, to that flight. If the flight waits for one of them already, the edge would close a
//! circle in which nobody ever moves; the caller then runs the body itself, uncached. Only nested calls that have to
//! wait come here, and whoever takes a lease or waits for one, so one lock for the process is enough.
//!
//! A lease is waited for by its name, and leads on to the flight that holds it if that is in this process, also in another
//! cache. It is known here before its run begins: so whoever adds the last edge of a circle finds it closed.

use std::collections::{HashMap, HashSet};

use crate::flight::single::FlightId;
use crate::util::sync::{Arc, Mutex, lock};

/// What can be waited for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Node {
    Flight(FlightId),
    /// By its holder's name.
    Lease(Vec<u8>),
    /// This flight's lease whose name isn't known.
    Unnamed(FlightId),
}

impl From<FlightId> for Node {
    fn from(flight: FlightId) -> Self {
        Self::Flight(flight)
    }
}

/// The edges of the whole process, or of one test.
#[derive(Debug, Default)]
pub(crate) struct WaitGraph {
    /// Flight → what its run waits for, once per waiting call; lease → the flight that holds it.
    edges: Mutex<Edges>,
}

impl WaitGraph {
    /// Registers that the runs of `waiting` wait for `target`, unless that would close a circle.
    pub(crate) fn wait_for(self: &Arc<Self>, waiting: Vec<FlightId>, target: impl Into<Node>) -> Option<WaitGuard> {
        let (waiting, target): (Vec<_>, _) = (waiting.into_iter().map(Node::from).collect(), target.into());
        let mut edges = lock(&self.edges);
        let mut reached = vec![&target];
        let mut next = 0;
        while let Some(node) = reached.get(next).copied() {
            if waiting.contains(node) {
                return None;
            }
            for onward in edges.get(node).into_iter().flatten() {
                if !reached.contains(&onward) {
                    reached.push(onward);
                }
            }
            next += 1;
        }
        add(&mut edges, &waiting, &target);
        drop(edges);
        Some(WaitGuard { graph: Arc::clone(self), waiting, target })
    }

    /// Registers that this flight holds a lease, before its run waits for anything.
    pub(crate) fn hold(self: &Arc<Self>, flight: FlightId, name: Option<&[u8]>) -> WaitGuard {
        let lease = name.map_or(Node::Unnamed(flight), |name| Node::Lease(name.to_vec()));
        let (waiting, target) = (vec![lease], Node::Flight(flight));
        add(&mut lock(&self.edges), &waiting, &target);
        WaitGuard { graph: Arc::clone(self), waiting, target }
    }

    /// How many flights wait, and how many leases are held.
    #[allow(dead_code, reason = "used by tests")]
    pub(crate) fn len(&self) -> usize {
        lock(&self.edges).len()
    }
}

type Edges = HashMap<Node, Vec<Node>>;

fn add(edges: &mut Edges, waiting: &[Node], target: &Node) {
    for node in waiting {
        edges.entry(node.clone()).or_default().push(target.clone());
    }
}

/// Takes the edges back.
#[derive(Debug)]
pub(crate) struct WaitGuard {
    graph: Arc<WaitGraph>,
    waiting: Vec<Node>,
    target: Node,
}

impl WaitGuard {
    /// Whether a run that holds a lease waits for what waits here, itself or round corners: others may be waiting for that
    /// lease. A lease of the first flight that waits here doesn't count: its run hasn't begun.
    #[allow(dead_code, reason = "not in all tests")]
    pub(crate) fn holds_up_a_lease(&self) -> bool {
        let edges = lock(&self.graph.edges);
        let mut held_up: HashSet<_> = self.waiting.iter().collect();
        loop {
            let before = held_up.len();
            for (node, targets) in &*edges {
                let is_lease = !matches!(node, Node::Flight(_));
                let counts = |target: &&Node| !(is_lease && self.waiting.first() == Some(*target));
                if targets.iter().filter(counts).any(|target| held_up.contains(target)) {
                    if is_lease {
                        return true;
                    }
                    held_up.insert(node);
                }
            }
            if held_up.len() == before {
                return false;
            }
        }
    }
}

impl Drop for WaitGuard {
    fn drop(&mut self) {
        let mut edges = lock(&self.graph.edges);
        for node in &self.waiting {
            if let Some(targets) = edges.get_mut(node) {
                if let Some(position) = targets.iter().position(|target| *target == self.target) {
                    targets.swap_remove(position);
                }
                if targets.is_empty() {
                    edges.remove(node);
                }
            }
        }
    }
}

//! Who waits for whom: a call that would wait for itself, directly or round a circle, doesn't wait.
//!
//! A run that calls a cached function and has to wait for another flight adds edges from its own flight, and from those
//! of the runs it was called from, to that flight. If the flight waits for one of them already, the edge would close a
//! circle in which nobody ever moves; the caller then runs the body itself, uncached. Only nested calls that have to
//! wait come here, so one lock for the process is enough.

use std::collections::HashMap;

use crate::flight::FlightId;
use crate::sync::{Arc, Mutex, lock};

/// The edges of the whole process, or of one test.
#[derive(Debug, Default)]
pub(crate) struct WaitGraph {
    /// Flight → the flights its run waits for, once per waiting call.
    edges: Mutex<HashMap<FlightId, Vec<FlightId>>>,
}

impl WaitGraph {
    /// Registers that the runs of `waiting` wait for `target`, unless that would close a circle.
    pub(crate) fn wait_for(self: &Arc<Self>, waiting: Vec<FlightId>, target: FlightId) -> Option<WaitGuard> {
        let mut edges = lock(&self.edges);
        let mut reached = vec![target];
        let mut next = 0;
        while let Some(flight) = reached.get(next).copied() {
            if waiting.contains(&flight) {
                return None;
            }
            for onward in edges.get(&flight).into_iter().flatten() {
                if !reached.contains(onward) {
                    reached.push(*onward);
                }
            }
            next += 1;
        }
        for flight in &waiting {
            edges.entry(*flight).or_default().push(target);
        }
        drop(edges);
        Some(WaitGuard { graph: Arc::clone(self), waiting, target })
    }

    /// How many flights wait.
    #[allow(dead_code, reason = "used by tests")]
    pub(crate) fn len(&self) -> usize {
        lock(&self.edges).len()
    }
}

/// Takes the edges back.
#[derive(Debug)]
pub(crate) struct WaitGuard {
    graph: Arc<WaitGraph>,
    waiting: Vec<FlightId>,
    target: FlightId,
}

impl Drop for WaitGuard {
    fn drop(&mut self) {
        let mut edges = lock(&self.graph.edges);
        for flight in &self.waiting {
            if let Some(targets) = edges.get_mut(flight) {
                if let Some(position) = targets.iter().position(|target| *target == self.target) {
                    targets.swap_remove(position);
                }
                if targets.is_empty() {
                    edges.remove(flight);
                }
            }
        }
    }
}

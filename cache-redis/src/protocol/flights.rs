//! Flights: one run per key in a process, shared by the calls that wait for it. Models `flight/` of
//! `cache-core`.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;

use super::application::Key;
use super::frame::Frame;
use super::memory::Entry;
use super::mistakes::Mistake;
use super::process::Process;
use super::world::{Wait, World};

/// The result of a flight, shared by every waiter.
#[derive(Clone)]
pub(super) struct Outcome {
    pub(super) entry: Arc<Entry>,
    /// The process's epoch from before the data was read.
    pub(super) stamp: u64,
}

/// How a flight ends.
#[derive(Clone)]
pub(super) enum End {
    Landed(Outcome),
    Failed,
    /// Its leader was dropped.
    Abandoned,
}

#[derive(Default)]
pub(super) struct Flight {
    /// Later flights of a process have greater ids.
    id: u64,
    end: RefCell<Option<End>>,
    /// Known once the body begins.
    run: RefCell<Option<Rc<Frame>>>,
    /// The number of calls that have waited so far.
    waiters: Cell<u64>,
    /// The first so many of them wait no longer.
    let_go: Cell<u64>,
    /// The result of a later flight has taken the place of this one's.
    superseded: Cell<bool>,
    /// A refresh has begun since.
    overtaken: Cell<bool>,
}

impl Flight {
    fn enter(&self) -> u64 {
        self.waiters.set(self.waiters.get() + 1);
        self.waiters.get()
    }

    fn end_for(&self, waiter: u64) -> Option<End> {
        let end = self.end.borrow().clone();
        end.or_else(|| (waiter <= self.let_go.get()).then_some(End::Failed))
    }
}

/// Waits until one of these flights ends.
pub(super) async fn first_end(world: &World, flights: &[Rc<Flight>]) -> End {
    let waits: Vec<_> = flights.iter().map(|flight| (Rc::clone(flight), flight.enter())).collect();
    let end = move || waits.iter().find_map(|(flight, waiter)| flight.end_for(*waiter));
    let comes = end.clone();
    world.wait("wait for a flight", Wait::when(move |_| comes().is_some())).await;
    end().unwrap_or(End::Abandoned)
}

/// The role of a call.
pub(super) enum Role {
    Lead(Leader),
    /// Waits for this flight's outcome.
    Join(Rc<Flight>),
    /// Waits for the end of one of these, because two runs of a key may overlap and three may not.
    Full(Vec<Rc<Flight>>),
}

/// Joins the latest flight of the key unless it is known to be stale; otherwise leads a new one, if at most one is under
/// way. A flight from `upcoming` on began after the call, so it is joined in any case.
pub(super) fn join_or_lead(p: &Rc<Process>, key: Key, upcoming: u64) -> Role {
    let flights = p.flights.borrow().get(&key).cloned().unwrap_or_default();
    if let Some(latest) = flights.last() {
        let is_live = || latest.run.borrow().as_ref().is_none_or(|run| run.is_live(&p.memory));
        if !latest.superseded.get() && (latest.id >= upcoming || is_live()) {
            return Role::Join(Rc::clone(latest));
        }
        if flights.len() > 1 {
            let only_latest = p.mistake == Some(Mistake::OnlyTheLatestMakesRoom);
            return Role::Full(if only_latest { vec![Rc::clone(latest)] } else { flights });
        }
    }
    Role::Lead(lead(p, key, &flights))
}

/// Leads a new flight for a refresh, whoever runs.
pub(super) fn lead_anew(p: &Rc<Process>, key: Key) -> Leader {
    let before = p.flights.borrow().get(&key).cloned().unwrap_or_default();
    before.iter().for_each(|before| before.overtaken.set(true));
    lead(p, key, &before)
}

fn lead(p: &Rc<Process>, key: Key, before: &[Rc<Flight>]) -> Leader {
    let id = p.upcoming.replace(p.upcoming.get() + 1);
    let flight = Rc::new(Flight { id, ..Flight::default() });
    p.flights.borrow_mut().entry(key).or_default().push(Rc::clone(&flight));
    Leader { p: Rc::clone(p), key, flight, before: before.iter().map(Rc::downgrade).collect() }
}

/// The leader's guard. Dropping it ends the flight, without an outcome unless [`land`](Self::land) was called.
pub(super) struct Leader {
    p: Rc<Process>,
    key: Key,
    flight: Rc<Flight>,
    /// The flights that were under way when this one began.
    before: Vec<Weak<Flight>>,
}

impl Leader {
    /// Later flights of the process have greater ones.
    pub(super) fn number(&self) -> u64 {
        self.flight.id
    }

    pub(super) fn begins_body(&self, run: &Rc<Frame>) {
        *self.flight.run.borrow_mut() = Some(Rc::clone(run));
    }

    /// Whether a refresh may take the lease from others. It doesn't take it from a later refresh of its own process.
    pub(super) fn may_take_over(&self) -> bool {
        !self.flight.overtaken.get() && !self.flight.superseded.get()
    }

    /// Those who wait so far have waited for a run that failed, and wait no longer.
    pub(super) fn let_go(&self) {
        self.flight.let_go.set(self.flight.waiters.get());
    }

    /// Puts the result where others find it, unless the result of a later flight is there.
    pub(super) fn place(&self, put: impl FnOnce()) -> bool {
        self.before.iter().filter_map(Weak::upgrade).for_each(|before| before.superseded.set(true));
        let places = !self.flight.superseded.get() || self.p.mistake == Some(Mistake::OlderRunsReplaceNewer);
        if places {
            put();
        }
        places
    }

    pub(super) fn fail(self) {
        *self.flight.end.borrow_mut() = Some(End::Failed);
    }

    pub(super) fn land(self, outcome: &Outcome) {
        *self.flight.end.borrow_mut() = Some(End::Landed(outcome.clone()));
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        let mut end = self.flight.end.borrow_mut();
        if end.is_none() && self.p.mistake == Some(Mistake::DroppedLeadersLeaveTheirFlights) {
            return;
        }
        end.get_or_insert(End::Abandoned);
        let mut flights = self.p.flights.borrow_mut();
        if let Some(of_key) = flights.get_mut(&self.key) {
            of_key.retain(|flight| !Rc::ptr_eq(flight, &self.flight));
        }
    }
}

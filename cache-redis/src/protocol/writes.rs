//! Writes with a hold around them. Models `hold/` of this crate and the writes of `cache-core`.
//!
//! The database is apart from the process: a commit that was sent may arrive after its writer has gone away.

use std::cell::Cell;
use std::rc::Rc;

use super::application::Tag;
use super::invalidation;
use super::mistakes::Mistake;
use super::order;
use super::process::Process;
use super::world::{Wait, World};
use super::{HOLD, MAX_STALENESS};

/// How a write ends, as far as its process knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Committed,
    /// It has committed, but the process is told of an error.
    AnswerLost,
    /// The future is dropped before the commit has arrived.
    Dropped,
    /// It never commits.
    RolledBack,
}

/// A hold, on the side of its writer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hold {
    pub(super) token: u64,
    pub(super) tag: Tag,
}

impl Hold {
    pub(super) fn new(world: &World, tag: Tag) -> Self {
        let token = world.number();
        world.checks.borrow_mut().writes.begin(token);
        Self { token, tag }
    }
}

/// Places the hold, or renews it.
pub(super) async fn place(world: Rc<World>, p: Rc<Process>, hold: Hold, renews: bool) {
    let placed = order::hold(&world, &p, hold.token, &[hold.tag.id()], renews).await;
    world.checks.borrow_mut().count(if placed.is_ok() { "holds" } else { "holds that weren't placed" });
}

/// The write's commit arrives at the database.
pub(super) fn commit(world: &World, hold: Hold) {
    invalidation::commit(world, hold.tag);
    world.checks.borrow_mut().writes.committed(hold.token, hold.tag, world.data.get());
}

/// The write is done, or nobody knows what has become of it.
pub(super) async fn ends(world: Rc<World>, p: Rc<Process>, hold: Hold, well: bool) {
    let removes = well || world.has(Mistake::HoldsEndWhenDropped);
    invalidation::records(&world, &p, hold.tag, removes.then_some(hold.token), well).await;
}

/// A whole write.
pub(super) async fn writes(world: Rc<World>, p: Rc<Process>, tag: Tag, outcome: Outcome) {
    let hold = Hold::new(&world, tag);
    place(Rc::clone(&world), Rc::clone(&p), hold, false).await;
    let (committed, active) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(true)));
    if outcome != Outcome::RolledBack {
        let (of, done) = (Rc::clone(&world), Rc::clone(&committed));
        let delays = [0, 0, 1, 5, HOLD / 2, HOLD - 2, HOLD + MAX_STALENESS];
        let arrives = world.now() + delays[world.choose("when the commit arrives", delays.len())];
        world.spawn(None, async move {
            of.wait("commit", Wait::until(arrives)).await;
            commit(&of, hold);
            done.set(true);
        });
    }
    let (of, by, goes_on) = (Rc::clone(&world), Rc::clone(&p), Rc::clone(&active));
    world.spawn_daemon(&p, "renewal", Wait::until(world.now() + HOLD / 3), async move {
        while goes_on.get() {
            place(Rc::clone(&of), Rc::clone(&by), hold, true).await;
            of.wait("renewal", Wait::until(of.now() + HOLD / 3)).await;
        }
    });
    if matches!(outcome, Outcome::Committed | Outcome::AnswerLost) {
        world.wait("the database's answer", Wait::when(move |_| committed.get())).await;
    } else {
        world.pause("the write ends").await;
    }
    active.set(false);
    ends(world, p, hold, outcome == Outcome::Committed).await;
}

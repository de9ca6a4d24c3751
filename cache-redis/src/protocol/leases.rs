//! Leases and stores on the side of a process. Models `lease/` and `operations/` of this crate.

use std::cell::Cell;
use std::rc::Rc;

use cache_core::backend::{HeldTag, TagId};

use super::application::{Key, Value};
use super::mistakes::Mistake;
use super::order::{Position, position, stamp_request, stamped};
use super::process::Process;
use super::server::{Busy, Command, Reply, Stored, TICK};
use super::world::{Unavailable, Wait, World, poll_once};
use super::{LEASE, RENEWAL};
use crate::lease_waiters::Woken;

/// The answer to a request for a lease.
pub(super) enum Leased {
    Granted(Lease),
    /// Another entry has been stored since the read.
    Changed,
    Busy(Busy),
}

/// The part of a lease that its renewal and the watch on its run share.
pub(super) struct Right {
    pub(super) world: Rc<World>,
    p: Rc<Process>,
    key: Key,
    token: u64,
    held: Cell<bool>,
    given_up: Cell<bool>,
    /// The store has begun, which needs it.
    stores: Cell<bool>,
}

impl Right {
    pub(super) fn is_held(&self) -> bool {
        self.held.get()
    }

    /// When to renew it, or to see that it is no longer held.
    fn is_due(self: &Rc<Self>, has_failed: bool) -> Wait {
        let of = Rc::clone(self);
        Wait::when(move |_| !of.held.get() || has_failed && !of.p.cut.get()).or_until(self.world.now() + RENEWAL)
    }

    /// The result of the run is known to be dead. Another run may begin while this one goes on.
    pub(super) fn give_up(&self) {
        if self.held.get() && !self.stores.get() && !self.given_up.replace(true) {
            self.send_back(Command::GiveUp { key: self.key, token: self.token });
        }
    }

    /// Sends the command until it is answered or the lease must have expired.
    fn send_back(&self, command: Command) {
        let (world, p) = (Rc::clone(&self.world), Rc::clone(&self.p));
        let until = world.now() + LEASE;
        self.world.spawn_daemon(&self.p, "give back", Wait::default(), async move {
            while world.send(&p, vec![command.clone()]).await.is_err() && world.now() < until {
                world.wait("give back", Wait::until(world.now() + 1)).await;
            }
        });
    }
}

/// A lease, or a request that the server may have granted. Dropping it releases the lease.
pub(super) struct Lease {
    pub(super) right: Rc<Right>,
    pub(super) position: Position,
    /// The tags that the stamp script was given.
    tags: Vec<TagId>,
    armed: bool,
    /// The run has ended and left nothing.
    unstored: bool,
    /// So had the run before.
    pub(super) follows_unstored: bool,
    /// The entry that was there when it was granted, unless it was taken over.
    pub(super) seen: Option<u64>,
}

/// The answer to a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answered {
    Stored,
    LeaseLost,
}

impl Lease {
    fn attempt(world: &Rc<World>, p: &Rc<Process>, key: Key, tags: &[TagId]) -> Self {
        let (world, p, token) = (Rc::clone(world), Rc::clone(p), world.number());
        let right =
            Right { world, p, key, token, held: Cell::new(true), given_up: Cell::new(false), stores: Cell::new(false) };
        let position = Position { sequence: 0, generation: 0 };
        Self {
            right: Rc::new(right),
            position,
            tags: tags.to_vec(),
            armed: true,
            unstored: false,
            follows_unstored: false,
            seen: None,
        }
    }

    fn granted(mut self, position: Position) -> Self {
        self.position = position;
        let right = &self.right;
        if !right.world.has(Mistake::LeasesAreNotRenewed) {
            right.world.spawn_daemon(&right.p, "renew", right.is_due(false), renew(Rc::clone(right)));
        }
        self
    }

    /// Releases it, and says that the run has left nothing.
    pub(super) fn ended_unstored(mut self) {
        self.unstored = true;
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.right.given_up.get()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Right { p, key, token, held, .. } = &*self.right;
        held.set(false);
        if self.armed && !p.dead.get() {
            self.right.send_back(Command::Release { key: *key, token: *token, unstored: self.unstored });
        }
    }
}

/// One round trip: the lease script and the stamp script. In a cluster they run on different servers, in any order.
pub(super) async fn lease(
    world: &Rc<World>,
    p: &Rc<Process>,
    key: Key,
    seen: u64,
    tags: &[TagId],
    takes_over: bool,
) -> Result<Leased, Unavailable> {
    let mut attempt = Lease::attempt(world, p, key, tags);
    let request = stamp_request(p, tags);
    let mut commands = vec![
        Command::Lease { key, seen, token: attempt.right.token, duration: LEASE * TICK, takes_over },
        request.command.clone(),
    ];
    let swapped = world.choose("lease and stamp: in this order, in the other", 2);
    commands.rotate_left(swapped);
    let mut replies = world.send(p, commands).await?;
    replies.rotate_left(swapped);
    match replies.first() {
        Some(Reply::Number(answer @ (1 | 3))) => {
            attempt.follows_unstored = *answer == 3;
            let position = position(world, p, tags, &request, replies.get(1)).await?;
            Ok(Leased::Granted(attempt.granted(position)))
        }
        Some(Reply::Number(_)) => {
            attempt.armed = false;
            Ok(Leased::Changed)
        }
        Some(Reply::Busy(busy)) => {
            attempt.armed = false;
            Ok(Leased::Busy(*busy))
        }
        _ => Err(Unavailable),
    }
}

/// Renews every third of the duration; after a failure also as soon as the connection is back.
async fn renew(right: Rc<Right>) {
    let (world, p) = (&right.world, &right.p);
    while right.held.get() {
        let command = Command::Renew { key: right.key, token: right.token, duration: LEASE * TICK };
        let sent = world.send(p, vec![command]).await;
        if sent.as_ref().is_ok_and(|replies| replies.first().and_then(Reply::number) == Some(0)) {
            return;
        }
        world.wait("renew", right.is_due(sent.is_err())).await;
    }
}

/// Waits until the lease is pushed to have ended, or until the life it had left is over. Polls if no push can be expected.
pub(super) async fn wait(world: &Rc<World>, p: &Rc<Process>, key: Key, busy: Busy) -> Result<(), Unavailable> {
    let ends = world.now() + busy.remaining.div_ceil(TICK);
    loop {
        let mut waiter = p.bus.waiters.register(key.hash());
        let replies = world.send(p, vec![Command::GetLease(key)]).await?;
        let Some(Reply::Holder(Some((holder, asked)))) = replies.first() else { return Ok(()) };
        if *holder != busy.holder {
            return Ok(());
        }
        let woken = Rc::new(Cell::new(None));
        let wakes = Rc::clone(&woken);
        let push = Wait::when(move |_| {
            if wakes.get().is_none() {
                wakes.set(poll_once(waiter.woken()));
            }
            wakes.get().is_some()
        });
        let hears = *asked && p.listens_to.get().is_some();
        let rest = if hears { ends } else { ends.min(world.now() + 1) };
        let waits = if world.has(Mistake::WaitersOnlyHear) { push } else { push.or_until(rest) };
        world.wait("wait for the lease", waits).await;
        if woken.get() == Some(Woken::Ended) || woken.get().is_none() && rest == ends {
            return Ok(());
        }
    }
}

/// One round trip: the stamp script for buckets of tags that the body added, and the store script.
pub(super) async fn store(mut lease: Lease, value: &Value, tags: Vec<HeldTag>) -> Result<Answered, Unavailable> {
    let right = Rc::clone(&lease.right);
    right.stores.set(true);
    let Right { world, p, key, token, .. } = &*right;
    if lease.position.generation != p.bus.known.generation() {
        return Ok(Answered::LeaseLost);
    }
    let ids: Vec<_> = tags.iter().map(|held| held.tag).collect();
    let added: Vec<_> = ids.iter().copied().filter(|tag| !lease.tags.contains(tag)).collect();
    p.memo.borrow_mut().insert(*key, ids);
    let entry = Rc::new(Stored { id: world.number(), value: value.clone(), tags });
    let makes_buckets = !added.is_empty() && !world.has(Mistake::StoresMakeNoBuckets);
    let request = makes_buckets.then(|| stamp_request(p, &added));
    let mut commands = Vec::from_iter(request.as_ref().map(|request| request.command.clone()));
    commands.push(Command::Store { key: *key, token: *token, entry });
    let replies = world.send(p, commands).await?;
    if let Some(request) = request {
        // If it failed, the entry is a miss.
        let _ = stamped(world, p, &request, replies.first());
    }
    match replies.last().and_then(Reply::number) {
        Some(1) => {
            // Otherwise the release may still have to remove the mark of a run that gave up.
            lease.armed = false;
            Ok(Answered::Stored)
        }
        Some(_) => Ok(Answered::LeaseLost),
        None => Err(Unavailable),
    }
}

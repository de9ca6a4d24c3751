//! What every schedule must satisfy.
//!
//! *Freshness* (promises 1 and 4). Once an invalidation has been executed in Redis, each datum that its tags cover is
//! demanded in its current version. A call that begins later must return that version or a newer one:
//!
//! - at once, if the answer comes from Redis or from the call's own run;
//! - after `MAX_STALENESS`, if memory contributed to it, or the flight of another call;
//! - at once in the process that invalidated, if the invalidation returned `Ok`. Until it has returned, memory of that
//!   process isn't checked. If it returned an error, memory has `MAX_STALENESS` from then on.
//!
//! A failover revokes the demands that it lost. After one, or after somebody has set the sequence back, processes that don't know
//! of the lost numbers can give them out again. If they have come to the stamps of the entries that were stored in between
//! before anybody notices, their invalidations have no effect on these entries, so the demands are revoked as well: the crate's
//! docs name this limit. A repair of the sequence demands everything anew.
//!
//! *Replacing*. A leaf's run never replaces the result of a run that read newer data, neither in Redis nor in memory.
//!
//! *One run per key* (promise 2): see [`lease_check`](super::lease_check).
//!
//! *Progress* (promises 2 and 3) and *caching* are checked when a schedule [settles](super::settle).
//!
//! *Writes* (promise 9): see [`write_check`](super::write_check). An invalidation that its process couldn't record and remembers
//! counts at once in that process, and everywhere once it is recorded.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use super::MAX_STALENESS;
use super::application::{Key, LEAVES, Tag, Value};
use super::lease_check::LeaseCheck;
use super::mistakes::Mistake;
use super::process::Process;
use super::server::{Command, Redis, Reply};
use super::world::World;
use super::write_check::WriteCheck;
use crate::sequence::LEAP;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A call returned an older version than demanded.
    Stale,
    /// An older result took the place of a newer one.
    Replaced,
    /// Two holders of one lease, or a store without the lease.
    LeaseBroken,
    /// A call doesn't return.
    Stuck,
    /// After all faults have ended, an entry stored by one process doesn't answer the others.
    NotCached,
    /// Redis has lost an invalidation that a process knows of, and the process doesn't notice.
    LossUnnoticed,
}

#[derive(Clone)]
pub(super) struct Violation {
    pub(super) kind: Kind,
    pub(super) what: String,
}

impl Display for Violation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.what)
    }
}

struct Demand {
    datum: usize,
    version: u64,
    /// When the invalidation was executed.
    turn: u64,
    time: u64,
    invalidation: u64,
    /// A run had a stamp with this number before, and the process that invalidated doesn't know that.
    given_again: bool,
}

/// An invalidation by a process, from its beginning.
struct Invalidation {
    process: u64,
    /// What the sequence should have reached, as far as the process knew when it sent the script.
    expected: u64,
    ended: Option<End>,
}

#[derive(Clone, Copy)]
struct End {
    turn: u64,
    time: u64,
    ok: bool,
}

/// When a call began.
#[derive(Clone, Copy, Debug)]
pub(super) struct CallStart {
    pub(super) turn: u64,
    pub(super) time: u64,
}

impl CallStart {
    pub(super) fn now(world: &World) -> Self {
        Self { turn: world.turn(), time: world.now() }
    }
}

/// Whether a leaf's value is older than another one. Leaves read their data; what the others are made of may be of any age.
pub(super) fn is_older(key: Key, value: &Value, other: &Value) -> bool {
    matches!(key, Key::Leaf(_)) && value.iter().any(|(datum, version)| other.get(datum) > Some(version))
}

/// What the store would replace by something older.
pub(super) fn newer_entry(redis: &Redis, command: &Command) -> Option<String> {
    let Command::Store { key, entry, .. } = command else { return None };
    let there = redis.entries.get(key).filter(|there| is_older(*key, &entry.value, &there.value))?;
    Some(format!("{key:?}: {entry} is to replace {there}"))
}

/// See the head of this file.
#[derive(Default)]
pub(super) struct Checks {
    demands: Vec<Demand>,
    invalidations: BTreeMap<u64, Invalidation>,
    /// The greatest stamp that a run has taken.
    highest_stamp: u64,
    /// What processes couldn't record: process, datum, version, turn.
    remembered: Vec<(u64, usize, u64, u64)>,
    pub(super) writes: WriteCheck,
    pub(super) leases: LeaseCheck,
    pub(super) violation: Option<Violation>,
    pub(super) counts: BTreeMap<&'static str, usize>,
    pub(super) runs: BTreeMap<Key, usize>,
}

impl Checks {
    pub(super) fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// Only the first violation is kept.
    pub(super) fn violated(&mut self, kind: Kind, what: impl FnOnce() -> String) {
        if self.violation.is_none() {
            self.violation = Some(Violation { kind, what: what() });
        }
    }

    // --- freshness -------------------------------------------------------------------------------------------------------

    /// Demands the current version of a datum from now on.
    pub(super) fn demand(&mut self, world: &World, datum: usize, invalidation: u64, given_again: bool) {
        let version = world.data.get()[datum];
        let (turn, time) = (world.turn(), world.now());
        self.demands.push(Demand { datum, version, turn, time, invalidation, given_again });
    }

    /// See [`Demand::given_again`].
    fn is_given_again(&self, number: u64, by: u64) -> bool {
        let expected = self.invalidations.get(&by).map_or(0, |by| by.expected);
        let ahead = self.highest_stamp.checked_sub(number);
        ahead.is_some_and(|ahead| ahead < LEAP) && (1..).contains(&number) && expected < number
    }

    /// Once the sequence has come to the greatest stamp again, nobody can notice.
    fn catch_up(&mut self, number: u64) {
        if number == self.highest_stamp {
            let lost: Vec<_> = self.demands.extract_if(.., |demand| demand.given_again).collect();
            // Whoever remembered one of these and has recorded it now can't notice either.
            let is_lost = |datum, version| lost.iter().any(|lost| lost.datum == datum && version <= lost.version);
            self.remembered.retain(|(_, datum, version, _)| !is_lost(*datum, *version));
        }
    }

    pub(super) fn invalidation_begins(&mut self, id: u64, process: &Process) {
        self.invalidations.insert(id, Invalidation { process: process.id, expected: 0, ended: None });
    }

    pub(super) fn invalidation_expects(&mut self, id: u64, expected: u64) {
        self.invalidations.entry(id).and_modify(|invalidation| invalidation.expected = expected);
    }

    pub(super) fn invalidation_ends(&mut self, world: &World, id: u64, ok: bool) {
        if let Some(invalidation) = self.invalidations.get_mut(&id) {
            invalidation.ended = Some(End { turn: world.turn(), time: world.now(), ok });
        }
    }

    /// An invalidation failed, and its process remembers it: for that process it counts at once.
    pub(super) fn remembered(&mut self, world: &World, process: &Process, tag: Tag, data: [u64; LEAVES]) {
        let turn = world.turn();
        self.remembered.extend(tag.data().map(|datum| (process.id, datum, data[datum], turn)));
    }

    /// A failover has lost the invalidations executed after this turn.
    pub(super) fn forget_since(&mut self, turn: u64) {
        self.demands.retain(|demand| demand.turn <= turn);
    }

    /// The versions that a call must return. Evaluated at its end, so that a failover during the call counts.
    fn required(&self, world: &World, process: &Process, began: CallStart, memory: bool) -> [u64; LEAVES] {
        let mut required = [0; LEAVES];
        for demand in self.demands.iter().filter(|demand| demand.turn < began.turn) {
            let own = self.invalidations.get(&demand.invalidation).filter(|own| own.process == process.id);
            let since = match own.map(|own| own.ended) {
                _ if !memory => 0,
                None => demand.time + MAX_STALENESS,
                Some(Some(end)) if end.turn < began.turn && end.ok => 0,
                Some(Some(end)) if end.turn < began.turn => demand.time.max(end.time) + MAX_STALENESS,
                Some(_) => u64::MAX,
            };
            if since <= began.time {
                required[demand.datum] = required[demand.datum].max(demand.version);
            }
        }
        self.writes.required(began.time, if memory { MAX_STALENESS } else { 0 }, &mut required);
        for (by, datum, version, turn) in &self.remembered {
            if *by == process.id && *turn < began.turn {
                required[*datum] = required[*datum].max(*version);
            }
        }
        debug_assert!(began.turn <= world.turn());
        required
    }

    pub(super) fn check_answer(
        &mut self,
        world: &World,
        process: &Process,
        began: CallStart,
        memory: bool,
        value: &Value,
    ) {
        self.count(if memory { "answers with a part of memory" } else { "answers without" });
        let required = self.required(world, process, began, memory);
        if value.iter().any(|(datum, version)| *version < required[*datum]) {
            let what = || {
                format!(
                    "process {}: {value:?}, required {required:?}, memory had a part: {memory}, {began:?}",
                    process.place
                )
            };
            self.violated(Kind::Stale, what);
        }
    }

    // --- events ------------------------------------------------------------------------------------------------

    /// A command was executed. `repairs`: it was a repair that dropped all buckets.
    /// `restores`: the lost set of holds came back.
    pub(super) fn executed(&mut self, world: &World, command: &Command, reply: &Reply, repairs: bool, restores: bool) {
        self.check_leases(&world.redis.borrow(), command, reply);
        // The set is lost also where a repair has found that the sequence went back.
        if restores || matches!((command, reply), (Command::Repair { .. }, Reply::Pair(_, 2..))) {
            self.writes.restored(&world.redis.borrow());
        }
        self.writes.follow(&world.redis.borrow(), world.now());
        match (command, reply) {
            (Command::Invalidate { tags, by, end_of, .. }, Reply::Pair(number @ 0.., _)) => {
                if let Some(token) =
                    end_of.filter(|_| *number > 0 && world.mistake != Some(Mistake::HoldsEndWhenDropped))
                {
                    self.writes.done(token, world.now());
                }
                let given_again = self.is_given_again(*number as u64, *by);
                let data = tags.iter().filter_map(|tag| Tag::of_id(*tag)).flat_map(Tag::data);
                data.for_each(|datum| self.demand(world, datum, *by, given_again));
                self.catch_up(*number as u64);
            }
            (Command::Repair { .. }, _) if repairs => {
                (0..LEAVES).for_each(|datum| self.demand(world, datum, 0, false));
                self.count("repairs");
            }
            (Command::Hold { token, duration, .. }, Reply::Pair(0.., _)) => {
                self.writes.placed(*token, world.redis.borrow().time + duration);
            }
            (Command::Store { .. }, Reply::Number(1)) => self.count("stores"),
            _ => {}
        }
    }

    /// A run begins, with this stamp.
    pub(super) fn ran(&mut self, key: Key, stamp: Option<u64>) {
        self.highest_stamp = self.highest_stamp.max(stamp.unwrap_or(0));
        self.count("runs");
        *self.runs.entry(key).or_default() += 1;
    }
}

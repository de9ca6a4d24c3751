//! Faults. A schedule can inject one at any step.

use std::rc::Rc;

use super::application::{LEAVES, Tag};
use super::process::{Message, Process};
use super::server::{DAMAGED, Published, Redis, TICK};
use super::world::World;
use super::{HEARTBEAT, HOLD, LEASE, MAX_STALENESS};
use crate::sequence::{END, LEAP};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Redis loses one key of this kind, for instance by eviction, or all keys.
    LosesBucket,
    LosesSequence,
    LosesEntry,
    LosesLease,
    /// The set of holds, or their tags.
    LosesHolds,
    LosesHeld,
    LosesAll,
    /// Somebody overwrites the sequence by a lower number, a higher number, or what is no number.
    SequenceSetBack,
    SequenceSetAhead,
    SequenceDamaged,
    /// Somebody writes into a bucket what can't be true.
    BucketDamaged,
    /// Somebody publishes an invalidation with a number that is far ahead.
    ForgedMessage,
    /// The server's time is set back or forward.
    TimeSetBack,
    TimeSetForward,
    /// Redis starts or stops refusing writes because it is out of memory.
    OutOfMemory,
    /// A replica takes over that lacks the latest writes: to all keys, or only to those on the sequence's shard.
    Failover,
    FailoverOfTheSequence,
    /// A process is killed, and a new one starts in its place.
    Kill,
    /// A process loses its connection for commands, or gets it back.
    Cut,
    /// A process loses its subscription and knows it, or subscribes again.
    Deaf,
    /// The client drops messages because too many came at once, and reports it.
    Overrun,
    /// Memory drops its entries.
    Evict,
    /// The next body in a process fails.
    BodyFails,
    /// A caller drops its future.
    Cancel,
    /// Time passes while no task runs.
    Sleep,
}

impl Fault {
    pub(super) const OF_REDIS: [Self; 17] = [
        Self::LosesBucket,
        Self::LosesSequence,
        Self::LosesEntry,
        Self::LosesLease,
        Self::LosesHolds,
        Self::LosesHeld,
        Self::LosesAll,
        Self::SequenceSetBack,
        Self::SequenceSetAhead,
        Self::SequenceDamaged,
        Self::BucketDamaged,
        Self::ForgedMessage,
        Self::TimeSetBack,
        Self::TimeSetForward,
        Self::OutOfMemory,
        Self::Failover,
        Self::FailoverOfTheSequence,
    ];
    pub(super) const OF_PROCESSES: [Self; 8] =
        [Self::Kill, Self::Cut, Self::Deaf, Self::Overrun, Self::Evict, Self::BodyFails, Self::Cancel, Self::Sleep];
}

/// The state of a replica.
#[derive(Clone)]
pub(super) struct Replica {
    redis: Redis,
    /// Writes from after this turn are missing.
    turn: u64,
}

impl Replica {
    pub(super) fn of(world: &World) -> Self {
        Self { redis: world.redis.borrow().clone(), turn: world.turn() }
    }

    /// Becomes the server that commands reach. Subscribers of the old server hear nothing, and don't notice yet.
    pub(super) fn takes_over(&self, world: &World, only_the_sequence: bool) {
        let mut redis = world.redis.borrow_mut();
        (redis.sequence, redis.buckets) = (self.redis.sequence, self.redis.buckets.clone());
        (redis.holds, redis.held) = (self.redis.holds.clone(), self.redis.held.clone());
        world.checks.borrow_mut().writes.failed_over(&redis);
        if !only_the_sequence {
            (redis.entries, redis.leases) = (self.redis.entries.clone(), self.redis.leases.clone());
        }
        drop(redis);
        world.server.set(world.server.get() + 1);
        world.checks.borrow_mut().forget_since(self.turn);
    }
}

/// `place` is the process, for faults that concern one.
pub(super) fn inject(world: &Rc<World>, fault: Fault, place: usize, replica: &Replica) {
    let p = world.process(place);
    world.note(|| format!("{fault:?}, process {place}"));
    match fault {
        Fault::LosesBucket | Fault::LosesEntry | Fault::LosesLease => lose_one(world, fault),
        Fault::LosesSequence => world.redis.borrow_mut().sequence = None,
        Fault::LosesHolds => world.redis.borrow_mut().holds = None,
        Fault::LosesHeld => world.redis.borrow_mut().held.clear(),
        Fault::LosesAll => {
            let mut redis = world.redis.borrow_mut();
            (redis.holds, redis.held) = (None, std::collections::BTreeMap::new());
            redis.sequence = None;
            redis.buckets.clear();
            redis.entries.clear();
            redis.leases.clear();
        }
        Fault::SequenceSetBack => set_sequence(world, |sequence| sequence.saturating_sub(2)),
        Fault::SequenceSetAhead => set_sequence(world, |sequence| sequence + 2 * LEAP),
        Fault::SequenceDamaged => set_sequence(world, |_| DAMAGED),
        Fault::BucketDamaged => damage_bucket(world),
        Fault::ForgedMessage => forge_message(world),
        Fault::TimeSetBack => world.redis.borrow_mut().time -= 50 * TICK,
        Fault::TimeSetForward => world.redis.borrow_mut().time += 50 * TICK,
        Fault::OutOfMemory => {
            let mut redis = world.redis.borrow_mut();
            redis.out_of_memory = !redis.out_of_memory;
        }
        Fault::Failover => replica.takes_over(world, false),
        Fault::FailoverOfTheSequence => replica.takes_over(world, true),
        Fault::Kill => kill(world, &p),
        Fault::Cut => p.cut.set(!p.cut.get()),
        Fault::Deaf if p.listens_to.get() == Some(world.server.get()) => p.stop_listening(),
        Fault::Deaf => p.listen(world),
        Fault::Overrun => {
            p.inbox.borrow_mut().clear();
            crate::connection::MessageHandler::missed(&p.bus);
        }
        Fault::Evict => p.memory.evict(),
        Fault::BodyFails => p.fails.set(true),
        Fault::Cancel => {
            let calls = world.callers();
            if !calls.is_empty() {
                world.cancel(calls[world.choose("who goes away", calls.len())]);
            }
        }
        Fault::Sleep => {
            let times = [2, HEARTBEAT + 1, MAX_STALENESS + 1, LEASE + 1, HOLD, HOLD + MAX_STALENESS];
            world.pass_time(times[world.choose("how long", times.len())]);
        }
    }
    world.checks.borrow_mut().writes.follow(&world.redis.borrow(), world.now());
    world.checks.borrow_mut().leases.reset_to(&world.redis.borrow());
}

fn lose_one(world: &World, fault: Fault) {
    fn one_of<K: Copy>(world: &World, keys: &[K]) -> Option<K> {
        (!keys.is_empty()).then(|| keys[world.choose("which", keys.len())])
    }
    let mut redis = world.redis.borrow_mut();
    match fault {
        Fault::LosesBucket => {
            let keys: Vec<_> = redis.buckets.keys().copied().collect();
            one_of(world, &keys).map(|key| redis.buckets.remove(&key));
        }
        Fault::LosesEntry => {
            let keys: Vec<_> = redis.entries.keys().copied().collect();
            one_of(world, &keys).map(|key| redis.entries.remove(&key));
        }
        _ => {
            let keys: Vec<_> = redis.leases.keys().copied().collect();
            one_of(world, &keys).map(|key| redis.leases.remove(&key));
        }
    }
}

fn set_sequence(world: &World, to: impl Fn(u64) -> u64) {
    let mut redis = world.redis.borrow_mut();
    redis.sequence = redis.sequence.map(|sequence| if sequence < END { to(sequence) } else { sequence });
}

fn damage_bucket(world: &World) {
    let field = world.choose("which field", LEAVES + 1);
    let value = [END - 1, DAMAGED][world.choose("by which value", 2)];
    if let Some(bucket) = world.redis.borrow_mut().buckets.values_mut().next() {
        match field.checked_sub(1) {
            None => bucket.floor = Some(value),
            Some(datum) => drop(bucket.stamps.insert(Tag::Datum(datum).id(), value)),
        }
    }
}

fn forge_message(world: &World) {
    let number = world.redis.borrow().sequence.filter(|sequence| *sequence < END).unwrap_or(0)
        + [4 * LEAP, LEAP / 2][world.choose("how far", 2)];
    let payload = format!("somebody {number} ").into_bytes();
    world.publish(&Message { server: world.server.get(), what: Published::Bus(payload) });
}

fn kill(world: &Rc<World>, p: &Rc<Process>) {
    world.end_tasks_of(p);
    let next = Process::new(world, p.place);
    next.listen(world);
    world.processes.borrow_mut()[p.place] = Rc::clone(&next);
}

//! The sequence on the side of a process: stamps, repairs and invalidations. Models `invalidation/` of this crate, with the real
//! [`KnownSequence`](crate::sequence::KnownSequence).

use std::rc::Rc;

use cache_core::backend::TagId;

use super::mistakes::Mistake;
use super::process::Process;
use super::server::{Command, LONGEST, Reply};
use super::world::{Unavailable, World};
use crate::keys::HOLDS;
use crate::sequence::{self, END, LEAP};

/// A position in the invalidation order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) sequence: u64,
    /// Stamps of different generations can't be compared.
    pub(super) generation: u64,
}

/// A stamp script, and what the sequence should have reached when it is executed.
pub(super) struct StampRequest {
    expected: u64,
    generation: u64,
    pub(super) command: Command,
}

/// A sequence that can't be used.
#[derive(Clone, Copy)]
pub(super) enum Unusable {
    /// Lost or damaged.
    Missing,
    /// Behind what a server has told or what was heard: the value that was found.
    Behind(u64),
}

impl Unusable {
    /// Of a script that has refused to use the sequence that it found.
    fn refused(world: &World, found: i64) -> Self {
        let found = sequence::number(&crate::connection::Reply::Number(found));
        found.filter(|_| !world.has(Mistake::RefusalsCanBeOvertaken)).map_or(Self::Missing, Self::Behind)
    }
}

pub(super) fn stamp_request(p: &Process, tags: &[TagId]) -> StampRequest {
    // Taken first: if the sequence restarts after this, the answer counts as one of the old order.
    let generation = p.bus.known.generation();
    let (expected, told) = (p.bus.known.expected(), p.bus.known.told());
    StampRequest { expected, generation, command: Command::Stamp { told, tags: tags.to_vec() } }
}

/// The position in the answer to a request; the inner error is the reason why it can't be used.
pub(super) fn stamped(
    world: &World,
    p: &Process,
    request: &StampRequest,
    reply: Option<&Reply>,
) -> Result<Result<Position, Unusable>, Unavailable> {
    let sequence = match reply {
        Some(Reply::Pair(-1, found)) => return Ok(Err(Unusable::refused(world, *found))),
        Some(Reply::Pair(sequence, _)) => {
            sequence::number(&crate::connection::Reply::Number(*sequence)).ok_or(Unavailable)?
        }
        _ => return Err(Unavailable),
    };
    p.bus.known.learn(sequence);
    Ok(if sequence < request.expected {
        Err(Unusable::Behind(sequence))
    } else {
        Ok(Position { sequence, generation: request.generation })
    })
}

/// The position in an answer, or asks for another one.
pub(super) async fn position(
    world: &Rc<World>,
    p: &Rc<Process>,
    tags: &[TagId],
    request: &StampRequest,
    reply: Option<&Reply>,
) -> Result<Position, Unavailable> {
    match stamped(world, p, request, reply)? {
        Ok(position) => Ok(position),
        Err(why) => {
            make_usable(world, p, why).await?;
            stamp(world, p, tags).await
        }
    }
}

/// Reads the sequence, and makes the buckets able to tell of these tags.
pub(super) async fn stamp(world: &Rc<World>, p: &Rc<Process>, tags: &[TagId]) -> Result<Position, Unavailable> {
    loop {
        let request = stamp_request(p, tags);
        let replies = world.send(p, vec![request.command.clone()]).await?;
        match stamped(world, p, &request, replies.first())? {
            Ok(position) => return Ok(position),
            Err(why) => make_usable(world, p, why).await?,
        }
    }
}

/// Repairs the sequence, unless that has been done meanwhile.
async fn make_usable(world: &Rc<World>, p: &Rc<Process>, why: Unusable) -> Result<(), Unavailable> {
    let is_done = matches!(why, Unusable::Behind(sequence) if sequence >= p.bus.known.expected());
    if is_done || repair(world, p, why).await? { Ok(()) } else { Err(Unavailable) }
}

/// Makes a sequence anew. `false`: there is none, and no memory for one.
async fn repair(world: &Rc<World>, p: &Rc<Process>, why: Unusable) -> Result<bool, Unavailable> {
    let told = p.bus.known.told();
    let least = match why {
        Unusable::Missing => told,
        Unusable::Behind(sequence) => told.max((sequence + LEAP).min(END - 1)),
    };
    let command = Command::Repair { least, author: p.bus.author() };
    let replies = world.send(p, vec![command]).await?;
    let Some(Reply::Pair(sequence, why)) = replies.first() else { return Err(Unavailable) };
    if *sequence == 0 {
        return Ok(false);
    }
    let sequence = sequence::number(&crate::connection::Reply::Number(*sequence)).ok_or(Unavailable)?;
    if *why == 0 {
        p.bus.known.learn(sequence);
    } else {
        p.bus.restart(sequence);
    }
    Ok(true)
}

/// Records an invalidation.
pub(super) async fn invalidate(
    world: &Rc<World>,
    p: &Rc<Process>,
    tags: &[TagId],
    author: &str,
    id: u64,
    end_of: Option<u64>,
) -> Result<(), Unavailable> {
    let mut no_sequence = false;
    loop {
        let (expected, told) = (p.bus.known.expected(), p.bus.known.told());
        world.checks.borrow_mut().invalidation_expects(id, expected);
        let (author, tags_of) = (author.to_owned(), tags.to_vec());
        let command = Command::Invalidate { told, author, end_of, no_sequence, tags: tags_of, by: id };
        let replies = world.send(p, vec![command]).await?;
        let Some(Reply::Pair(number, found)) = replies.first() else { return Err(Unavailable) };
        let Ok(number) = u64::try_from(*number) else {
            no_sequence = !repair(world, p, Unusable::refused(world, *found)).await?;
            continue;
        };
        let was_given_before = number > 0 && number <= expected && number <= p.bus.known.expected();
        if was_given_before && !world.has(Mistake::OldNumbersCount) {
            return repair(world, p, Unusable::Behind(number)).await.map(drop);
        }
        p.bus.known.learn(number);
        p.bus.witness(number, tags);
        return Ok(());
    }
}

/// Places or renews a hold. Returns whether it was there.
pub(super) async fn hold(
    world: &Rc<World>,
    p: &Rc<Process>,
    token: u64,
    tags: &[TagId],
    renews: bool,
) -> Result<bool, Unavailable> {
    loop {
        let (expected, told) = (p.bus.known.expected(), p.bus.known.told());
        let duration = LONGEST;
        let command = Command::Hold { told, author: p.bus.author(), token, duration, tags: tags.to_vec(), renews };
        let replies = world.send(p, vec![command]).await?;
        let Some(Reply::Pair(number, found)) = replies.first() else { return Err(Unavailable) };
        let Ok(number) = u64::try_from(*number) else {
            if !repair(world, p, Unusable::refused(world, *found)).await? {
                return Err(Unavailable);
            }
            continue;
        };
        if number <= expected && number <= p.bus.known.expected() && !world.has(Mistake::HoldsAreNotNumbered) {
            // This number was given out before, by a server that has lost it. The repair drops the hold too.
            repair(world, p, Unusable::Behind(number)).await?;
            continue;
        }
        p.bus.known.learn(number);
        p.bus.witness(number, &[HOLDS]);
        return Ok(*found == 1);
    }
}

/// Reads the sequence. Through a new connection, it also looks whether the last known invalidation is recorded there; if not,
/// the server has lost it, and the sequence is made anew.
pub(super) async fn read_sequence(world: &Rc<World>, p: &Rc<Process>) -> Result<u64, Unavailable> {
    let sequence = stamp(world, p, &[]).await?.sequence;
    let (connection, _) = p.connection(world);
    if p.met.get() == Some(connection) {
        return Ok(sequence);
    }
    if let Some((number, tag)) = p.bus.last_witnessed().filter(|_| !world.has(Mistake::NobodyLooksForTheLastOne)) {
        let replies = world.send(p, vec![Command::GetTags(vec![tag])]).await?;
        let Some(Reply::Tags(said)) = replies.first() else { return Err(Unavailable) };
        if said.first().and_then(|(_, last)| *last).is_some_and(|last| last < number) {
            repair(world, p, Unusable::Behind(sequence)).await?;
            return Ok(stamp(world, p, &[]).await?.sequence);
        }
    }
    p.met.set(Some(connection));
    Ok(sequence)
}

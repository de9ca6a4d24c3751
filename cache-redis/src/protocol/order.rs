//! The clock on the side of a process: stamps, repairs and invalidations. Models `order.rs` of this crate, with the real
//! [`Known`](crate::clock::Known).

use std::rc::Rc;

use cache_core::backend::TagId;

use super::mistakes::Mistake;
use super::process::Process;
use super::server::{Command, Reply};
use super::world::{Unavailable, World};
use crate::clock::{self, END, LEAP};

/// A position in the invalidation order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) clock: u64,
    /// Stamps of different generations can't be compared.
    pub(super) generation: u64,
}

/// A stamp script, and what the clock should have reached when it is executed.
pub(super) struct StampRequest {
    expected: u64,
    generation: u64,
    pub(super) command: Command,
}

/// A clock that can't be used.
#[derive(Clone, Copy)]
pub(super) enum Unusable {
    /// Lost or damaged.
    Missing,
    /// Behind what a server has told or what was heard: the value that was found.
    Behind(u64),
}

impl Unusable {
    /// Of a script that has refused to use the clock that it found.
    fn refused(world: &World, found: i64) -> Self {
        let found = clock::number(&crate::connection::Reply::Number(found));
        found.filter(|_| !world.has(Mistake::RefusalsCanBeOvertaken)).map_or(Self::Missing, Self::Behind)
    }
}

pub(super) fn stamp_request(p: &Process, tags: &[TagId]) -> StampRequest {
    // Taken first: if the clock restarts after this, the answer counts as one of the old order.
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
    let clock = match reply {
        Some(Reply::Pair(-1, found)) => return Ok(Err(Unusable::refused(world, *found))),
        Some(Reply::Pair(clock, _)) => clock::number(&crate::connection::Reply::Number(*clock)).ok_or(Unavailable)?,
        _ => return Err(Unavailable),
    };
    p.bus.known.learn(clock);
    Ok(if clock < request.expected {
        Err(Unusable::Behind(clock))
    } else {
        Ok(Position { clock, generation: request.generation })
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

/// Reads the clock, and makes the buckets able to tell of these tags.
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

/// Repairs the clock, unless that has been done meanwhile.
async fn make_usable(world: &Rc<World>, p: &Rc<Process>, why: Unusable) -> Result<(), Unavailable> {
    let is_done = matches!(why, Unusable::Behind(clock) if clock >= p.bus.known.expected());
    if is_done || repair(world, p, why).await? { Ok(()) } else { Err(Unavailable) }
}

/// Makes a clock anew. `false`: there is none, and no memory for one.
async fn repair(world: &Rc<World>, p: &Rc<Process>, why: Unusable) -> Result<bool, Unavailable> {
    let told = p.bus.known.told();
    let least = match why {
        Unusable::Missing => told,
        Unusable::Behind(clock) => told.max((clock + LEAP).min(END - 1)),
    };
    let command = Command::Repair { least, author: p.bus.author() };
    let replies = world.send(p, vec![command]).await?;
    let Some(Reply::Pair(clock, why)) = replies.first() else { return Err(Unavailable) };
    if *clock == 0 {
        return Ok(false);
    }
    let clock = clock::number(&crate::connection::Reply::Number(*clock)).ok_or(Unavailable)?;
    if *why == 0 {
        p.bus.known.learn(clock);
    } else {
        p.bus.restart(clock);
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
) -> Result<(), Unavailable> {
    let mut no_clock = false;
    loop {
        let (expected, told) = (p.bus.known.expected(), p.bus.known.told());
        world.checks.borrow_mut().invalidation_expects(id, expected);
        let command = Command::Invalidate { told, author: author.to_owned(), no_clock, tags: tags.to_vec(), by: id };
        let replies = world.send(p, vec![command]).await?;
        let Some(Reply::Pair(number, found)) = replies.first() else { return Err(Unavailable) };
        let Ok(number) = u64::try_from(*number) else {
            no_clock = !repair(world, p, Unusable::refused(world, *found)).await?;
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

/// Reads the clock. Through a new connection, it also looks whether the last known invalidation is recorded there; if not,
/// the server has lost it, and the clock is made anew.
pub(super) async fn look_at_clock(world: &Rc<World>, p: &Rc<Process>) -> Result<u64, Unavailable> {
    let clock = stamp(world, p, &[]).await?.clock;
    let (connection, _) = p.connection(world);
    if p.met.get() == Some(connection) {
        return Ok(clock);
    }
    if let Some((number, tag)) = p.bus.last_witnessed().filter(|_| !world.has(Mistake::NobodyLooksForTheLastOne)) {
        let replies = world.send(p, vec![Command::GetTags(vec![tag])]).await?;
        let Some(Reply::Tags(said)) = replies.first() else { return Err(Unavailable) };
        if said.first().and_then(|(_, last)| *last).is_some_and(|last| last < number) {
            repair(world, p, Unusable::Behind(clock)).await?;
            return Ok(stamp(world, p, &[]).await?.clock);
        }
    }
    p.met.set(Some(connection));
    Ok(clock)
}

//! What is done with the clock and the tag buckets: stamps, invalidations, and the repair of a clock. The rules are in
//! [`clock`](crate::clock).

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use cache_core::backend::TagId;
use futures_util::stream::{FuturesOrdered, StreamExt as _};
use tokio::time::Instant;

use crate::buckets::Question;
use crate::clock::{self, END, FAR, LEAP};
use crate::connection::{Answer, Command, Reply};
use crate::core::Core;
use crate::error::Fault;
use crate::health::{Operation, TroubleKind};
use crate::keys::{TAGS_PER_BUCKET, field};
use crate::log::ConnectionId;
use crate::scripts;

/// So many tags are dealt with by one script; more take several, so that none blocks the server for long.
const TAGS_PER_SCRIPT: usize = 512;

/// So many invalidations of one call are under way at once: while one is executed, the next is on its way.
const UNDER_WAY: usize = 2;

/// The stamp scripts for some tags, and what the clock should have reached when they are executed.
#[derive(Debug)]
pub(crate) struct StampRequest {
    expected: u64,
    generation: u64,
    pub(crate) commands: Vec<Command>,
}

/// A position in the invalidation order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Position {
    pub(crate) clock: u64,
    /// See [`Known::generation`](crate::clock::Known::generation).
    pub(crate) generation: u64,
}

/// A clock that can't be used.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unusable {
    /// Lost or damaged.
    Missing,
    /// Behind what this process was told or has heard: the value that was found. The clock is made anew even if it has been
    /// counted up since, because then the same numbers were given out twice.
    Behind(u64),
}

impl Unusable {
    /// Of a script that has refused to use the clock that it found.
    fn refused(found: i64) -> Self {
        clock::number(&Reply::Number(found)).map_or(Self::Missing, Self::Behind)
    }
}

/// What the repair script left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Repaired {
    Clock,
    /// None: there is no memory for one.
    Nothing,
}

/// How an invalidation was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Recorded {
    Once,
    /// A part of it may happen again at any time: nobody knows what became of a command.
    PerhapsAgain,
}

impl Core {
    /// What reads the clock, and makes sure that the buckets can tell of these tags.
    pub(crate) fn stamp_request(&self, tags: &[TagId]) -> StampRequest {
        // First of all this: if the clock restarts after it, the answer counts as one of the old order.
        let generation = self.bus.known.generation();
        let (expected, told) = (self.bus.known.expected(), self.told());
        let command = |tags: &[TagId]| {
            let args = std::iter::once(told.clone()).chain(tags.iter().copied().map(field));
            Command::script(&scripts::STAMP, self.clock_and_buckets(tags), args)
        };
        // Without tags it is one command all the same.
        let first = tags.get(..TAGS_PER_SCRIPT).unwrap_or(tags);
        let rest = tags.get(TAGS_PER_SCRIPT..).unwrap_or_default();
        let commands = std::iter::once(first).chain(rest.chunks(TAGS_PER_SCRIPT)).map(command).collect();
        StampRequest { expected, generation, commands }
    }

    /// The clock in the answers to a [`stamp_request`](Self::stamp_request), if it can be used.
    pub(crate) fn stamped(
        &self,
        during: Operation,
        request: &StampRequest,
        answers: impl IntoIterator<Item = Answer>,
    ) -> Result<Result<Position, Unusable>, Fault> {
        let mut stamp = u64::MAX;
        for answer in answers {
            let (clock, replaced) = pair(answer?).ok_or(Fault::Unexpected("the stamp script"))?;
            if clock == -1 {
                return Ok(Err(Unusable::refused(replaced)));
            }
            let clock = clock::number(&Reply::Number(clock)).ok_or(Fault::Unexpected("the stamp script"))?;
            self.bus.known.learn(clock);
            self.report_replaced(during, replaced);
            stamp = stamp.min(clock);
        }
        if stamp == u64::MAX {
            return Err(Fault::Unexpected("the stamp script"));
        }
        Ok(if stamp < request.expected {
            Err(Unusable::Behind(stamp))
        } else {
            Ok(Position { clock: stamp, generation: request.generation })
        })
    }

    /// The clock, after making sure that the buckets can tell of these tags.
    pub(crate) async fn stamp(&self, during: Operation, tags: &[TagId], deadline: Instant) -> Result<Position, Fault> {
        loop {
            let mut request = self.stamp_request(tags);
            let answers = self.servers.call(std::mem::take(&mut request.commands), deadline).await;
            match self.stamped(during, &request, answers)? {
                Ok(position) => return Ok(position),
                Err(why) => self.make_usable(why, deadline).await?,
            }
        }
    }

    /// What is to be done where [`stamped`](Self::stamped) had no stamp, before another attempt.
    pub(crate) async fn make_usable(&self, why: Unusable, deadline: Instant) -> Result<(), Fault> {
        // What was expected may be forgotten: the clock was made anew meanwhile.
        if matches!(why, Unusable::Behind(clock) if clock >= self.bus.known.expected()) {
            return Ok(());
        }
        match self.repair(why, deadline).await? {
            Repaired::Clock => Ok(()),
            Repaired::Nothing => Err(Fault::refused("OOM command not allowed when used memory > 'maxmemory'.")),
        }
    }

    /// Makes a clock anew.
    async fn repair(&self, why: Unusable, deadline: Instant) -> Result<Repaired, Fault> {
        let told = self.bus.known.told();
        let least = match why {
            Unusable::Missing => told,
            Unusable::Behind(clock) => told.max((clock + LEAP).min(END - 1)),
        };
        let keys = std::iter::once(self.names.clock.clone()).chain(self.names.all_buckets()).collect();
        let args = [
            least.to_string().into(),
            self.names.bus.clone().into(),
            self.bus.author().into(),
            LEAP.to_string().into(),
            FAR.to_string().into(),
        ];
        let reply = self.servers.call_one(Command::script(&scripts::REPAIR, keys, args), deadline).await?;
        let (clock, reason) = pair(reply).ok_or(Fault::Unexpected("the repair script"))?;
        if clock == 0 {
            return Ok(Repaired::Nothing);
        }
        let clock = clock::number(&Reply::Number(clock)).ok_or(Fault::Unexpected("the repair script"))?;
        if reason == 0 {
            self.bus.known.learn(clock);
            return Ok(Repaired::Clock);
        }
        self.report_repaired(reason, clock);
        self.bus.restart(clock);
        Ok(Repaired::Clock)
    }

    fn report_repaired(&self, reason: i64, clock: u64) {
        let (kind, message) = match reason {
            // A new prefix, or everything was flushed.
            1 => return,
            3 => (
                TroubleKind::WrongType,
                format!(
                    "the clock's key held something else; it was replaced by {clock}, and all entries were dropped"
                ),
            ),
            4 => (
                TroubleKind::ClockWentBack,
                format!(
                    "the clock that was known here is far beyond the server's; it is {clock} now, and all entries were dropped"
                ),
            ),
            _ => (
                TroubleKind::ClockWentBack,
                format!(
                    "the server has lost invalidations that are known here; the clock was pushed forward, to {clock}, and all \
                     entries were dropped"
                ),
            ),
        };
        self.monitor.trouble(Operation::Heartbeat, kind, message);
    }

    fn report_replaced(&self, during: Operation, replaced: i64) {
        if replaced > 0 {
            let message = "a record of invalidations held something else; it was replaced, and counts as invalidated";
            self.monitor.trouble(during, TroubleKind::WrongType, message.to_owned());
        }
    }

    /// Each script has a timeout of its own, so that progress counts; the first must be answered by the deadline.
    pub(crate) async fn invalidate(
        &self,
        tags: &[TagId],
        author: &Bytes,
        deadline: Instant,
    ) -> Result<Recorded, Fault> {
        let (progress, mut recorded) = (AtomicBool::new(false), Recorded::Once);
        let (mut parts, mut under_way) = (tags.chunks(TAGS_PER_SCRIPT), FuturesOrdered::new());
        under_way.extend(parts.next().map(|part| self.invalidate_part(part, author, deadline, &progress)));
        loop {
            if under_way.len() < UNDER_WAY
                && let Some(part) = parts.next()
            {
                under_way.push_back(self.invalidate_part(part, author, self.deadline(), &progress));
                continue;
            }
            match under_way.next().await {
                Some(part) => recorded = recorded.max(part?),
                None => return Ok(recorded),
            }
        }
    }

    /// Sent once more if it wasn't answered in time though others were.
    async fn invalidate_part(
        &self,
        tags: &[TagId],
        author: &Bytes,
        deadline: Instant,
        progress: &AtomicBool,
    ) -> Result<Recorded, Fault> {
        let recorded = match self.invalidate_some(tags, author, deadline).await {
            Err(Fault::TimedOut(_)) if progress.load(Ordering::Relaxed) => {
                self.invalidate_some(tags, author, self.deadline()).await?;
                Recorded::PerhapsAgain
            }
            result => result.map(|()| Recorded::Once)?,
        };
        progress.store(true, Ordering::Relaxed);
        Ok(recorded)
    }

    async fn invalidate_some(&self, tags: &[TagId], author: &Bytes, deadline: Instant) -> Result<(), Fault> {
        let mut clock_can_be_made = true;
        loop {
            let expected = self.bus.known.expected();
            let mut args: Vec<Bytes> = vec![
                self.told(),
                self.names.bus.clone().into(),
                author.clone(),
                TAGS_PER_BUCKET.to_string().into(),
                Bytes::from_static(if clock_can_be_made { b"0" } else { b"1" }),
            ];
            args.extend(tags.iter().copied().map(field));
            let command = Command::script(&scripts::INVALIDATE, self.clock_and_buckets(tags), args);
            let reply = self.servers.call_one(command, deadline).await?;
            let (number, replaced) = pair(reply).ok_or(Fault::Unexpected("the invalidation script"))?;
            let number = match u64::try_from(number) {
                Ok(number) => number,
                Err(_) => {
                    let why = Unusable::refused(replaced);
                    clock_can_be_made = self.repair(why, deadline).await? == Repaired::Clock;
                    continue;
                }
            };
            self.report_replaced(Operation::Invalidate, replaced);
            if number > 0 && number <= expected && number <= self.bus.known.expected() {
                // It was given out before, in a part of the order that was lost. The repair drops all there is.
                return self.repair(Unusable::Behind(number), deadline).await.map(drop);
            }
            self.bus.known.learn(number);
            self.bus.witness(number, tags);
            return Ok(());
        }
    }

    /// The clock. Where it is read through other connections than before, perhaps at another server, it is made anew if the
    /// last invalidation that is known isn't recorded there: the order has gone on without some, whose numbers were given
    /// out again.
    pub(crate) async fn look_at_clock(&self, met: &mut Vec<ConnectionId>, deadline: Instant) -> Result<u64, Fault> {
        let Position { clock, .. } = self.stamp(Operation::Heartbeat, &[], deadline).await?;
        let connections = self.servers.link(&self.names.clock).and_then(|link| link.connections());
        let ids: Vec<_> = connections.iter().flat_map(|all| all.iter()).map(|connection| connection.id).collect();
        if ids == *met {
            return Ok(clock);
        }
        if let Some((number, tag)) = self.bus.last_witnessed() {
            let question = Question::about([tag]);
            let answers = self.servers.call(question.commands(&self.names).collect(), deadline).await;
            if question.understand(answers.into_iter()).last(tag)?.is_some_and(|last| last < number) {
                self.repair(Unusable::Behind(clock), deadline).await?;
                return Ok(self.stamp(Operation::Heartbeat, &[], deadline).await?.clock);
            }
        }
        *met = ids;
        Ok(clock)
    }

    fn clock_and_buckets(&self, tags: &[TagId]) -> Vec<Bytes> {
        std::iter::once(self.names.clock.clone()).chain(tags.iter().map(|tag| self.names.bucket(*tag))).collect()
    }

    fn told(&self) -> Bytes {
        self.bus.known.told().to_string().into()
    }
}

/// The first two numbers of a script's answer.
fn pair(reply: Reply) -> Option<(i64, i64)> {
    let answers = reply.list()?;
    match answers.as_slice() {
        [Reply::Number(first), Reply::Number(second), ..] => Some((*first, *second)),
        _ => None,
    }
}

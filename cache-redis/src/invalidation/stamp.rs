//! Stamps: reads the sequence for a run, and makes sure that the tag buckets can tell of its tags.

use cache_core::backend::TagId;
use tokio::time::Instant;

use super::repair::Repaired;
use super::{Position, TAGS_PER_SCRIPT, Unusable, pair};
use crate::connection::{Answer, Command, Reply};
use crate::error::Fault;
use crate::health::Operation;
use crate::keys::field;
use crate::scripts;
use crate::sequence;
use crate::shared::Shared;

/// The stamp scripts for some tags, and the value that the sequence should have reached when they are executed.
#[derive(Debug)]
pub(crate) struct StampRequest {
    expected: u64,
    generation: u64,
    pub(crate) commands: Vec<Command>,
}

impl Shared {
    /// The scripts that read the sequence and make sure that the buckets can tell of these tags.
    pub(crate) fn stamp_request(&self, tags: &[TagId]) -> StampRequest {
        // This comes first: if the sequence restarts afterwards, the answer counts as one of the old generation.
        let generation = self.bus.known.generation();
        let (expected, settings) = (self.bus.known.expected(), self.script_settings());
        let command = |tags: &[TagId]| {
            let args = settings.iter().cloned().chain(tags.iter().copied().map(field));
            Command::script(&scripts::STAMP, self.sequence_and_buckets(tags), args)
        };
        // There is one command even without tags.
        let first = tags.get(..TAGS_PER_SCRIPT).unwrap_or(tags);
        let rest = tags.get(TAGS_PER_SCRIPT..).unwrap_or_default();
        let commands = std::iter::once(first).chain(rest.chunks(TAGS_PER_SCRIPT)).map(command).collect();
        StampRequest { expected, generation, commands }
    }

    /// The sequence in the answers to a [`stamp_request`](Self::stamp_request), if it can be used.
    pub(crate) fn stamped(
        &self,
        during: Operation,
        request: &StampRequest,
        answers: impl IntoIterator<Item = Answer>,
    ) -> Result<Result<Position, Unusable>, Fault> {
        let mut stamp = u64::MAX;
        for answer in answers {
            let (sequence, replaced) = pair(answer?).ok_or(Fault::Unexpected("the stamp script"))?;
            if sequence == -1 {
                return Ok(Err(Unusable::refused(replaced)));
            }
            let sequence = sequence::number(&Reply::Number(sequence)).ok_or(Fault::Unexpected("the stamp script"))?;
            self.bus.known.learn(sequence);
            self.report_replaced(during, replaced);
            stamp = stamp.min(sequence);
        }
        if stamp == u64::MAX {
            return Err(Fault::Unexpected("the stamp script"));
        }
        Ok(if stamp < request.expected {
            Err(Unusable::Behind(stamp))
        } else {
            Ok(Position { sequence: stamp, generation: request.generation })
        })
    }

    /// The sequence, after making sure that the buckets can tell of these tags.
    pub(crate) async fn stamp(&self, during: Operation, tags: &[TagId], deadline: Instant) -> Result<Position, Fault> {
        loop {
            let mut request = self.stamp_request(tags);
            let answers = self.topology.call(std::mem::take(&mut request.commands), deadline).await;
            match self.stamped(during, &request, answers)? {
                Ok(position) => return Ok(position),
                Err(why) => self.make_usable(why, deadline).await?,
            }
        }
    }

    /// Repairs the sequence after [`stamped`](Self::stamped) found it unusable, before another attempt.
    pub(crate) async fn make_usable(&self, why: Unusable, deadline: Instant) -> Result<(), Fault> {
        // The sequence was restarted meanwhile, and less is expected.
        if matches!(why, Unusable::Behind(sequence) if sequence >= self.bus.known.expected()) {
            return Ok(());
        }
        match self.repair(why, deadline).await? {
            Repaired::Clock => Ok(()),
            Repaired::Nothing => Err(Fault::refused("OOM command not allowed when used memory > 'maxmemory'.")),
        }
    }
}

//! Restarts the sequence where it is lost, damaged or has gone back.

use tokio::time::Instant;

use super::{Unusable, pair};
use crate::connection::{Command, Reply};
use crate::error::Fault;
use crate::health::{Operation, TroubleKind};
use crate::scripts;
use crate::sequence::{self, END, FAR, LEAP};
use crate::shared::Shared;

/// The result of the repair script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repaired {
    Clock,
    /// There is none, because Redis has no memory for one.
    Nothing,
}

impl Shared {
    /// Restarts the sequence, unless another process has done so.
    pub(crate) async fn repair(&self, why: Unusable, deadline: Instant) -> Result<Repaired, Fault> {
        let told = self.bus.known.told();
        let least = match why {
            Unusable::Missing => told,
            Unusable::Behind(sequence) => told.max((sequence + LEAP).min(END - 1)),
        };
        let keys = std::iter::once(self.names.sequence.clone()).chain(self.names.all_buckets()).collect();
        let own = [self.bus.author().into(), LEAP.to_string().into(), FAR.to_string().into()];
        let args = self.script_settings_for(least).into_iter().chain(own);
        let reply = self.topology.call_one(Command::script(&scripts::REPAIR, keys, args), deadline).await?;
        let (sequence, reason) = pair(reply).ok_or(Fault::Unexpected("the repair script"))?;
        if sequence == 0 {
            return Ok(Repaired::Nothing);
        }
        let sequence = sequence::number(&Reply::Number(sequence)).ok_or(Fault::Unexpected("the repair script"))?;
        if reason == 0 {
            self.bus.known.learn(sequence);
            return Ok(Repaired::Clock);
        }
        self.report_repaired(reason, sequence);
        self.bus.restart(sequence);
        Ok(Repaired::Clock)
    }

    fn report_repaired(&self, reason: i64, sequence: u64) {
        let (kind, message) = match reason {
            // A new prefix, or everything was flushed.
            1 => return,
            3 => (
                TroubleKind::WrongType,
                format!(
                    "the clock's key held something else; it was replaced by {sequence}, and all entries were dropped"
                ),
            ),
            4 => (
                TroubleKind::ClockWentBack,
                format!(
                    "the clock that was known here is far beyond the server's; it is {sequence} now, and all entries were dropped"
                ),
            ),
            _ => (
                TroubleKind::ClockWentBack,
                format!(
                    "the server has lost invalidations that are known here; the clock was pushed forward, to {sequence}, and all \
                     entries were dropped"
                ),
            ),
        };
        self.monitor.trouble(Operation::Heartbeat, kind, message);
    }
}

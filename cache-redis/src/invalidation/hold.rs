//! Places and renews holds.

use bytes::Bytes;
use cache_core::backend::TagId;
use tokio::time::Instant;

use super::repair::Repaired;
use super::{Unusable, pair};
use crate::connection::Command;
use crate::error::Fault;
use crate::keys::{HOLDS, field};
use crate::scripts;
use crate::shared::Shared;

impl Shared {
    /// Places a hold on these tags, or renews it. Returns whether it was there. At most as many tags as go into one script.
    pub(crate) async fn place_hold(
        &self,
        token: &Bytes,
        tags: &[TagId],
        milliseconds: u64,
        deadline: Instant,
    ) -> Result<bool, Fault> {
        loop {
            let expected = self.bus.known.expected();
            let held: Bytes = tags.iter().flat_map(|tag| tag.0.to_le_bytes()).collect();
            let own = [self.bus.author().into(), token.clone(), milliseconds.to_string().into(), field(HOLDS), held];
            let args = self.script_settings().into_iter().chain(own);
            let command = Command::script(&scripts::HOLD, self.sequence_and_buckets(&[HOLDS]), args);
            let reply = self.topology.call_one(command, deadline).await?;
            let (number, found) = pair(reply).ok_or(Fault::Unexpected("the hold script"))?;
            let Ok(number) = u64::try_from(number) else {
                match self.repair(Unusable::refused(found), deadline).await? {
                    Repaired::Clock => continue,
                    Repaired::Nothing => {
                        return Err(Fault::refused("OOM command not allowed when used memory > 'maxmemory'."));
                    }
                }
            };
            if number <= expected && number <= self.bus.known.expected() {
                // This number was given out before, by a server that has lost it. The repair drops the hold too.
                self.repair(Unusable::Behind(number), deadline).await?;
                continue;
            }
            self.bus.known.learn(number);
            self.bus.witness(number, &[HOLDS]);
            return Ok(found == 1);
        }
    }
}

//! Records what couldn't be recorded when it was invalidated.

use bytes::Bytes;
use cache_core::backend::TagId;
use tokio::time::{Instant, timeout_at};

use super::TAGS_PER_SCRIPT;
use crate::bus::NOBODY;
use crate::error::Fault;
use crate::shared::Shared;

impl Shared {
    /// Records all remembered invalidations, a script's worth after the other, so that progress counts.
    ///
    /// Under nobody's name: whoever shares this handle hears of them as everybody else does.
    pub(crate) async fn record_remembered(&self, deadline: Instant) -> Result<(), Fault> {
        if !self.remembered.any() {
            return Ok(());
        }
        let recording = timeout_at(deadline, self.remembered.recording.lock()).await;
        let _recording = recording.map_err(|_| Fault::TimedOut(Some(self.topology.name().clone())))?;
        loop {
            let some = self.remembered.some(TAGS_PER_SCRIPT);
            if some.is_empty() {
                return Ok(());
            }
            let tags: Vec<TagId> = some.iter().map(|(tag, _)| *tag).collect();
            self.invalidate(&tags, &Bytes::from_static(NOBODY), &[], deadline).await?;
            self.remembered.recorded(&some);
        }
    }
}

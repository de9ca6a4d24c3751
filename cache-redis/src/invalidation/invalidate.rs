//! Invalidates tags.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use cache_core::backend::TagId;
use futures_util::stream::{FuturesOrdered, StreamExt as _};
use tokio::time::Instant;

use super::repair::Repaired;
use super::{TAGS_PER_SCRIPT, Unusable, triple};
use crate::connection::{Command, Reply};
use crate::error::Fault;
use crate::health::Operation;
use crate::keys::{TAGS_PER_BUCKET, field};
use crate::scripts;
use crate::sequence;
use crate::shared::Shared;

/// The most scripts of one call under way at once: while one is executed, the next is on its way.
const UNDER_WAY: usize = 2;

/// How an invalidation was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Recorded {
    Once,
    /// Recorded, but a part may be executed again at any time, because a command wasn't answered.
    PerhapsAgain,
}

impl Shared {
    /// Invalidates the tags by one or more scripts. Returns the greatest number, up to which a process has to have heard to know
    /// of all of it. Each has its own timeout, so that progress counts; the first must be
    /// answered by the deadline.
    pub(crate) async fn invalidate(
        &self,
        tags: &[TagId],
        author: &Bytes,
        deadline: Instant,
    ) -> Result<(Recorded, u64), Fault> {
        let (progress, mut recorded, mut last) = (AtomicBool::new(false), Recorded::Once, 0);
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
                Some(part) => {
                    let (part, number) = part?;
                    (recorded, last) = (recorded.max(part), last.max(number));
                }
                None => return Ok((recorded, last)),
            }
        }
    }

    /// Sends a script, and once more if it wasn't answered in time although others were.
    async fn invalidate_part(
        &self,
        tags: &[TagId],
        author: &Bytes,
        deadline: Instant,
        progress: &AtomicBool,
    ) -> Result<(Recorded, u64), Fault> {
        let recorded = match self.invalidate_some(tags, author, deadline).await {
            Err(Fault::TimedOut(_)) if progress.load(Ordering::Relaxed) => {
                (Recorded::PerhapsAgain, self.invalidate_some(tags, author, self.deadline()).await?)
            }
            result => (Recorded::Once, result?),
        };
        progress.store(true, Ordering::Relaxed);
        Ok(recorded)
    }

    async fn invalidate_some(&self, tags: &[TagId], author: &Bytes, deadline: Instant) -> Result<u64, Fault> {
        let mut sequence_can_be_made = true;
        loop {
            let expected = self.bus.known.expected();
            let mut args: Vec<Bytes> = vec![
                self.told(),
                self.names.bus.clone().into(),
                author.clone(),
                TAGS_PER_BUCKET.to_string().into(),
                Bytes::from_static(if sequence_can_be_made { b"0" } else { b"1" }),
            ];
            args.extend(tags.iter().copied().map(field));
            let command = Command::script(&scripts::INVALIDATE, self.sequence_and_buckets(tags), args);
            let reply = self.topology.call_one(command, deadline).await?;
            let unexpected = || Fault::Unexpected("the invalidation script");
            let (number, replaced, instead) = triple(reply).ok_or_else(unexpected)?;
            let number = match u64::try_from(number) {
                Ok(number) => number,
                Err(_) => {
                    let why = Unusable::refused(replaced);
                    sequence_can_be_made = self.repair(why, deadline).await? == Repaired::Clock;
                    continue;
                }
            };
            self.report_replaced(Operation::Invalidate, replaced);
            if number > 0 && number <= expected && number <= self.bus.known.expected() {
                // This number was given out before, by a server that has lost it. The repair drops all entries.
                self.repair(Unusable::Behind(number), deadline).await?;
                return Ok(self.bus.known.told());
            }
            self.bus.known.learn(number);
            self.bus.witness(number, tags);
            // Out of memory there is no number: the sequence was deleted, and what comes after it is at least this.
            return if number == 0 {
                sequence::number(&Reply::Number(instead)).ok_or_else(unexpected)
            } else {
                Ok(number)
            };
        }
    }
}

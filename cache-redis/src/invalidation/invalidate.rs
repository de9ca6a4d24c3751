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
use crate::keys::field;
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

/// What one script invalidates.
struct Part<'a> {
    tags: &'a [TagId],
    author: &'a Bytes,
    /// Of the hold that ends with it; empty for none.
    token: Bytes,
}

impl Shared {
    /// Invalidates the tags by one or more scripts. Returns the greatest number, up to which a process has to have heard to know
    /// of all of it. `tokens` are those of holds that end with it, one for each script. Each has its own timeout, so that
    /// progress counts; the first must be
    /// answered by the deadline.
    pub(crate) async fn invalidate(
        &self,
        tags: &[TagId],
        author: &Bytes,
        tokens: &[Bytes],
        deadline: Instant,
    ) -> Result<(Recorded, u64), Fault> {
        let (progress, mut recorded, mut last) = (AtomicBool::new(false), Recorded::Once, 0);
        let token_of = |part: usize| tokens.get(part).cloned().unwrap_or_default();
        let part = |(part, tags)| Part { tags, author, token: token_of(part) };
        let (mut parts, mut under_way) = (tags.chunks(TAGS_PER_SCRIPT).enumerate().map(part), FuturesOrdered::new());
        under_way.extend(parts.next().map(|part| self.invalidate_part(part, deadline, &progress)));
        loop {
            if under_way.len() < UNDER_WAY
                && let Some(part) = parts.next()
            {
                under_way.push_back(self.invalidate_part(part, self.deadline(), &progress));
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
        part: Part<'_>,
        deadline: Instant,
        progress: &AtomicBool,
    ) -> Result<(Recorded, u64), Fault> {
        let recorded = match self.invalidate_some(&part, deadline).await {
            Err(Fault::TimedOut(_)) if progress.load(Ordering::Relaxed) => {
                (Recorded::PerhapsAgain, self.invalidate_some(&part, self.deadline()).await?)
            }
            result => (Recorded::Once, result?),
        };
        progress.store(true, Ordering::Relaxed);
        Ok(recorded)
    }

    async fn invalidate_some(&self, part: &Part<'_>, deadline: Instant) -> Result<u64, Fault> {
        let (tags, mut sequence_can_be_made) = (part.tags, true);
        loop {
            let expected = self.bus.known.expected();
            let cannot_be_made = Bytes::from_static(if sequence_can_be_made { b"0" } else { b"1" });
            let mut args = self.script_settings().to_vec();
            args.extend([part.author.clone(), cannot_be_made, part.token.clone()]);
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

//! Reads an entry, and judges whether it is live.

use std::sync::Arc;

use cache_core::backend::{EntryKey, HeldTag, Reading, Seen};
use tokio::time::Instant;

use super::read_batch;
use crate::entry;
use crate::error::Fault;
use crate::health::Operation;
use crate::invalidation_log::Judgement;
use crate::keys::{KeyHash, hash};
use crate::sequence::END;
use crate::shared::Shared;
use crate::topology::{Batch, Wanted};

/// One round trip: GET of the entry, GET of the sequence, and TIME. Tags that the log can't judge are asked for in a second
/// one. While the log is of no use, the tags that the key had last are asked for in the first.
pub(crate) async fn read(shared: &Arc<Shared>, key: &EntryKey) -> Result<Reading, Fault> {
    let (hash, deadline) = (hash(key), shared.deadline());
    if shared.remembered.any() {
        // What this process has invalidated is recorded before it reads again.
        let work = move |shared: Arc<Shared>| async move { shared.record_remembered(deadline).await };
        shared.run(Operation::Invalidate, work).await?;
    }
    let tags = if shared.bus.is_informed() { None } else { shared.memo.get(hash) };
    let name = shared.names.entry(hash);
    let queue = shared.topology.reads(&name);
    let wanted = Wanted { entry: Some(name), tags: tags.map_or_else(Vec::new, |tags| tags.to_vec()) };
    let found = read_batch::read(shared, &queue, wanted, deadline).await?;
    let Some(blob) = found.entry else { return Ok(Reading { live: None, seen: Seen::default() }) };
    let seen = entry::seen(&blob);
    let live = match entry::decode(&blob, key, found.batch.time) {
        Some(live) if is_live(shared, hash, &live.entry.tags, &found.batch, deadline).await? => Some(live),
        _ => None,
    };
    Ok(Reading { live, seen })
}

/// Whether the entry is live: no tag was invalidated after the stamp that the entry holds for it.
async fn is_live(
    shared: &Arc<Shared>,
    hash: KeyHash,
    tags: &[HeldTag],
    batch: &Batch,
    deadline: Instant,
) -> Result<bool, Fault> {
    let newest = tags.iter().map(|held| held.stamp.0).max().unwrap_or(0);
    if newest >= END {
        return Ok(false);
    }
    let is_beyond = |batch: &Batch| batch.moment.is_some_and(|moment| moment.sequence < newest);
    let mut unknown = if is_beyond(batch) {
        // It was stored after the sequence had been read, or its stamp is from an order that was lost. Reading the sequence
        // again tells which.
        tags.to_vec()
    } else {
        let mut unknown = match shared.bus.judge(tags, batch.moment) {
            Judgement::Live => return Ok(true),
            Judgement::Dead => return Ok(false),
            Judgement::Ask(unknown) => unknown,
        };
        // Where the remembered tags were asked for in vain, they are asked for again.
        if !heed(shared, batch, &mut unknown) {
            return Ok(false);
        }
        if unknown.is_empty() {
            return Ok(true);
        }
        unknown
    };
    shared.memo.put(hash, tags);
    let wanted = Wanted { entry: None, tags: unknown.iter().map(|held| held.tag).collect() };
    let more = read_batch::read(shared, &shared.topology.reads(&shared.names.sequence), wanted, deadline).await?;
    if is_beyond(&more.batch) {
        shared.bus.suspect(newest);
        return Ok(false);
    }
    Ok(heed(shared, &more.batch, &mut unknown) && unknown.is_empty())
}

/// Removes the tags that the buckets have answered for. Returns whether none of them was invalidated after its stamp; a tag
/// whose record was lost counts as invalidated.
fn heed(shared: &Shared, batch: &Batch, unknown: &mut Vec<HeldTag>) -> bool {
    let (mut known, mut allowed) = (Vec::new(), !batch.went_back);
    unknown.retain(|held| match batch.invalidated.last(held.tag) {
        Ok(last) => {
            known.extend(last.map(|last| (held.tag, last)));
            allowed &= last.is_some_and(|last| last <= held.stamp.0);
            false
        }
        Err(_) => true,
    });
    if let Some(moment) = batch.moment.filter(|_| !known.is_empty()) {
        shared.bus.remember(moment, known);
    }
    allowed
}

//! Reading entries. Models `operations/read.rs` and `read_batch.rs` of this crate, without encoding and batching. The real
//! [`InvalidationLog`](crate::invalidation_log) decides whether an entry is live, as far as it can tell.

use std::collections::BTreeMap;
use std::rc::Rc;

use cache_core::backend::{HeldTag, TagId};

use super::application::{Key, buckets_of};
use super::invalidation::flush;
use super::mistakes::Mistake;
use super::order::stamp;
use super::process::Process;
use super::server::{Command, Reply, Stored};
use super::world::{Unavailable, World};
use crate::invalidation_log::{Judgement, Moment};
use crate::keys::bucket_index;
use crate::sequence::END;

/// The result of reading a key.
pub(super) struct Reading {
    /// The entry, if it is live.
    pub(super) live: Option<Rc<Stored>>,
    /// The id of the stored entry, live or not; 0 if there is none.
    pub(super) seen: u64,
}

/// The result of one round trip.
#[derive(Default)]
struct Batch {
    entry: Option<Rc<Stored>>,
    /// The sequence and how it was read; `None` if it is lost or went back.
    moment: Option<Moment>,
    went_back: bool,
    /// The last invalidation of each tag that was asked for; `None` if its bucket is lost.
    said: BTreeMap<TagId, Option<u64>>,
    /// The earliest end of a hold is over, or the holds are lost.
    is_to_settle: bool,
}

pub(super) async fn read(world: &Rc<World>, p: &Rc<Process>, key: Key) -> Result<Reading, Unavailable> {
    if !world.has(Mistake::RememberedAfterTheRead) {
        flush(world, p).await?;
    }
    let asked = if p.bus.is_informed() { Vec::new() } else { p.memo.borrow().get(&key).cloned().unwrap_or_default() };
    let mut batch = look(world, p, Some(key), &asked).await?;
    if world.has(Mistake::RememberedAfterTheRead) {
        let _ = flush(world, p).await;
    }
    if batch.is_to_settle && !world.has(Mistake::ReadsDontSettle) {
        // A hold has ended, or the set is lost: what that invalidates has to be known before anything is judged.
        stamp(world, p, &[]).await?;
        batch = look(world, p, Some(key), &asked).await?;
        if batch.is_to_settle {
            return Err(Unavailable);
        }
    }
    let Some(entry) = batch.entry.take() else { return Ok(Reading { live: None, seen: 0 }) };
    let seen = entry.id;
    let live = is_live(world, p, key, &entry.tags, &batch).await?;
    Ok(Reading { live: live.then_some(entry), seen })
}

/// One round trip: the sequence, then the buckets. In a cluster the entry may be on another server, so it is read at any
/// point in between.
async fn look(world: &Rc<World>, p: &Rc<Process>, entry: Option<Key>, tags: &[TagId]) -> Result<Batch, Unavailable> {
    // Taken before the sequence is read: a sequence behind this has gone back.
    let least = p.bus.known.expected();
    let (by, _) = p.connection(world);
    let mut commands = vec![Command::GetSequence];
    commands.extend(
        buckets_of(tags)
            .into_iter()
            .map(|bucket| Command::GetTags(tags.iter().copied().filter(|tag| bucket_index(*tag) == bucket).collect())),
    );
    if world.has(Mistake::BucketsBeforeTheSequence) {
        commands.rotate_left(1);
    }
    if entry.is_some() {
        // The rest of a read was begun by one that has looked at the holds.
        let place = if world.has(Mistake::EndsAfterTheSequence) { commands.len() } else { 0 };
        commands.insert(place, Command::GetHolds);
    }
    if let Some(key) = entry {
        let place = commands.len() - world.choose("entry: read last, before", commands.len() + 1);
        commands.insert(place, Command::GetEntry(key));
    }
    commands.extend(entry.map(|_| Command::GetTime));
    let mut batch = Batch::default();
    let (mut sequence, mut earliest) = (None, None);
    for reply in world.send(p, commands).await? {
        match reply {
            Reply::Sequence(found) => sequence = found.filter(|sequence| (1..END).contains(sequence)),
            Reply::Tags(said) => batch.said.extend(said),
            Reply::Entry(found) => batch.entry = found,
            Reply::Earliest(found) => earliest = found,
            Reply::Time(time) => batch.is_to_settle = earliest.is_none_or(|earliest| earliest <= time),
            _ => return Err(Unavailable),
        }
    }
    batch.went_back =
        sequence.is_some_and(|sequence| sequence < least) && !world.has(Mistake::SequenceThatWentBackCounts);
    if batch.went_back {
        p.bus.due.notify_one();
    }
    batch.moment = sequence.filter(|_| !batch.went_back).map(|sequence| {
        p.bus.known.learn(sequence);
        Moment { sequence, by }
    });
    Ok(batch)
}

/// Whether every tag's last invalidation is no newer than the stamp that the entry holds for it.
async fn is_live(
    world: &Rc<World>,
    p: &Rc<Process>,
    key: Key,
    tags: &[HeldTag],
    batch: &Batch,
) -> Result<bool, Unavailable> {
    let newest = tags.iter().map(|held| held.stamp.0).max().unwrap_or(0);
    let is_beyond = |batch: &Batch| {
        let is_behind = batch.moment.is_some_and(|moment| moment.sequence < newest);
        is_behind && !world.has(Mistake::EntriesMayBeAhead)
    };
    if newest >= END {
        return Ok(false);
    }
    let mut unknown = if is_beyond(batch) {
        tags.to_vec()
    } else {
        let moment = match batch.moment {
            Some(moment) if world.has(Mistake::LogIgnoresTheSequence) => Some(Moment { sequence: 0, ..moment }),
            moment => moment,
        };
        let mut unknown = match p.bus.judge(tags, moment) {
            Judgement::Live => return Ok(count(world, "judged live by the log", true)),
            Judgement::Dead => return Ok(count(world, "judged dead by the log", false)),
            Judgement::Ask(unknown) => unknown,
        };
        if !heed(world, p, batch, &mut unknown) {
            return Ok(count(world, "judged dead by the buckets", false));
        }
        unknown
    };
    if unknown.is_empty() {
        return Ok(count(world, "judged live by the buckets", true));
    }
    p.memo.borrow_mut().insert(key, tags.iter().map(|held| held.tag).collect());
    let more = look(world, p, None, &unknown.iter().map(|held| held.tag).collect::<Vec<_>>()).await?;
    if is_beyond(&more) {
        p.bus.suspect(newest);
        return Ok(false);
    }
    let live = heed(world, p, &more, &mut unknown) && unknown.is_empty();
    Ok(count(world, if live { "judged live by the buckets" } else { "judged dead by the buckets" }, live))
}

fn count(world: &World, what: &'static str, live: bool) -> bool {
    world.checks.borrow_mut().count(what);
    live
}

/// Removes the tags that the buckets answered for. Returns whether none of these was invalidated after its stamp.
fn heed(world: &World, p: &Process, batch: &Batch, unknown: &mut Vec<HeldTag>) -> bool {
    let (mut known, mut allowed) = (Vec::new(), !batch.went_back);
    let or_never = world.has(Mistake::LostBucketCountsAsEmpty);
    unknown.retain(|held| {
        let Some(last) = batch.said.get(&held.tag) else { return true };
        known.extend(last.map(|last| (held.tag, last)));
        allowed &= last.map_or(or_never, |last| last <= held.stamp.0);
        false
    });
    if let Some(moment) = batch.moment.filter(|_| !known.is_empty()) {
        let late = Moment { sequence: p.bus.known.told(), ..moment };
        p.bus.remember(if world.has(Mistake::FactsCountFromTheAnswer) { late } else { moment }, known);
    }
    allowed
}

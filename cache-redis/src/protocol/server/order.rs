//! The invalidation order: the sequence, and the tag buckets.
//!
//! Where a number is expected, anyone may have written anything. [`DAMAGED`] stands for what is no number.

use std::collections::BTreeMap;

use cache_core::backend::TagId;

use super::{OutOfMemory, Published, Redis, Reply};
use crate::keys::bucket_index;
use crate::protocol::mistakes::Mistake;
use crate::sequence::{END, FAR, LEAP};

/// Text that is no number of the order. So is every number from `END` on.
pub(crate) const DAMAGED: u64 = u64::MAX;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bucket {
    pub(crate) floor: Option<u64>,
    pub(crate) stamps: BTreeMap<TagId, u64>,
}

/// The reasons for a repair, as `repair.lua` tells them.
const LOST: i64 = 1;
const BEHIND: i64 = 2;
const BROKEN: i64 = 3;
const TOO_FAR: i64 = 4;

fn number(value: u64) -> Option<u64> {
    (1..END).contains(&value).then_some(value)
}

impl Redis {
    /// The tag's last invalidation, as a read of its bucket tells it.
    pub(crate) fn last(&self, tag: TagId) -> Option<u64> {
        let bucket = self.buckets.get(&bucket_index(tag))?;
        let floor = number(bucket.floor?)?;
        bucket.stamps.get(&tag).map_or(Some(floor), |stamp| Some(number(*stamp)?.max(floor)))
    }

    /// `clock` in `clock.lua`.
    fn usable_sequence(&self) -> Option<u64> {
        self.sequence.and_then(number).filter(|now| *now < END - 1)
    }

    /// `clock_for_caller` in `clock.lua`.
    pub(super) fn clock_for_caller(&self, told: u64) -> Option<u64> {
        let any = self.has(Mistake::SequenceThatWentBackCounts);
        self.usable_sequence().filter(|now| any || *now >= number(told).unwrap_or(0))
    }

    /// With the sequence that was found.
    pub(super) fn refusal(&self) -> Reply {
        Reply::Pair(-1, self.usable_sequence().unwrap_or(0) as i64)
    }

    /// `stamp.lua`
    pub(super) fn stamp(&mut self, told: u64, tags: &[TagId]) -> Result<Reply, OutOfMemory> {
        let Some(now) = self.clock_for_caller(told) else { return Ok(self.refusal()) };
        let settles = self.is_to_settle();
        let settled = self.settle(now, "-");
        let now = if self.has(Mistake::SettlesAfterTheSequence) { now } else { settled };
        let (floor, keeps) = (self.new_floor(now), self.has(Mistake::DamagedRecordsStay));
        let is_sound = |field: Option<u64>| field.is_none_or(|field| field <= now || keeps);
        let (mut replaced, mut has_written) = (0, settles);
        for tag in tags {
            let bucket = self.buckets.entry(bucket_index(*tag)).or_default();
            if bucket.floor.is_none() || !is_sound(bucket.floor) {
                replaced += i64::from(bucket.floor.is_some());
                // Succeeds even if Redis is out of memory, because the script deletes the bucket first.
                *bucket = Bucket { floor: Some(floor), stamps: BTreeMap::new() };
                has_written = true;
            } else if !is_sound(bucket.stamps.get(tag).copied()) {
                if self.out_of_memory && !has_written {
                    return Err(OutOfMemory);
                }
                bucket.stamps.insert(*tag, now);
                (replaced, has_written) = (replaced + 1, true);
            }
        }
        Ok(Reply::Pair(now as i64, replaced))
    }

    fn new_floor(&self, now: u64) -> u64 {
        if self.has(Mistake::LostBucketStartsEmpty) { 1 } else { now }
    }

    /// `invalidate.lua`
    pub(super) fn invalidate(
        &mut self,
        told: u64,
        author: &str,
        no_sequence: bool,
        tags: &[TagId],
        end_of: Option<u64>,
    ) -> Reply {
        let Some(before) = self.clock_for_caller(told) else {
            return if no_sequence { self.forget(author, tags) } else { self.refusal() };
        };
        // Out of memory, a script that has written something goes on.
        let mut has_written = self.is_to_settle();
        self.settle(before, author);
        if let Some(token) = end_of {
            self.holds.get_or_insert_default().remove(&token);
            self.held.remove(&token);
            has_written = true;
        }
        if self.out_of_memory && !has_written {
            return self.forget(author, tags);
        }
        let (now, damaged) = self.record(self.sequence.unwrap_or(before), author, tags);
        Reply::Pair(now as i64, damaged)
    }

    /// One numbered invalidation, after this number. Returns its own, and how many damaged buckets were deleted.
    pub(super) fn record(&mut self, before: u64, author: &str, tags: &[TagId]) -> (u64, i64) {
        let now = before + 1;
        self.sequence = Some(now);
        let mark = if self.has(Mistake::MarksWithTheOldSequence) { before } else { now };
        let (most, keeps_the_floor) = (self.tags_per_bucket, self.has(Mistake::TrimKeepsTheFloor));
        let mut damaged = 0;
        for tag in tags {
            let Some(bucket) = self.buckets.get_mut(&bucket_index(*tag)) else { continue };
            let Some(floor) = bucket.floor else { continue };
            let mut is_sound = floor <= now;
            if is_sound {
                bucket.stamps.insert(*tag, mark);
                is_sound = bucket.stamps.len() < most || bucket.trim(now, most, keeps_the_floor);
            }
            if !is_sound {
                self.buckets.remove(&bucket_index(*tag));
                damaged += 1;
            }
        }
        self.publish(author, now, tags);
        (now, damaged)
    }

    /// Out of memory: kills more than was asked for.
    fn forget(&mut self, author: &str, tags: &[TagId]) -> Reply {
        self.sequence = None;
        for tag in tags {
            self.buckets.remove(&bucket_index(*tag));
        }
        self.publish(author, 0, tags);
        Reply::Pair(0, 0)
    }

    fn publish(&mut self, author: &str, number: u64, tags: &[TagId]) {
        let mut message = format!("{author} {number} ").into_bytes();
        message.extend(tags.iter().flat_map(|tag| tag.0.to_le_bytes()));
        self.published.push(Published::Bus(message));
    }

    /// `repair.lua`
    pub(super) fn repair(&mut self, least: u64, author: &str) -> Reply {
        let (now, time, least) = (self.usable_sequence(), self.time, number(least).unwrap_or(0));
        if let Some(now) = now.filter(|now| *now >= least) {
            return Reply::Pair(now as i64, 0);
        }
        let mut why = match now {
            Some(_) => BEHIND,
            None if self.sequence.is_some() => BROKEN,
            None => LOST,
        };
        let mut base = now.unwrap_or(0);
        if least <= base.max(time) + FAR {
            base = base.max(least);
        } else if now.is_some() {
            why = TOO_FAR;
        }
        let mut fresh = base + LEAP;
        if time < END && (time > fresh || fresh >= END) {
            fresh = time;
        } else if fresh >= END {
            fresh = LEAP;
        }
        if self.out_of_memory {
            if now.is_none() {
                return Reply::Pair(0, why);
            }
            fresh = 0;
        }
        // The server has lost writes, perhaps holds too. A sequence that is only missing says nothing of holds.
        let keeps = self.has(Mistake::RepairKeepsTheHolds) || self.has(Mistake::RepairKeepsTheBuckets);
        if why != LOST && !keeps {
            self.holds = None;
            self.held.clear();
        }
        self.sequence = Some(fresh).filter(|fresh| *fresh > 0);
        // Then the buckets have everything that was invalidated.
        let only_the_sequence_is_lost = why == LOST && least > 0 && fresh == time && time > least + LEAP;
        if !only_the_sequence_is_lost && !self.has(Mistake::RepairKeepsTheBuckets) {
            self.buckets.clear();
        }
        self.publish(author, fresh, &[]);
        let settled = if fresh > 0 { self.settle(fresh, author) } else { 0 };
        Reply::Pair(settled as i64, why)
    }
}

impl Bucket {
    /// Drops the older half and raises the floor to its newest stamp. `false` if the bucket is damaged or far too full.
    fn trim(&mut self, now: u64, most: usize, keeps_the_floor: bool) -> bool {
        let Some(floor) = self.floor.filter(|floor| *floor <= now) else { return false };
        if self.stamps.len() + 1 > 2 * most || self.stamps.values().any(|stamp| *stamp > now) {
            return false;
        }
        let mut stamps: Vec<u64> = self.stamps.values().copied().collect();
        stamps.sort_unstable();
        let middle = stamps.get(stamps.len().div_ceil(2) - 1).copied().unwrap_or(0);
        let floor = middle.max(floor);
        self.stamps.retain(|_, stamp| *stamp > floor);
        if !keeps_the_floor {
            self.floor = Some(floor);
        }
        true
    }
}

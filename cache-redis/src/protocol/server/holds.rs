//! Holds: invalidations that are promised in advance.
//!
//! A sorted set has the end of each hold and a *sentinel*, so that a lost set can be told from an empty one; a hash has the tags.

use std::collections::BTreeMap;

use cache_core::backend::TagId;

use super::{OutOfMemory, Redis, Reply, TICK};
use crate::keys::HOLDS;
use crate::protocol::application::Tag;
use crate::protocol::mistakes::Mistake;

/// The longest life of a hold, in microseconds.
pub(crate) const LONGEST: u64 = 30 * TICK;
/// The hold on everything that a lost set comes back with.
pub(crate) const LOST: u64 = 0;
/// The author of what scripts settle.
const NOBODY: &str = "-";

impl Redis {
    /// `settle` in `clock.lua`: what has ended is invalidated. Returns the sequence.
    pub(super) fn settle(&mut self, mut now: u64, sender: &str) -> u64 {
        let everything = [Tag::Everything.id()];
        let settler = if self.has(Mistake::SettledUnderOwnName) { sender } else { NOBODY };
        if self.holds.is_none() {
            self.held.clear();
            self.holds = Some(BTreeMap::new());
            if !self.has(Mistake::LostHoldsCountAsNone) {
                self.holds.get_or_insert_default().insert(LOST, self.time + LONGEST);
                if !self.has(Mistake::LostHoldsInvalidateLate) {
                    now = self.record(now, settler, &everything).0;
                }
            }
        }
        let (time, beyond_is_over) = (self.time, self.has(Mistake::EndsBeyondAreOver));
        let holds = self.holds.get_or_insert_default();
        for end in holds.values_mut().filter(|end| **end > time + LONGEST) {
            *end = if beyond_is_over { time } else { time + LONGEST };
        }
        let over: Vec<u64> = holds.iter().filter(|(_, end)| **end <= time).map(|(token, _)| *token).collect();
        for token in over {
            self.holds.get_or_insert_default().remove(&token);
            match self.held.remove(&token) {
                Some(tags) => now = self.record(now, settler, &tags).0,
                None if self.has(Mistake::LostTagsInvalidateNothing) => {}
                None => now = self.record(now, settler, &everything).0,
            }
        }
        now
    }

    /// `hold.lua`
    pub(super) fn hold(
        &mut self,
        (told, author): (u64, &str),
        token: u64,
        duration: u64,
        tags: &[TagId],
        renews: bool,
    ) -> Result<Reply, OutOfMemory> {
        let Some(now) = self.clock_for_caller(told) else { return Ok(self.refusal()) };
        let may_write = self.is_to_settle() || self.write().is_ok();
        let now = self.settle(now, author);
        let was_there = self.holds.as_ref().is_some_and(|holds| holds.contains_key(&token));
        if was_there || !(renews && self.has(Mistake::RenewalsDontReplace)) {
            if !may_write {
                return Err(OutOfMemory);
            }
            let end = self.time + duration;
            self.holds.get_or_insert_default().insert(token, end);
            self.held.insert(token, tags.to_vec());
        }
        let numbered = !self.has(Mistake::HoldsAreNotNumbered);
        let now = if numbered { self.record(now, author, &[HOLDS]).0 } else { now };
        Ok(Reply::Pair(now as i64, i64::from(was_there)))
    }

    /// Whether [`settle`](Self::settle) writes anything.
    pub(super) fn is_to_settle(&self) -> bool {
        let is_due = |end: &u64| *end <= self.time || *end > self.time + LONGEST;
        self.holds.as_ref().is_none_or(|holds| holds.values().any(is_due))
    }

    /// The earliest end, as a read of the set tells it; `None` if the set is lost.
    pub(super) fn earliest_end(&self) -> Option<u64> {
        self.holds.as_ref().map(|holds| holds.values().copied().min().unwrap_or(u64::MAX))
    }
}

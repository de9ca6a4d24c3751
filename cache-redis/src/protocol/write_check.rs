//! What must become of writes (promise 9): once a hold has ended, however it did, whatever was committed while it lived is
//! demanded; from memory `MAX_STALENESS` later.
//!
//! When a hold ends is read off the server while it is there, as the server's time may be set. A hold that isn't there any more
//! should end as it was last seen, unless its write was done. A lost set should come back with a hold on everything, which covers
//! all that lived. Where a failover has lost a hold, nothing is demanded until a repair has noticed it.

use std::collections::BTreeMap;

use super::application::{LEAVES, Tag};
use super::server::{LONGEST, LOST, Redis, TICK};

#[derive(Default)]
struct Write {
    /// The hold that covers it: its own, or the one on everything.
    token: u64,
    /// When that should end, by the server's time; `None` before it was placed.
    ends: Option<u64>,
    /// When it was over, in model time.
    over: Option<u64>,
    /// A failover has lost it, and nobody has noticed yet.
    lost: bool,
    /// The data it has committed while its hold lived.
    committed: Vec<(usize, u64)>,
}

impl Write {
    fn lives(&self) -> bool {
        self.ends.is_some() && self.over.is_none()
    }
}

/// All writes of a schedule.
#[derive(Default)]
pub(super) struct WriteCheck {
    writes: BTreeMap<u64, Write>,
    /// When the server was looked at last.
    followed: u64,
}

impl WriteCheck {
    pub(super) fn begin(&mut self, token: u64) {
        self.writes.insert(token, Write { token, ..Write::default() });
    }

    /// The hold was placed or renewed.
    pub(super) fn placed(&mut self, token: u64, ends: u64) {
        if let Some(write) = self.writes.get_mut(&token) {
            (write.token, write.ends, write.over, write.lost) = (token, Some(ends), None, false);
        }
    }

    pub(super) fn committed(&mut self, token: u64, tag: Tag, data: [u64; LEAVES]) {
        let write = self.writes.get_mut(&token).filter(|write| write.lives());
        write.into_iter().for_each(|write| write.committed.extend(tag.data().map(|datum| (datum, data[datum]))));
    }

    /// The write is done, and its invalidation is recorded.
    pub(super) fn done(&mut self, token: u64, now: u64) {
        self.writes.get_mut(&token).filter(|write| write.lives()).into_iter().for_each(|write| write.over = Some(now));
    }

    /// The server's holds or its time may have changed.
    pub(super) fn follow(&mut self, redis: &Redis, now: u64) {
        for write in self.writes.values_mut().filter(|write| write.over.is_none()) {
            write.ends = redis.holds.as_ref().and_then(|holds| holds.get(&write.token)).copied().or(write.ends);
            if let Some(since) = write.ends.and_then(|ends| redis.time.checked_sub(ends)) {
                // At the latest when the server's time was set.
                write.over = Some(now.saturating_sub(since / TICK).max(self.followed));
            }
        }
        self.followed = now;
    }

    /// The set of holds should have come back, with a hold on everything.
    pub(super) fn restored(&mut self, redis: &Redis) {
        for write in self.writes.values_mut().filter(|write| write.lives() || write.lost) {
            (write.token, write.ends, write.lost) = (LOST, Some(redis.time + LONGEST), false);
            write.over = None;
        }
    }

    /// A replica has taken over: a hold that isn't there is lost.
    pub(super) fn failed_over(&mut self, redis: &Redis) {
        let is_there = |write: &Write| redis.holds.as_ref().is_some_and(|holds| holds.contains_key(&write.token));
        self.writes.values_mut().filter(|write| write.ends.is_some()).for_each(|write| write.lost = !is_there(write));
    }

    /// The least versions that must be returned by what begins now, if it may be this late.
    pub(super) fn required(&self, began: u64, late: u64, required: &mut [u64; LEAVES]) {
        let ended = self.writes.values().filter(|write| !write.lost);
        let ended = ended.filter(|write| write.over.is_some_and(|over| over + late < began));
        for (datum, version) in ended.flat_map(|write| &write.committed) {
            required[*datum] = required[*datum].max(*version);
        }
    }
}

const _: () = assert!(TICK == 1_000_000, "model time is in seconds");

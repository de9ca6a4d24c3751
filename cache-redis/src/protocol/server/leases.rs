//! The scripts on leases, including the store.

use std::rc::Rc;

use super::{Busy, OutOfMemory, Published, Redis, Reply, Stored};
use crate::keys::hash_text;
use crate::protocol::application::Key;
use crate::protocol::mistakes::Mistake;

/// A lease, as described in `held.lua`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lease {
    /// The token of the holder; `None` if it is free.
    pub(crate) holder: Option<u64>,
    /// The duration that the holder asked for, in microseconds; `None` if it can't be read.
    pub(crate) duration: Option<u64>,
    /// The token of a run that gave the lease up and still goes on.
    pub(crate) dead: Option<u64>,
    /// The run before the holder's has left nothing.
    pub(crate) unstored: bool,
    /// The holder will give it up once that run has ended.
    pub(crate) leaving: bool,
    /// The end is to be published, because somebody waits for it.
    pub(crate) awaited: bool,
    /// The server's time at which it expires; `None` for never.
    pub(crate) ends: Option<u64>,
}

impl Lease {
    /// The holder, and whether the end will be published.
    pub(super) fn held(&self) -> Option<(u64, bool)> {
        Some((self.holder?, self.awaited))
    }
}

impl Redis {
    /// `lease.lua`
    pub(super) fn lease(
        &mut self,
        key: Key,
        seen: u64,
        token: u64,
        duration: u64,
        takes_over: bool,
    ) -> Result<Reply, OutOfMemory> {
        let is_new = self.entries.get(&key).is_some_and(|entry| entry.id != seen);
        if is_new && !takes_over && !self.has(Mistake::LeaseIgnoresNewEntries) {
            return Ok(Reply::Number(0));
        }
        let before = self.leases.get(&key).cloned().unwrap_or_default();
        match before.holder {
            Some(holder) if holder == token => Ok(Reply::Number(if before.unstored { 3 } else { 1 })),
            Some(_) if takes_over => {
                self.wake(key, &before);
                self.take(key, token, duration, &Lease { unstored: false, ..before });
                Ok(Reply::Number(1))
            }
            Some(holder) if !self.has(Mistake::LeaseIsTakenAway) => Ok(self.busy(key, holder, duration)),
            _ => {
                self.write()?;
                self.take(key, token, duration, &before);
                Ok(Reply::Number(if before.unstored { 3 } else { 1 }))
            }
        }
    }

    fn busy(&mut self, key: Key, holder: u64, duration: u64) -> Reply {
        let (time, out_of_memory) = (self.time, self.out_of_memory);
        let lease = self.leases.entry(key).or_default();
        let longest = lease.duration.filter(|longest| (1..=10 * duration).contains(longest)).unwrap_or(duration);
        let left = lease.ends.map(|ends| ends - time).filter(|left| *left <= longest);
        if left.is_none() {
            lease.ends = Some(time + longest);
        }
        // If Redis is out of memory, only a script that has written before can write this.
        lease.awaited |= !out_of_memory || left.is_none();
        Reply::Busy(Busy { holder, remaining: left.unwrap_or(longest), follows_unstored: lease.unstored })
    }

    fn take(&mut self, key: Key, token: u64, duration: u64, before: &Lease) {
        let (ends, dead) = (Some(self.time + duration), before.dead.filter(|_| !self.has(Mistake::ThirdRunsBegin)));
        let (holder, duration, unstored) = (Some(token), Some(duration), before.unstored);
        self.leases.insert(key, Lease { holder, duration, dead, unstored, ends, ..Lease::default() });
    }

    /// `renew.lua`
    pub(super) fn renew(&mut self, key: Key, token: u64, duration: u64) -> i64 {
        let ends = self.time + duration;
        let Some(lease) = self.leases.get_mut(&key) else { return 0 };
        let is_dead = lease.dead == Some(token);
        if lease.holder == Some(token) || lease.holder.is_none() && is_dead {
            lease.ends = Some(ends);
            return 1;
        }
        i64::from(is_dead)
    }

    /// `give_up.lua`
    pub(super) fn give_up(&mut self, key: Key, token: u64) -> i64 {
        let out_of_memory = self.out_of_memory;
        let Some(lease) = self.leases.get_mut(&key).filter(|lease| lease.holder == Some(token)) else { return 0 };
        if lease.dead.is_some() && self.mistake != Some(Mistake::ThirdRunsBegin) {
            lease.leaving |= !out_of_memory;
        } else {
            self.let_go(key, Some(token), false);
        }
        1
    }

    /// `release.lua`
    pub(super) fn release(&mut self, key: Key, token: u64, unstored: bool) -> i64 {
        let (anyones, out_of_memory) = (self.has(Mistake::ReleasesAnyonesLease), self.out_of_memory);
        let unstored = unstored && !self.has(Mistake::FailuresAreNotTold);
        let Some(lease) = self.leases.get_mut(&key) else { return 0 };
        let (holder, dead) = (lease.holder, lease.dead);
        if holder == Some(token) || anyones && holder.is_some() {
            self.let_go(key, dead, unstored);
        } else if dead != Some(token) {
            return 0;
        } else if holder.is_none() && !lease.unstored {
            self.leases.remove(&key);
        } else if lease.leaving {
            self.let_go(key, holder, false);
        } else if !out_of_memory {
            lease.dead = None;
        }
        1
    }

    /// `store.lua`
    pub(super) fn store(&mut self, key: Key, token: u64, entry: &Rc<Stored>) -> Result<i64, OutOfMemory> {
        let held = self.leases.get(&key).filter(|lease| lease.holder == Some(token)).map(|lease| lease.dead);
        if held.is_none() && !self.has(Mistake::StoresWithoutTheLease) {
            return Ok(0);
        }
        let written = self.write();
        if written.is_ok() {
            self.entries.insert(key, Rc::clone(entry));
        }
        if let Some(dead) = held {
            self.let_go(key, dead, false);
        }
        written.map(|()| 1)
    }

    /// `let_go` in `held.lua`: ends the holder's right and wakes the waiters. `dead` is the run that goes on; `unstored` says
    /// that the holder's run has left nothing.
    fn let_go(&mut self, key: Key, dead: Option<u64>, unstored: bool) {
        let Some(before) = self.leases.get(&key).cloned() else { return };
        self.wake(key, &before);
        if let Some(duration) = before.duration.filter(|_| dead.is_some() || unstored) {
            let ends = Some(self.time + duration);
            self.leases.insert(key, Lease { duration: before.duration, dead, unstored, ends, ..Lease::default() });
        }
    }

    /// `wake` in `held.lua`
    fn wake(&mut self, key: Key, before: &Lease) {
        self.leases.remove(&key);
        if before.awaited && !self.has(Mistake::NobodyIsWoken) {
            self.published.push(Published::Wake(hash_text(key.hash()).to_vec()));
        }
    }
}

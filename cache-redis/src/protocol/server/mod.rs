//! The Redis server. Each command and script is one atomic step.
//!
//! The scripts are transcribed from `scripts/*.lua`, and [`agreement`](super::agreement) compares them with the real scripts on
//! a real server. Simplifications: tokens are numbers, entries aren't encoded and don't expire, and every key has the right
//! type.

mod command;
mod holds;
mod leases;
mod order;

use std::collections::BTreeMap;
use std::rc::Rc;

use cache_core::backend::TagId;

pub(super) use command::{Busy, Command, Published, Reply, Stored};
pub(super) use holds::{LONGEST, LOST};
pub(super) use leases::Lease;
pub(super) use order::{Bucket, DAMAGED};

use super::application::Key;
use super::mistakes::Mistake;

/// The duration of a command in microseconds. The server's time moves faster than the sequence, as in reality.
pub(super) const COMMAND_TAKES: u64 = 10;
/// One tick of model time in microseconds.
pub(super) const TICK: u64 = 1_000_000;

/// When each hold ends, by its token; `None` if the set with the sentinel is lost.
pub(super) type Holds = Option<BTreeMap<u64, u64>>;
/// The tags of each hold.
pub(super) type HeldTags = BTreeMap<u64, Vec<TagId>>;

#[derive(Clone, Debug, Default)]
pub(super) struct Redis {
    pub(super) sequence: Option<u64>,
    pub(super) buckets: BTreeMap<usize, Bucket>,
    pub(super) entries: BTreeMap<Key, Rc<Stored>>,
    pub(super) leases: BTreeMap<Key, Lease>,
    pub(super) holds: Holds,
    pub(super) held: HeldTags,
    /// The server's time in microseconds.
    pub(super) time: u64,
    /// A bucket with more fields is trimmed.
    pub(super) tags_per_bucket: usize,
    pub(super) out_of_memory: bool,
    /// Not yet delivered to the network.
    pub(super) published: Vec<Published>,
    pub(super) mistake: Option<Mistake>,
}

/// A script's first write is refused. Redis lets a script that has already written something go on.
struct OutOfMemory;

impl Redis {
    pub(super) fn execute(&mut self, command: &Command) -> Reply {
        self.time += COMMAND_TAKES;
        let time = self.time;
        self.leases.retain(|_, lease| lease.ends.is_none_or(|ends| ends > time));
        self.try_execute(command).unwrap_or(Reply::OutOfMemory)
    }

    fn try_execute(&mut self, command: &Command) -> Result<Reply, OutOfMemory> {
        let number = match command {
            Command::GetSequence => return Ok(Reply::Sequence(self.sequence)),
            Command::GetTags(tags) => return Ok(Reply::Tags(tags.iter().map(|tag| (*tag, self.last(*tag))).collect())),
            Command::GetEntry(key) => return Ok(Reply::Entry(self.entries.get(key).cloned())),
            Command::GetLease(key) => return Ok(Reply::Holder(self.leases.get(key).and_then(Lease::held))),
            Command::Stamp { told, tags } => return self.stamp(*told, tags),
            Command::Invalidate { told, author, no_sequence, tags, end_of, .. } => {
                return Ok(self.invalidate(*told, author, *no_sequence, tags, *end_of));
            }
            Command::Hold { told, author, token, duration, tags, renews } => {
                return self.hold((*told, author), *token, *duration, tags, *renews);
            }
            Command::GetHolds => return Ok(Reply::Earliest(self.earliest_end())),
            Command::GetTime => return Ok(Reply::Time(self.time)),
            Command::Repair { least, author } => return Ok(self.repair(*least, author)),
            Command::Lease { key, seen, token, duration, takes_over } => {
                return self.lease(*key, *seen, *token, *duration, *takes_over);
            }
            Command::Renew { key, token, duration } => self.renew(*key, *token, *duration),
            Command::GiveUp { key, token } => self.give_up(*key, *token),
            Command::Release { key, token, unstored } => self.release(*key, *token, *unstored),
            Command::Store { key, token, entry } => self.store(*key, *token, entry)?,
            Command::Publish(message) => {
                self.published.push(Published::Bus(message.clone()));
                1
            }
        };
        Ok(Reply::Number(number))
    }

    fn has(&self, mistake: Mistake) -> bool {
        self.mistake == Some(mistake)
    }

    fn write(&self) -> Result<(), OutOfMemory> {
        if self.out_of_memory { Err(OutOfMemory) } else { Ok(()) }
    }
}

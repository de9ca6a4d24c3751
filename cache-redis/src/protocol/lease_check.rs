//! Promise 2, as far as Redis decides it:
//!
//! - while a lease is held, nobody else is granted it unless by taking it over, and only its holder stores;
//! - a run that gave up its lease may go on beside one other run, not beside two;
//! - a holder that can reach Redis keeps its lease;
//! - a lease isn't granted to a caller that hasn't seen the newest entry.

use std::collections::{BTreeMap, BTreeSet};

use super::application::Key;
use super::checks::{Checks, Kind};
use super::server::{Command, Redis, Reply};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Right {
    Holds,
    /// Will give it up once the run that already did so has ended.
    Leaving,
    GivenUp,
}

/// A run with a lease or the mark of one, until it is released or expires.
#[derive(Debug)]
struct Run {
    token: u64,
    right: Right,
    ends: u64,
}

/// The leases as they should be, computed from commands and replies only.
#[derive(Debug, Default)]
pub(super) struct LeaseCheck {
    runs: BTreeMap<Key, Vec<Run>>,
    /// Runs whose leases were taken over.
    taken: BTreeSet<u64>,
    /// A fault, or an unfair schedule, may have cost a process its lease.
    disturbed: bool,
}

impl LeaseCheck {
    pub(super) fn disturb(&mut self) {
        self.disturbed = true;
    }

    /// A fault may have changed the leases in Redis.
    pub(super) fn reset_to(&mut self, redis: &Redis) {
        self.disturbed = true;
        self.runs.clear();
        for (key, lease) in &redis.leases {
            let right = if lease.leaving { Right::Leaving } else { Right::Holds };
            let ends = lease.ends.unwrap_or(u64::MAX);
            let runs = [(lease.holder, right), (lease.dead, Right::GivenUp)].into_iter();
            let runs = runs.filter_map(|(token, right)| Some(Run { token: token?, right, ends }));
            self.runs.insert(*key, runs.collect());
        }
    }

    /// Describes the violation, if this reply is one.
    pub(super) fn executed(&mut self, redis: &Redis, command: &Command, reply: &Reply) -> Option<String> {
        self.runs.values_mut().for_each(|runs| runs.retain(|run| run.ends > redis.time));
        if let (Command::Lease { key, .. }, Reply::Busy(busy)) = (command, reply) {
            // The script has shortened a lease that would stand for too long, as after the server's time was set back.
            let ends = redis.time + busy.remaining;
            self.run(*key, busy.holder).into_iter().for_each(|run| run.ends = run.ends.min(ends));
        }
        let done = matches!(reply, Reply::Number(1 | 3));
        match command {
            Command::Lease { key, seen, token, duration, takes_over } if done => {
                if *takes_over {
                    let taken = self.of(*key).extract_if(.., |run| run.right != Right::GivenUp);
                    let taken: Vec<_> = taken.map(|run| run.token).collect();
                    self.taken.extend(taken);
                }
                let is_new = redis.entries.get(key).is_some_and(|entry| entry.id != *seen);
                let wrong = self.is_granted(*key, *token, redis.time + duration);
                wrong.or_else(|| {
                    (is_new && !takes_over).then(|| format!("{key:?}: {token} is to run though there is a new entry"))
                })
            }
            Command::Renew { key, token, duration } if done => {
                // The holder and the mark of a run beside it are one key in Redis, which lives as long as the holder renews it.
                let is_beside = |run: &Run| run.token != *token && run.right != Right::GivenUp;
                if !self.of(*key).iter().any(is_beside) {
                    self.of(*key).iter_mut().for_each(|run| run.ends = redis.time + duration);
                }
                None
            }
            Command::GiveUp { key, token } if done => {
                let is_other = self.of(*key).iter().any(|run| run.right == Right::GivenUp);
                let right = if is_other { Right::Leaving } else { Right::GivenUp };
                self.run(*key, *token).into_iter().for_each(|run| run.right = right);
                None
            }
            Command::Release { key, token, .. } => {
                self.ends(*key, *token);
                None
            }
            Command::Store { key, token, .. } => {
                let held = self.run(*key, *token).is_some_and(|run| run.right != Right::GivenUp);
                if *reply == Reply::Number(0) {
                    let lost = !self.disturbed && !self.taken.contains(token);
                    return lost.then(|| format!("{key:?}: {token} has lost the lease for no reason"));
                }
                self.ends(*key, *token);
                (done && !held).then(|| format!("{key:?}: {token} stores without the lease"))
            }
            _ => None,
        }
    }

    fn of(&mut self, key: Key) -> &mut Vec<Run> {
        self.runs.entry(key).or_default()
    }

    fn run(&mut self, key: Key, token: u64) -> Option<&mut Run> {
        self.of(key).iter_mut().find(|run| run.token == token)
    }

    fn is_granted(&mut self, key: Key, token: u64, ends: u64) -> Option<String> {
        let disturbed = self.disturbed;
        let runs = self.of(key);
        runs.retain(|run| run.token != token);
        let holder = runs.iter().find(|run| run.right != Right::GivenUp).map(|run| run.token);
        let beside = runs.iter().filter(|run| run.right == Right::GivenUp).count();
        runs.push(Run { token, right: Right::Holds, ends });
        match holder {
            Some(holder) => Some(format!("{key:?}: {token} is granted what {holder} holds")),
            None if beside > 1 && !disturbed => Some(format!("{key:?}: {token} is the third run")),
            None => None,
        }
    }

    /// A run is over. Another one that waits for this gives up its lease now.
    fn ends(&mut self, key: Key, token: u64) {
        let runs = self.of(key);
        runs.retain(|run| run.token != token);
        let leaving = runs.iter_mut().find(|run| run.right == Right::Leaving);
        leaving.into_iter().for_each(|run| run.right = Right::GivenUp);
    }
}

impl Checks {
    pub(super) fn check_leases(&mut self, redis: &Redis, command: &Command, reply: &Reply) {
        if let Some(what) = self.leases.executed(redis, command, reply) {
            self.violated(Kind::LeaseBroken, || what);
        }
    }
}

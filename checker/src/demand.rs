//! What an answer must be at least.

use std::collections::VecDeque;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::truth::{Acknowledged, GROUP, ITEMS, Nanos, Truth, now};

/// How an answer was come by, and so what it has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    /// By a cache with memory: what this process has acknowledged, and what others had `max_staleness` ago.
    WithMemory,
    /// From Redis or by a run: everything.
    WithoutMemory,
}

/// What this process has seen others acknowledge, and when they did. Some of it may have been overwritten before it was
/// seen; then less is demanded, never too much.
pub(crate) struct Demands {
    own_column: usize,
    columns: usize,
    max_staleness: Nanos,
    /// Of each group, of each of its items' columns: the last one that is `max_staleness` old, then those that are not.
    seen: Vec<Mutex<Vec<VecDeque<Acknowledged>>>>,
}

impl Demands {
    pub(crate) fn new(own_column: usize, columns: usize, max_staleness: Duration) -> Self {
        let group = || Mutex::new(vec![VecDeque::from([Acknowledged::default()]); GROUP * columns]);
        Self {
            own_column,
            columns,
            max_staleness: u64::try_from(max_staleness.as_nanos()).unwrap_or(u64::MAX),
            seen: (0..ITEMS / GROUP).map(|_| group()).collect(),
        }
    }

    /// What a call that begins after this must know of the items of a group.
    pub(crate) fn of(&self, truth: &Truth, group: usize, reader: Reader) -> io::Result<Vec<Acknowledged>> {
        let old = now().saturating_sub(self.max_staleness);
        let acknowledged = truth.acknowledged(group * GROUP, GROUP)?;
        let mut seen = self.seen[group].lock().unwrap_or_else(PoisonError::into_inner);
        let demands = acknowledged.into_iter().zip(seen.iter_mut()).enumerate().map(|(index, (newest, seen))| {
            if seen.back().is_none_or(|last| last.version < newest.version) {
                seen.push_back(newest);
            }
            while seen.get(1).is_some_and(|next| next.at <= old) {
                seen.pop_front();
            }
            match reader {
                Reader::WithoutMemory => newest,
                Reader::WithMemory if index % self.columns == self.own_column => newest,
                Reader::WithMemory => seen.front().filter(|seen| seen.at <= old).copied().unwrap_or_default(),
            }
        });
        Ok(demands.collect())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn memory_may_be_behind_for_max_staleness() {
        let directory = tempfile::tempdir().unwrap();
        let truth = Truth::create(&directory.path().join("truth"), 2).unwrap();
        let hour = 3_600_000_000_000;
        let demands = Demands::new(0, 2, Duration::from_secs(3600));
        let of = |reader| -> Vec<u64> {
            demands.of(&truth, 0, reader).unwrap().iter().map(|demand| demand.version).collect()
        };
        let acknowledge = |column, version, at| truth.acknowledge(1, column, Acknowledged { version, at }).unwrap();
        acknowledge(0, 5, now());
        acknowledge(1, 6, now().saturating_sub(hour).max(1));
        let old_enough = now() > hour;
        assert_eq!(of(Reader::WithoutMemory)[2..4], [5, 6]);
        assert_eq!(of(Reader::WithMemory)[2..4], [5, if old_enough { 6 } else { 0 }]);
        acknowledge(1, 7, now());
        assert_eq!(of(Reader::WithoutMemory)[2..4], [5, 7]);
        assert_eq!(of(Reader::WithMemory)[2..4], [5, if old_enough { 6 } else { 0 }]);
    }
}

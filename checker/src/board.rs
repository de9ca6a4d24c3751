//! What the processes tell each other of the circumstances, in a file that they share: which fault is in force, when a
//! lease may have lost its owner, and how far each process is behind, as the machine has no time for it.

use std::io;
use std::path::Path;

use crate::records::Records;
use crate::truth::{Nanos, now};

/// The file. The parent writes of faults, and each worker how far it is behind.
pub(crate) struct Board {
    records: Records,
    columns: usize,
}

/// Where things stand at a moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notice {
    pub(crate) at: Nanos,
    /// The fault in force, by its number.
    pub(crate) fault: Option<usize>,
    /// The one before, with its end.
    pub(crate) last: Option<(usize, Nanos)>,
    /// When the last lease may have lost its owner.
    pub(crate) orphaned: Nanos,
    /// How much longer than its duration it may stand.
    pub(crate) prolonged: Nanos,
    /// By how much the processes are behind, all together.
    pub(crate) behind: Nanos,
    /// For how long a process could make no connection, all in all: it could give no lease back.
    pub(crate) cut_off: Nanos,
}

const IN_FORCE: usize = 0;
const LAST: usize = 1;
const ORPHANED: usize = 2;
const CUT_OFF: usize = 3;
const BEHIND: usize = 4;

impl Board {
    pub(crate) fn create(path: &Path, columns: usize) -> io::Result<Self> {
        Ok(Self { records: Records::create(path, BEHIND + columns)?, columns })
    }

    pub(crate) fn open(path: &Path, columns: usize) -> io::Result<Self> {
        Ok(Self { records: Records::open(path)?, columns })
    }

    pub(crate) fn begin(&self, fault: usize) -> io::Result<()> {
        self.records.write(IN_FORCE, [fault as u64 + 1, now()])
    }

    pub(crate) fn end(&self, fault: usize) -> io::Result<()> {
        self.records.write(LAST, [fault as u64 + 1, now()])?;
        self.records.write(IN_FORCE, [0, now()])
    }

    /// From now on a lease, of this duration at most, may be without its owner, who was killed.
    pub(crate) fn orphans(&self, lease: Nanos) -> io::Result<()> {
        let Notice { orphaned, prolonged, at, .. } = self.read()?;
        let ends = if orphaned == 0 { 0 } else { orphaned + lease + prolonged };
        self.records.write(ORPHANED, [at, ends.saturating_sub(at + lease)])
    }

    /// If a lease may be without its owner, it has no end now, or a later one. Whoever waits for it looks when it should
    /// have ended, and then it gets an end: so each time it may stand for another of its lives, unless nobody has looked since
    /// the last time.
    pub(crate) fn prolong_orphans(&self, lease: Nanos) -> io::Result<()> {
        let Notice { orphaned, prolonged, at, .. } = self.read()?;
        let ends = orphaned + lease + prolonged;
        let is_endless = prolonged >= lease && at + lease < ends;
        if orphaned == 0 || ends <= at || is_endless {
            return Ok(());
        }
        self.records.write(ORPHANED, [orphaned, prolonged + lease])
    }

    /// A process could make no connection for so much longer.
    pub(crate) fn was_cut_off(&self, time: Nanos) -> io::Result<()> {
        let before = self.records.read(CUT_OFF, 1)?[0][0];
        self.records.write(CUT_OFF, [before + time, 0])
    }

    /// A process is behind by so much more than it was.
    pub(crate) fn falls_behind(&self, column: usize, total: Nanos) -> io::Result<()> {
        self.records.write(BEHIND + column, [total, 0])
    }

    /// By how much a process is behind; its predecessors count.
    pub(crate) fn behind(&self, column: usize) -> io::Result<Nanos> {
        Ok(self.records.read(BEHIND + column, 1)?[0][0])
    }

    pub(crate) fn read(&self) -> io::Result<Notice> {
        let at = now();
        let records = self.records.read(0, BEHIND + self.columns)?;
        let number = |record: usize| usize::try_from(records[record][0]).unwrap_or(0).checked_sub(1);
        Ok(Notice {
            at,
            fault: number(IN_FORCE),
            last: number(LAST).map(|fault| (fault, records[LAST][1])),
            orphaned: records[ORPHANED][0],
            prolonged: records[ORPHANED][1],
            cut_off: records[CUT_OFF][0],
            behind: records[BEHIND..].iter().map(|record| record[0]).sum(),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    const LONG: Nanos = 5_000_000_000;

    #[test]
    fn a_lease_of_nobody_stands_for_another_life_each_time_it_is_prolonged() {
        let directory = tempfile::tempdir().unwrap();
        let board = Board::create(&directory.path().join("board"), 1).unwrap();
        let prolonged = || board.read().unwrap().prolonged;
        board.prolong_orphans(LONG).unwrap();
        assert_eq!(prolonged(), 0, "none is without its owner");
        board.orphans(LONG).unwrap();
        board.prolong_orphans(LONG).unwrap();
        board.prolong_orphans(LONG).unwrap();
        assert_eq!(prolonged(), LONG, "it is without an end already");
        // Whoever waits has looked, and given it its last life.
        board.records.write(ORPHANED, [now() - 3 * LONG / 2, LONG]).unwrap();
        board.prolong_orphans(LONG).unwrap();
        assert_eq!(prolonged(), 2 * LONG);
        board.records.write(ORPHANED, [now() - 4 * LONG, 2 * LONG]).unwrap();
        board.prolong_orphans(LONG).unwrap();
        assert_eq!(prolonged(), 2 * LONG, "it is over");
    }
}

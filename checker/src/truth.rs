//! What is true, in a file that all processes share.
//!
//! Each item has one column per process, which only that process writes: the *version* of the process's part of the
//! item, and what it *acknowledges*: the newest version whose invalidation has returned `Ok`, and when. So nothing is
//! locked, and what is read after it was written is at least as new, whichever process reads.
//!
//! An item's value is the versions of all its columns. An answer is stale if one of them is older than what had been
//! acknowledged before the call began.

use std::io;
use std::path::Path;

use rustix::time::{ClockId, clock_gettime};

use crate::records::Records;

/// How many items there are, and how many of them make a group.
pub(crate) const ITEMS: usize = 32;
pub(crate) const GROUP: usize = 4;
pub(crate) const GROUPS: usize = ITEMS / GROUP;

/// Nanoseconds of the clock that all processes of this machine share.
pub(crate) type Nanos = u64;

pub(crate) fn now() -> Nanos {
    let time = clock_gettime(ClockId::Monotonic);
    u64::try_from(time.tv_sec).unwrap_or_default() * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or_default()
}

/// What a column acknowledges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Acknowledged {
    pub(crate) version: u64,
    pub(crate) at: Nanos,
}

/// The file.
#[derive(Debug)]
pub(crate) struct Truth {
    records: Records,
    columns: usize,
}

impl Truth {
    pub(crate) fn create(path: &Path, columns: usize) -> io::Result<Self> {
        Ok(Self { records: Records::create(path, 2 * ITEMS * columns)?, columns })
    }

    pub(crate) fn open(path: &Path, columns: usize) -> io::Result<Self> {
        Ok(Self { records: Records::open(path)?, columns })
    }

    /// The current value of an item.
    pub(crate) fn value(&self, item: usize) -> io::Result<Vec<u64>> {
        Ok(self.records.read(item * self.columns, self.columns)?.into_iter().map(|[version, _]| version).collect())
    }

    pub(crate) fn set_version(&self, item: usize, column: usize, version: u64) -> io::Result<()> {
        self.records.write(item * self.columns + column, [version, 0])
    }

    /// What is acknowledged of some items: of each, all columns.
    pub(crate) fn acknowledged(&self, first: usize, items: usize) -> io::Result<Vec<Acknowledged>> {
        let records = self.records.read((ITEMS + first) * self.columns, items * self.columns)?;
        Ok(records.into_iter().map(|[version, at]| Acknowledged { version, at }).collect())
    }

    pub(crate) fn acknowledge(&self, item: usize, column: usize, what: Acknowledged) -> io::Result<()> {
        self.records.write((ITEMS + item) * self.columns + column, [what.version, what.at])
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn columns_are_kept_apart() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("truth");
        Truth::create(&path, 3).unwrap();
        let (one, two) = (Truth::open(&path, 3).unwrap(), Truth::open(&path, 3).unwrap());
        one.set_version(5, 1, 7).unwrap();
        two.set_version(5, 2, 8).unwrap();
        let acknowledged = Acknowledged { version: 7, at: now() };
        one.acknowledge(6, 1, acknowledged).unwrap();
        assert_eq!(two.value(5).unwrap(), [0, 7, 8]);
        assert_eq!(two.value(6).unwrap(), [0, 0, 0]);
        assert_eq!(two.acknowledged(5, 2).unwrap()[4], acknowledged);
        assert_eq!(two.acknowledged(5, 2).unwrap().iter().filter(|it| it.version > 0).count(), 1);
    }
}

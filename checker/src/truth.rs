//! What is true, in a file that all processes share.
//!
//! Each item has one column per process, which only that process writes: the *version* of the process's part of the
//! item, and what it *acknowledges*: the newest version whose invalidation has returned `Ok`, and when. So nothing is
//! locked, and what is read after it was written is at least as new, whichever process reads.
//!
//! An item's value is the versions of all its columns. An answer is stale if one of them is older than what had been
//! acknowledged before the call began.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::time::{ClockId, clock_gettime};

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
    file: File,
    columns: usize,
}

/// Two numbers and a check: a write isn't atomic for those who read meanwhile.
const RECORD: usize = 24;
const CHECK: u64 = 0x6C61_7264_6572;

impl Truth {
    pub(crate) fn create(path: &Path, columns: usize) -> io::Result<Self> {
        let truth = Self { file: File::create_new(path)?, columns };
        for record in 0..2 * ITEMS * columns {
            truth.write(record, [0, 0])?;
        }
        Ok(truth)
    }

    pub(crate) fn open(path: &Path, columns: usize) -> io::Result<Self> {
        Ok(Self { file: File::options().read(true).write(true).open(path)?, columns })
    }

    /// The current value of an item.
    pub(crate) fn value(&self, item: usize) -> io::Result<Vec<u64>> {
        Ok(self.read(item * self.columns, self.columns)?.into_iter().map(|[version, _]| version).collect())
    }

    pub(crate) fn set_version(&self, item: usize, column: usize, version: u64) -> io::Result<()> {
        self.write(item * self.columns + column, [version, 0])
    }

    /// What is acknowledged of some items: of each, all columns.
    pub(crate) fn acknowledged(&self, first: usize, items: usize) -> io::Result<Vec<Acknowledged>> {
        let records = self.read((ITEMS + first) * self.columns, items * self.columns)?;
        Ok(records.into_iter().map(|[version, at]| Acknowledged { version, at }).collect())
    }

    pub(crate) fn acknowledge(&self, item: usize, column: usize, what: Acknowledged) -> io::Result<()> {
        self.write((ITEMS + item) * self.columns + column, [what.version, what.at])
    }

    fn write(&self, record: usize, [a, b]: [u64; 2]) -> io::Result<()> {
        let numbers = [a, b, a.rotate_left(32) ^ b ^ CHECK].map(u64::to_le_bytes);
        self.file.write_all_at(numbers.as_flattened(), (record * RECORD) as u64)
    }

    fn read(&self, first: usize, count: usize) -> io::Result<Vec<[u64; 2]>> {
        let mut bytes = vec![0; count * RECORD];
        loop {
            self.file.read_exact_at(&mut bytes, (first * RECORD) as u64)?;
            let (words, _) = bytes.as_chunks::<8>();
            let (records, _) = words.as_chunks::<3>();
            let records = records.iter().map(|record| record.map(u64::from_le_bytes));
            let whole = records.map(|[a, b, check]| (check == a.rotate_left(32) ^ b ^ CHECK).then_some([a, b]));
            if let Some(records) = whole.collect() {
                return Ok(records);
            }
        }
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

//! Who ran what, and who invalidated what, from when to when: written down by each worker, so that the parent can see
//! afterwards whether two runs of a key overlapped without any cause.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::truth::{Nanos, now};

/// What a record is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum What {
    /// A run of a function, by its number.
    Run(Function),
    /// A run of a function that failed.
    Failure(Function),
    /// An invalidation of an item.
    Invalidation,
    /// An invalidation of all items.
    InvalidationOfAll,
    /// The machine had no time for the worker.
    Behind,
    /// Redis didn't answer the worker in time, or not at all.
    Unanswered,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Function {
    Item,
    Late,
    Fallible,
    Blocking,
    Group,
    Pair,
}

const FUNCTIONS: [Function; 6] =
    [Function::Item, Function::Late, Function::Fallible, Function::Blocking, Function::Group, Function::Pair];

/// A line of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) what: What,
    /// Of the item or group.
    pub(crate) id: usize,
    /// When the call came that has made the run. Of anything else, the same as `from`.
    pub(crate) asked: Nanos,
    pub(crate) from: Nanos,
    pub(crate) to: Nanos,
}

const BYTES: usize = 32;

impl Record {
    fn to_bytes(self) -> [[u8; 8]; 4] {
        let (kind, function) = match self.what {
            What::Run(function) => (0, function as u64),
            What::Failure(function) => (1, function as u64),
            What::Invalidation => (2, 0),
            What::InvalidationOfAll => (3, 0),
            What::Behind => (4, 0),
            What::Unanswered => (5, 0),
        };
        [kind | function << 8 | (self.id as u64) << 16, self.asked, self.from, self.to].map(u64::to_le_bytes)
    }

    fn from_bytes(bytes: &[[u8; 8]; 4]) -> Option<Self> {
        let [head, asked, from, to] = bytes.map(u64::from_le_bytes);
        let function = FUNCTIONS.get((head >> 8 & 0xff) as usize).copied()?;
        let what = match head & 0xff {
            0 => What::Run(function),
            1 => What::Failure(function),
            2 => What::Invalidation,
            3 => What::InvalidationOfAll,
            4 => What::Behind,
            5 => What::Unanswered,
            _ => return None,
        };
        Some(Self { what, id: (head >> 16) as usize, asked, from, to })
    }
}

static LOG: OnceLock<Log> = OnceLock::new();

struct Log {
    waiting: Mutex<Vec<Record>>,
    file: Mutex<File>,
}

/// Before anything runs.
pub(crate) fn set_up(path: &Path) -> io::Result<()> {
    let _ = LOG.set(Log { waiting: Mutex::default(), file: Mutex::new(File::create_new(path)?) });
    Ok(())
}

pub(crate) fn note(record: Record) {
    if let Some(log) = LOG.get() {
        log.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(record);
    }
}

/// Writes what was noted. What a killed worker hadn't written is lost; then less is found.
pub(crate) fn write() -> io::Result<()> {
    let Some(log) = LOG.get() else { return Ok(()) };
    let records = std::mem::take(&mut *log.waiting.lock().unwrap_or_else(PoisonError::into_inner));
    let bytes: Vec<_> = records.into_iter().flat_map(Record::to_bytes).collect();
    log.file.lock().unwrap_or_else(PoisonError::into_inner).write_all(bytes.as_flattened())
}

/// What a worker wrote, as far as it came.
pub(crate) fn read(path: &Path) -> io::Result<Vec<Record>> {
    let mut bytes = Vec::new();
    File::open(path)?.read_to_end(&mut bytes)?;
    let (words, _) = bytes.as_chunks::<8>();
    let (records, _) = words.as_chunks::<{ BYTES / 8 }>();
    Ok(records.iter().filter_map(Record::from_bytes).collect())
}

/// Something that is noted at its end, however it ends.
pub(crate) struct Noted(Record);

impl Noted {
    pub(crate) fn begin(what: What, id: usize) -> Self {
        let from = now();
        Self(Record { what, id, asked: from, from, to: 0 })
    }

    /// `asked`: when the call came that has made the run.
    pub(crate) fn run(function: Function, id: usize, asked: Nanos) -> Self {
        Self(Record { what: What::Run(function), id, asked, from: now(), to: 0 })
    }

    pub(crate) fn failed(&mut self) {
        if let What::Run(function) = self.0.what {
            self.0.what = What::Failure(function);
        }
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        note(Record { to: now(), ..self.0 });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn what_was_written_comes_back() {
        let runs = FUNCTIONS.iter().flat_map(|function| [What::Run(*function), What::Failure(*function)]);
        let others = [What::Invalidation, What::InvalidationOfAll, What::Behind, What::Unanswered];
        for (id, what) in runs.chain(others).enumerate() {
            let record = Record { what, id, asked: 3, from: 1 << 60, to: u64::MAX };
            assert_eq!(Record::from_bytes(&record.to_bytes()), Some(record));
        }
    }
}

//! A file of numbers that processes share without locks: each record is written by one process only.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Pairs of numbers.
#[derive(Debug)]
pub(crate) struct Records(File);

/// Two numbers and a check: a write isn't atomic for those who read meanwhile.
const RECORD: usize = 24;
const CHECK: u64 = 0x6C61_7264_6572;

impl Records {
    pub(crate) fn create(path: &Path, count: usize) -> io::Result<Self> {
        let records = Self(File::create_new(path)?);
        (0..count).try_for_each(|record| records.write(record, [0, 0]))?;
        Ok(records)
    }

    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(File::options().read(true).write(true).open(path)?))
    }

    pub(crate) fn write(&self, record: usize, [a, b]: [u64; 2]) -> io::Result<()> {
        let numbers = [a, b, a.rotate_left(32) ^ b ^ CHECK].map(u64::to_le_bytes);
        self.0.write_all_at(numbers.as_flattened(), (record * RECORD) as u64)
    }

    pub(crate) fn read(&self, first: usize, count: usize) -> io::Result<Vec<[u64; 2]>> {
        let mut bytes = vec![0; count * RECORD];
        loop {
            self.0.read_exact_at(&mut bytes, (first * RECORD) as u64)?;
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

//! What this process knows of the clock, the integer that numbers all invalidations.

use std::sync::atomic::{AtomicU64, Ordering};

/// Lua's numbers are exact up to here. A clock in microseconds gets there in the year 2255.
const LARGEST: u64 = 1 << 53;

/// The greatest value this process has ever seen of the clock. Every script that uses the clock is told, so that a clock
/// that went back is noticed before anything is done with it.
#[derive(Debug, Default)]
pub(crate) struct Known(AtomicU64);

impl Known {
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    pub(crate) fn learn(&self, number: u64) {
        if is_sane(number) {
            self.0.fetch_max(number, Ordering::AcqRel);
        }
    }
}

/// Whether it can be a value of the clock. Anyone may publish nonsense.
pub(crate) fn is_sane(number: u64) -> bool {
    number > 0 && number < LARGEST
}

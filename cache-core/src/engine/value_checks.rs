//! Which values are decoded again and compared before they are stored in backends.

use std::collections::HashMap;
use std::sync::Mutex;

use crate::util::sync::lock;

/// How many values are looked at before they are stored, of each instantiation of a function.
const FIRST: u64 = 8;
/// And later one in so many. Once one came back changed, all of them.
const SAMPLE: u64 = 256;
/// Of values larger than this, in bytes, only one is looked at: it takes as long as to store them.
const LARGE: usize = 1 << 20;

/// Which of the values that a function stores are looked at, by instantiation.
#[derive(Debug, Default)]
pub(crate) struct Checks(Mutex<HashMap<u32, Counted>>);

#[derive(Debug, Default)]
struct Counted {
    stored: u64,
    /// A large one was looked at.
    large: bool,
    /// One came back changed.
    suspicious: bool,
}

impl Checks {
    /// Whether the value that is to be stored now has to be looked at.
    pub(crate) fn are_due(&self, instance: u32, bytes: usize) -> bool {
        let mut all = lock(&self.0);
        let counted = all.entry(instance).or_default();
        counted.stored += 1;
        let in_turn = if bytes > LARGE {
            !std::mem::replace(&mut counted.large, true)
        } else {
            counted.stored <= FIRST || counted.stored.is_multiple_of(SAMPLE)
        };
        in_turn || counted.suspicious
    }

    pub(crate) fn suspect(&self, instance: u32) {
        lock(&self.0).entry(instance).or_default().suspicious = true;
    }
}

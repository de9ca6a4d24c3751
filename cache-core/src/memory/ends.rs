//! When entries are to go: by ticks of a quarter of a second, so that those of one tick are found at once.

use std::collections::BTreeMap;

/// Places of entries by the ticks of their ends.
#[derive(Debug)]
pub(super) struct Ends<P>(BTreeMap<u32, Vec<P>>);

impl<P> Default for Ends<P> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

/// A tick is 2 to this power nanoseconds.
const TICK: u32 = 28;

impl<P> Ends<P> {
    /// The tick by which an end is over, from 1 on; `None` for none.
    pub(super) fn tick(end: u64) -> Option<u32> {
        (end != u64::MAX).then(|| u32::try_from((end >> TICK) + 1).unwrap_or(u32::MAX))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn add(&mut self, tick: u32, place: P) {
        self.0.entry(tick).or_default().push(place);
    }

    /// One whose tick is over, with that.
    pub(super) fn take_due(&mut self, now: u64) -> Option<(u32, P)> {
        loop {
            let mut first = self.0.first_entry()?;
            let tick = *first.key();
            if u64::from(tick) > now >> TICK {
                return None;
            }
            match first.get_mut().pop() {
                Some(place) => return Some((tick, place)),
                None => drop(first.remove()),
            }
        }
    }
}

//! When entries are to go: by ticks of a quarter of a second, so that those of one tick are found at once.

use std::collections::BTreeMap;

/// Places of entries by the ticks of their ends.
#[derive(Debug)]
pub(super) struct Ends<P> {
    by_tick: BTreeMap<u64, Vec<P>>,
    len: usize,
}

impl<P> Default for Ends<P> {
    fn default() -> Self {
        Self { by_tick: BTreeMap::new(), len: 0 }
    }
}

/// A tick is 2 to this power nanoseconds.
const TICK: u32 = 28;

impl<P> Ends<P> {
    /// The tick by which an end is over, from 1 on; `None` for none.
    pub(super) fn tick(end: u64) -> Option<u64> {
        (end != u64::MAX).then_some((end >> TICK) + 1)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn add(&mut self, tick: u64, place: P) {
        self.by_tick.entry(tick).or_default().push(place);
        self.len += 1;
    }

    /// Keeps those only that still say something.
    pub(super) fn retain(&mut self, stays: impl Fn(u64, &P) -> bool) {
        self.by_tick.retain(|tick, places| {
            places.retain(|place| stays(*tick, place));
            places.shrink_to_fit();
            !places.is_empty()
        });
        self.len = self.by_tick.values().map(Vec::len).sum();
    }

    /// One whose tick is over, with that.
    pub(super) fn take_due(&mut self, now: u64) -> Option<(u64, P)> {
        loop {
            let mut first = self.by_tick.first_entry()?;
            let tick = *first.key();
            if tick > now >> TICK {
                return None;
            }
            match first.get_mut().pop() {
                Some(place) => {
                    self.len -= 1;
                    return Some((tick, place));
                }
                None => drop(first.remove()),
            }
        }
    }
}

//! What belongs to one process. After a `fork` the child has a copy of everything but its parent's threads: what they were to
//! do nobody does, and a lock that one of them held stays locked.

use std::sync::atomic::{AtomicU64, Ordering};

/// How many processes in a row, each forked by the one before, have a value of their own.
pub(crate) const GENERATIONS: usize = 8;

/// A static that each process begins anew.
pub(crate) struct PerProcess<T> {
    generations: [T; GENERATIONS],
    /// The process that used it last and the place of its value: the process's id in the upper half. 0: nobody yet.
    current: AtomicU64,
}

impl<T> PerProcess<T> {
    pub(crate) const fn new(generations: [T; GENERATIONS]) -> Self {
        Self { generations, current: AtomicU64::new(0) }
    }

    /// This process's value, and its place; `None` if there is none left for it.
    pub(crate) fn get(&self) -> Option<(usize, &T)> {
        self.of(std::process::id())
    }

    fn of(&self, process: u32) -> Option<(usize, &T)> {
        let mut current = self.current.load(Ordering::Acquire);
        loop {
            let (owner, place) = ((current >> 32) as u32, current as u32);
            let place = match owner {
                0 => 0,
                _ if owner == process => return self.at(place as usize),
                _ => place.saturating_add(1),
            };
            let next = u64::from(process) << 32 | u64::from(place);
            match self.current.compare_exchange(current, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return self.at(place as usize),
                Err(now) => current = now,
            }
        }
    }

    /// The value at a place that [`get`](Self::get) has told.
    pub(crate) fn at(&self, place: usize) -> Option<(usize, &T)> {
        self.generations.get(place).map(|value| (place, value))
    }
}

/// Tells ids of a counter that were given out in this process from those given out before it was forked.
pub(crate) struct Ids(PerProcess<AtomicU64>);

impl Ids {
    pub(crate) const fn new() -> Self {
        Self(PerProcess::new([const { AtomicU64::new(0) }; GENERATIONS]))
    }

    /// To be called before the first id is given out.
    pub(crate) fn begin(&self) {
        let _ = self.0.get();
    }

    /// Whether this one was given out in this process; `next` is given out next. Some that were may be denied, in the time
    /// between a fork and the first question.
    pub(crate) fn is_ours(&self, id: u64, next: impl FnOnce() -> u64) -> bool {
        match self.0.get() {
            Some((1.., first)) => {
                if first.load(Ordering::Acquire) == 0 {
                    let _ = first.compare_exchange(0, next(), Ordering::AcqRel, Ordering::Acquire);
                }
                id >= first.load(Ordering::Acquire)
            }
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_process_has_its_own() {
        let value = PerProcess::new([const { AtomicU64::new(0) }; GENERATIONS]);
        let place = |process| value.of(process).map(|(place, _)| place);
        assert_eq!((place(7), place(7)), (Some(0), Some(0)));
        assert_eq!((place(8), place(8)), (Some(1), Some(1)));
        for process in 9..20 {
            let expected = Some(process as usize - 7).filter(|place| *place < GENERATIONS);
            assert_eq!(place(process), expected);
        }
    }
}

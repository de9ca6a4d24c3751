//! Invalidations that couldn't be recorded. They are recorded before this process reads from Redis again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use cache_core::backend::TagId;

/// The most tags. Beyond, everything is invalidated instead.
pub(crate) const MOST: usize = 10_000;

#[derive(Debug, Default)]
struct State {
    /// With the number under which each came last.
    tags: BTreeMap<TagId, u64>,
    next: u64,
}

/// See the head of this file.
#[derive(Debug, Default)]
pub(crate) struct Remembered {
    state: Mutex<State>,
    /// How many there are, for those who must not wait for a lock.
    count: AtomicUsize,
    /// Held by whoever records them.
    pub(crate) recording: tokio::sync::Mutex<()>,
}

impl Remembered {
    /// These are to be recorded.
    pub(crate) fn add(&self, tags: &[TagId]) {
        let mut state = self.lock();
        state.next += 1;
        let number = state.next;
        if tags.contains(&TagId::EVERYTHING) || state.tags.contains_key(&TagId::EVERYTHING) {
            state.tags = BTreeMap::from([(TagId::EVERYTHING, number)]);
        } else {
            state.tags.extend(tags.iter().map(|tag| (*tag, number)));
            if state.tags.len() > MOST {
                state.tags = BTreeMap::from([(TagId::EVERYTHING, number)]);
            }
        }
        self.count.store(state.tags.len(), Ordering::Release);
    }

    /// Whether there are any.
    pub(crate) fn any(&self) -> bool {
        self.count() > 0
    }

    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Some that are to be recorded next.
    pub(crate) fn some(&self, most: usize) -> Vec<(TagId, u64)> {
        self.lock().tags.iter().take(most).map(|(tag, number)| (*tag, *number)).collect()
    }

    /// Which of these there are.
    pub(crate) fn of(&self, tags: &[TagId]) -> Vec<(TagId, u64)> {
        if !self.any() {
            return Vec::new();
        }
        let state = self.lock();
        tags.iter().filter_map(|tag| Some((*tag, *state.tags.get(tag)?))).collect()
    }

    /// These have been recorded. What came again meanwhile stays.
    pub(crate) fn recorded(&self, tags: &[(TagId, u64)]) {
        let mut state = self.lock();
        for (tag, number) in tags {
            if state.tags.get(tag) == Some(number) {
                state.tags.remove(tag);
            }
        }
        self.count.store(state.tags.len(), Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(remembered: &Remembered) -> Vec<TagId> {
        remembered.some(usize::MAX).into_iter().map(|(tag, _)| tag).collect()
    }

    #[test]
    fn what_came_again_stays() {
        let remembered = Remembered::default();
        assert!(!remembered.any());
        remembered.add(&[TagId(1), TagId(2)]);
        let some = remembered.some(usize::MAX);
        remembered.add(&[TagId(2), TagId(3)]);
        remembered.recorded(&some);
        assert_eq!((tags(&remembered), remembered.any()), (vec![TagId(2), TagId(3)], true));
        assert_eq!(remembered.of(&[TagId(1), TagId(3)]), [(TagId(3), 2)]);
        remembered.recorded(&remembered.some(usize::MAX));
        assert_eq!((remembered.count(), remembered.any()), (0, false));
    }

    #[test]
    fn too_many_become_everything() {
        let remembered = Remembered::default();
        let many: Vec<_> = (0..MOST as u64).map(TagId).collect();
        remembered.add(&many);
        assert_eq!(remembered.count(), MOST);
        remembered.add(&[TagId(1 << 40)]);
        assert_eq!(tags(&remembered), [TagId::EVERYTHING]);
        remembered.add(&many);
        assert_eq!(tags(&remembered), [TagId::EVERYTHING], "it has them all");
        remembered.recorded(&remembered.some(1));
        remembered.add(&[TagId(1), TagId::EVERYTHING]);
        assert_eq!(tags(&remembered), [TagId::EVERYTHING], "as of a reset");
    }
}

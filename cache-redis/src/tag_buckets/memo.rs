//! Which tags a key had when it was last read or stored, so that the buckets can be asked for them together with the entry.

use std::sync::{Arc, Mutex, PoisonError};

use cache_core::backend::{HeldTag, TagId};

use crate::keys::KeyHash;

/// How many keys' tags are remembered. A power of two.
const REMEMBERED: usize = 1 << 14;
/// An entry with more tags isn't remembered.
const MOST_TAGS: usize = 64;

/// The tags that keys had when they were last read or stored. Each key has one place, which it shares with other keys. So the
/// memo is bounded; a missing or wrong answer costs a round trip.
pub(crate) struct TagMemo {
    places: Mutex<Vec<Place>>,
}

type Place = Option<(KeyHash, Arc<[TagId]>)>;

impl TagMemo {
    pub(crate) fn new() -> Self {
        Self { places: Mutex::new(vec![None; REMEMBERED]) }
    }

    pub(crate) fn get(&self, hash: KeyHash) -> Option<Arc<[TagId]>> {
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let (known, tags) = places.get(place(hash))?.as_ref()?;
        (*known == hash).then(|| Arc::clone(tags))
    }

    pub(crate) fn put(&self, hash: KeyHash, tags: &[HeldTag]) {
        let tags = (tags.len() <= MOST_TAGS).then(|| (hash, tags.iter().map(|held| held.tag).collect()));
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let old = places.get_mut(place(hash)).map(|place| std::mem::replace(place, tags));
        drop(places);
        drop(old);
    }
}

impl std::fmt::Debug for TagMemo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TagMemo").finish_non_exhaustive()
    }
}

fn place(hash: KeyHash) -> usize {
    (hash % REMEMBERED as u128) as usize
}

#[cfg(test)]
mod tests {
    use cache_core::backend::Stamp;

    use super::*;

    fn held(tag: u64, stamp: u64) -> HeldTag {
        HeldTag { tag: TagId(tag), stamp: Stamp(stamp) }
    }

    #[test]
    fn memo_is_bounded() {
        let memo = TagMemo::new();
        memo.put(5, &[held(1, 1)]);
        assert_eq!(memo.get(5).as_deref(), Some([TagId(1)].as_slice()));
        memo.put(5 + REMEMBERED as u128, &[held(2, 1)]);
        assert_eq!(memo.get(5), None);
    }
}

//! Whether an entry is live: what the tag buckets say of its tags; and which tags a key had last, so that they can be
//! asked for together with the entry.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use cache_core::backend::{HeldTag, TagId};

use crate::connection::{Answer, Command};
use crate::error::Fault;
use crate::keys::{FLOOR, KeyHash, Names, bucket_index, field};

/// Questions about tags: one HMGET a bucket.
#[derive(Debug)]
pub(crate) struct Question {
    buckets: BTreeMap<usize, Vec<TagId>>,
}

impl Question {
    pub(crate) fn about(tags: impl IntoIterator<Item = TagId>) -> Self {
        let mut buckets: BTreeMap<usize, Vec<TagId>> = BTreeMap::new();
        for tag in tags {
            buckets.entry(bucket_index(tag)).or_default().push(tag);
        }
        Self { buckets }
    }

    pub(crate) fn commands<'a>(&'a self, names: &'a Names) -> impl Iterator<Item = Command> + 'a {
        self.buckets.iter().map(|(bucket, tags)| {
            let mut args = vec![names.bucket_at(*bucket), Bytes::from_static(FLOOR)];
            args.extend(tags.iter().copied().map(field));
            Command::new("HMGET", args)
        })
    }

    /// When each tag was last invalidated; `None` where the record was lost.
    pub(crate) fn understand(self, answers: impl IntoIterator<Item = Answer>) -> Result<Invalidated, Fault> {
        let mut last = BTreeMap::new();
        for ((_, tags), answer) in self.buckets.into_iter().zip(answers) {
            let values = answer?.list().ok_or(Fault::Unexpected("HMGET"))?;
            let mut values =
                values.into_iter().map(|value| value.number().and_then(|number| u64::try_from(number).ok()));
            let floor = values.next().flatten();
            for tag in tags {
                let stamp = values.next().flatten().unwrap_or(0);
                last.insert(tag, floor.map(|floor| floor.max(stamp)));
            }
        }
        Ok(Invalidated(last))
    }
}

/// What the buckets said.
#[derive(Debug, Default)]
pub(crate) struct Invalidated(BTreeMap<TagId, Option<u64>>);

impl Invalidated {
    /// Which of these tags weren't asked for.
    pub(crate) fn missing<'a>(&'a self, tags: &'a [HeldTag]) -> impl Iterator<Item = TagId> + 'a {
        tags.iter().map(|held| held.tag).filter(|tag| !self.0.contains_key(tag))
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Whether no tag was invalidated after the stamp held for it. A tag without a record may have been.
    pub(crate) fn allow(&self, tags: &[HeldTag]) -> bool {
        tags.iter().all(|held| matches!(self.0.get(&held.tag), Some(Some(last)) if *last <= held.stamp.0))
    }
}

/// How many keys' tags are remembered. A power of two.
const REMEMBERED: usize = 1 << 14;
/// An entry with more tags isn't remembered.
const MOST_TAGS: usize = 64;

/// The tags some keys had when they were last read. Each key has one place, which others may take from it: so it is
/// bounded, and being wrong costs a round trip.
pub(crate) struct Memo {
    places: Mutex<Vec<Place>>,
}

type Place = Option<(KeyHash, Arc<[TagId]>)>;

impl Memo {
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

impl std::fmt::Debug for Memo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memo").finish_non_exhaustive()
    }
}

fn place(hash: KeyHash) -> usize {
    (hash % REMEMBERED as u128) as usize
}

#[cfg(test)]
mod tests {
    use cache_core::backend::Stamp;

    use super::*;
    use crate::connection::Reply;

    fn held(tag: u64, stamp: u64) -> HeldTag {
        HeldTag { tag: TagId(tag), stamp: Stamp(stamp) }
    }

    #[test]
    fn liveness() {
        let number = |number: &'static str| Ok(Reply::Text(Bytes::from_static(number.as_bytes())));
        let question = Question::about([TagId(1), TagId(257), TagId(2)]);
        let answers = [
            Ok(Reply::List(vec![number("10"), number("12"), Ok(Reply::Nil)])),
            Ok(Reply::List(vec![Ok(Reply::Nil), number("3")])),
        ];
        let invalidated = question.understand(answers).unwrap();
        assert!(invalidated.allow(&[held(1, 12), held(257, 10)]));
        assert!(!invalidated.allow(&[held(1, 11)]));
        assert!(!invalidated.allow(&[held(257, 9)]), "the floor counts");
        assert!(!invalidated.allow(&[held(2, 99)]), "a bucket without a floor is lost");
        assert!(!invalidated.allow(&[held(3, 99)]), "nobody asked");
        assert_eq!(invalidated.missing(&[held(1, 0), held(3, 0)]).collect::<Vec<_>>(), [TagId(3)]);
    }

    #[test]
    fn memo_is_bounded() {
        let memo = Memo::new();
        memo.put(5, &[held(1, 1)]);
        assert_eq!(memo.get(5).as_deref(), Some([TagId(1)].as_slice()));
        memo.put(5 + REMEMBERED as u128, &[held(2, 1)]);
        assert_eq!(memo.get(5), None);
    }
}

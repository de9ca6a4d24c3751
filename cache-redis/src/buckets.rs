//! What the tag buckets say of tags; and which tags a key had last, so that they can be asked for together with its entry
//! where the [log](crate::log) is of no use.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use cache_core::backend::{HeldTag, TagId};

use crate::clock;
use crate::connection::{Answer, Command, Reply};
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
            let bucket = buckets.entry(bucket_index(tag)).or_default();
            if !bucket.contains(&tag) {
                bucket.push(tag);
            }
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

    /// What the answers say. Takes as many as there are commands.
    pub(crate) fn understand(self, answers: impl Iterator<Item = Answer>) -> Invalidated {
        let mut invalidated = Invalidated::default();
        for ((_, tags), answer) in self.buckets.into_iter().zip(answers) {
            match answer.and_then(|reply| reply.list().ok_or(Fault::Unexpected("HMGET"))) {
                Ok(values) => invalidated.learn(tags, &values),
                // Another type: lost.
                Err(fault) if fault.is_of_type() => invalidated.learn(tags, &[]),
                Err(fault) => invalidated.fault = Some(fault),
            }
        }
        invalidated
    }
}

/// What the buckets said.
#[derive(Debug, Default)]
pub(crate) struct Invalidated {
    /// When each tag was last invalidated; `None` where the record was lost or can't be read.
    last: BTreeMap<TagId, Option<u64>>,
    /// Why others are missing.
    fault: Option<Fault>,
}

impl Invalidated {
    /// The first of the values is the floor. What can't be read may have been any invalidation.
    fn learn(&mut self, tags: Vec<TagId>, values: &[Reply]) {
        let floor = values.first().and_then(clock::number);
        let mut values = values.iter().skip(1);
        for tag in tags {
            let last = match values.next() {
                Some(Reply::Nil) => floor,
                Some(value) => clock::number(value).zip(floor).map(|(stamp, floor)| stamp.max(floor)),
                None => None,
            };
            self.last.insert(tag, last);
        }
    }

    /// When the tag was last invalidated; `None` if it may have been at any time.
    pub(crate) fn last(&self, tag: TagId) -> Result<Option<u64>, Fault> {
        let why = || self.fault.clone().unwrap_or(Fault::Unexpected("HMGET"));
        self.last.get(&tag).copied().ok_or_else(why)
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

    fn held(tag: u64, stamp: u64) -> HeldTag {
        HeldTag { tag: TagId(tag), stamp: Stamp(stamp) }
    }

    #[test]
    fn answers() {
        let number = |number: &'static str| Ok(Reply::Text(Bytes::from_static(number.as_bytes())));
        let question = Question::about([TagId(1), TagId(257), TagId(1), TagId(2), TagId(3)]);
        let answers = [
            Ok(Reply::List(vec![number("10"), number("12"), Ok(Reply::Nil)])),
            Ok(Reply::List(vec![Ok(Reply::Nil), number("3")])),
            Err(Fault::TimedOut(None)),
            Ok(Reply::Number(99)),
        ];
        let mut answers = answers.into_iter();
        let invalidated = question.understand(answers.by_ref());
        assert_eq!(answers.len(), 1, "what comes after is somebody else's");
        assert_eq!(invalidated.last(TagId(1)), Ok(Some(12)));
        assert_eq!(invalidated.last(TagId(257)), Ok(Some(10)), "the floor counts");
        assert_eq!(invalidated.last(TagId(2)), Ok(None), "a bucket without a floor is lost");
        assert_eq!(invalidated.last(TagId(3)), Err(Fault::TimedOut(None)));
        assert!(invalidated.last(TagId(4)).is_err(), "nobody asked");
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

//! The tag buckets: hashes in Redis that record when each tag was last invalidated. This asks them, and reads their answers.

#[cfg(test)]
mod hostile;
mod memo;

use std::collections::BTreeMap;

use bytes::Bytes;
use cache_core::backend::TagId;

pub(crate) use self::memo::TagMemo;
use crate::connection::{Answer, Command, Reply};
use crate::error::Fault;
use crate::keys::{FLOOR, Names, bucket_index, field};
use crate::sequence;

/// A question about tags: one HMGET for each bucket.
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

    /// Reads the answers. Takes as many as there are commands.
    pub(crate) fn understand(self, answers: impl Iterator<Item = Answer>) -> Invalidated {
        let mut invalidated = Invalidated::default();
        for ((_, tags), answer) in self.buckets.into_iter().zip(answers) {
            match answer.and_then(|reply| reply.list().ok_or(Fault::Unexpected("HMGET"))) {
                Ok(values) => invalidated.learn(tags, &values),
                // A key of another type counts as lost.
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
    /// When each tag was last invalidated; `None` if the record was lost or can't be read.
    last: BTreeMap<TagId, Option<u64>>,
    /// Why the other tags have no answer.
    fault: Option<Fault>,
}

impl Invalidated {
    /// The first value is the floor. A value that can't be read may stand for any invalidation.
    fn learn(&mut self, tags: Vec<TagId>, values: &[Reply]) {
        let floor = values.first().and_then(sequence::number);
        let mut values = values.iter().skip(1);
        for tag in tags {
            let last = match values.next() {
                Some(Reply::Nil) => floor,
                Some(value) => sequence::number(value).zip(floor).map(|(stamp, floor)| stamp.max(floor)),
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

#[cfg(test)]
mod tests {
    use super::*;

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
}

//! The scripts on the sequence, the tag buckets and the holds: taking a stamp, invalidating, holding, and repairing the sequence. The rules are in
//! [`sequence`].

mod hold;
mod invalidate;
mod remembered;
mod repair;
mod stamp;

use bytes::Bytes;
use cache_core::backend::TagId;

pub(crate) use self::invalidate::Recorded;
use crate::connection::Reply;
use crate::health::{Operation, TroubleKind};
use crate::keys::{TAGS_PER_BUCKET, field};
use crate::sequence;
use crate::shared::Shared;

/// The most tags in one script. More tags take several scripts, so that none blocks the server for long.
pub(crate) const TAGS_PER_SCRIPT: usize = 512;

/// A position in the invalidation order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Position {
    pub(crate) sequence: u64,
    /// See [`KnownSequence::generation`](crate::sequence::KnownSequence::generation).
    pub(crate) generation: u64,
}

/// Why the sequence can't be used.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unusable {
    /// Lost or damaged.
    Missing,
    /// It is behind what this process was told or has heard; with the value that was found. It is restarted even if it has
    /// been counted up since, because then the same numbers were given out twice.
    Behind(u64),
}

impl Unusable {
    /// From the answer of a script that has refused the sequence that it found.
    fn refused(found: i64) -> Self {
        sequence::number(&Reply::Number(found)).map_or(Self::Missing, Self::Behind)
    }
}

impl Shared {
    fn report_replaced(&self, during: Operation, replaced: i64) {
        if replaced > 0 {
            let message = "a record of invalidations held something else; it was replaced, and counts as invalidated";
            self.monitor.trouble(during, TroubleKind::WrongType, message.to_owned());
        }
    }

    fn sequence_and_buckets(&self, tags: &[TagId]) -> Vec<Bytes> {
        std::iter::once(self.names.sequence.clone()).chain(tags.iter().map(|tag| self.names.bucket(*tag))).collect()
    }

    /// The first arguments of all scripts on the sequence; see `clock.lua`.
    fn script_settings(&self) -> [Bytes; 4] {
        self.script_settings_for(self.bus.known.told())
    }

    /// The same for a caller to whom this value of the sequence was told.
    fn script_settings_for(&self, told: u64) -> [Bytes; 4] {
        let (bus, most) = (self.names.bus.clone().into(), TAGS_PER_BUCKET.to_string().into());
        [told.to_string().into(), bus, field(TagId::EVERYTHING), most]
    }
}

/// The first three numbers of a script's answer; the third is 0 if there are two.
fn triple(reply: Reply) -> Option<(i64, i64, i64)> {
    let answers = reply.list()?;
    match answers.as_slice() {
        [Reply::Number(first), Reply::Number(second), Reply::Number(third), ..] => Some((*first, *second, *third)),
        [Reply::Number(first), Reply::Number(second)] => Some((*first, *second, 0)),
        _ => None,
    }
}

/// The first two numbers of a script's answer.
fn pair(reply: Reply) -> Option<(i64, i64)> {
    let answers = reply.list()?;
    match answers.as_slice() {
        [Reply::Number(first), Reply::Number(second), ..] => Some((*first, *second)),
        _ => None,
    }
}

//! The trace of a schedule: one line for each command, fault and answer. Printed with a violation.

use std::fmt::{self, Display, Formatter};

use cache_core::backend::{HeldTag, TagId};

use super::application::Tag;
use super::server::{Command, Reply, Stored, TICK};

/// A value of the sequence, relative to the server's time at the beginning.
pub(super) struct Number(pub(super) u64);

impl Display for Number {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0.checked_sub(super::BEGINNING * TICK) {
            Some(number) => write!(f, "{number}"),
            None => write!(f, "-{}", self.0),
        }
    }
}

struct Names<'a>(&'a [TagId]);

impl Display for Names<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().filter_map(|tag| Tag::of_id(*tag))).finish()
    }
}

struct HeldTags<'a>(&'a [HeldTag]);

impl Display for HeldTags<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for held in self.0 {
            let tag = Tag::of_id(held.tag).ok_or(fmt::Error)?;
            write!(f, " {tag:?}@{}", Number(held.stamp.0))?;
        }
        Ok(())
    }
}

impl Display for Stored {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "entry {} {:?}{}", self.id, self.value, HeldTags(&self.tags))
    }
}

impl Display for Command {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::GetSequence | Self::GetHolds | Self::GetTime => Ok(()),
            Self::Hold { token, author, tags, told, .. } => {
                write!(f, " {token} on {} by {author}, told {}", Names(tags), Number(*told))
            }
            Self::GetTags(tags) => write!(f, " {}", Names(tags)),
            Self::GetEntry(key) | Self::GetLease(key) => write!(f, " {key:?}"),
            Self::Stamp { told, tags } => write!(f, " {}, told {}", Names(tags), Number(*told)),
            Self::Invalidate { told, author, tags, end_of, .. } => {
                write!(f, " {} by {author}, told {}", Names(tags), Number(*told))?;
                end_of.map_or(Ok(()), |token| write!(f, ", which ends hold {token}"))
            }
            Self::Repair { least, author } => write!(f, " by {author}, at least {}", Number(*least)),
            Self::Lease { key, token, takes_over: true, .. } => write!(f, " {key:?} for {token}, taken over"),
            Self::Lease { key, seen, token, .. } => write!(f, " {key:?} for {token}, who saw {seen}"),
            Self::Renew { key, token, .. } | Self::GiveUp { key, token } | Self::Release { key, token, .. } => {
                write!(f, " {key:?} of {token}")
            }
            Self::Store { key, token, entry } => write!(f, " {key:?} by {token}: {entry}"),
            Self::Publish(message) => write!(f, " {}", message.escape_ascii()),
        }
    }
}

impl Display for Reply {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Earliest(earliest) => write!(f, "{:?}", earliest.map(|end| Number(end).to_string())),
            Self::Time(time) => write!(f, "{}", Number(*time)),
            Self::Number(number @ -1..=1) => write!(f, "{number}"),
            Self::Number(number) => write!(f, "{}", Number(*number as u64)),
            Self::Pair(-1, _) => f.write_str("refused"),
            Self::Pair(number, other) => write!(f, "{}, {other}", Number(*number as u64)),
            Self::Sequence(None) | Self::Entry(None) | Self::Holder(None) => f.write_str("nothing"),
            Self::Sequence(Some(sequence)) => write!(f, "{}", Number(*sequence)),
            Self::Tags(said) => said.iter().try_for_each(|(tag, last)| {
                let tag = Tag::of_id(*tag).map_or_else(|| "Holds".to_owned(), |tag| format!("{tag:?}"));
                match last {
                    Some(last) => write!(f, " {tag} at {}", Number(*last)),
                    None => write!(f, " {tag} lost"),
                }
            }),
            Self::Entry(Some(entry)) => entry.fmt(f),
            Self::Holder(Some((token, _))) => write!(f, "{token} holds it"),
            Self::Busy(busy) => write!(f, "{} holds it for {} µs", busy.holder, busy.remaining),
            Self::OutOfMemory => f.write_str("out of memory"),
        }
    }
}
